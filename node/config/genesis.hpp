// SPDX-License-Identifier: Apache-2.0
// The genesis file: geth's JSON shape with `config.trainyard`, and the first block that it gives.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/block.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/config/error.hpp"
#include "state/view.hpp"

namespace trainyard::node::config {

struct GenesisAccount {
    Uint256 balance;
    uint64_t nonce = 0;
    Bytes code;
    std::map<Uint256, Uint256> storage;
    bool operator==(const GenesisAccount&) const = default;
};

struct GenesisValidator {
    Address address;  ///< operator account: stakes, answers audits, receives tips
    PublicKey consensus_key, vrf_key, p2p_key;
    Uint256 stake_wei;
    std::string endpoint;  ///< "host:port" of its peer-to-peer listener
    bool operator==(const GenesisValidator&) const = default;
};

/// A change of the rules to come. Known ones are built into the program; the schedule tells older
/// programs where to stop.
struct Fork {
    std::string name;
    uint64_t time = 0;    ///< unix seconds: of blocks with this timestamp or a later one
    std::string release;  ///< the first that knows it
    bool operator==(const Fork&) const = default;
};

struct Genesis {
    uint64_t chain_id = 0;
    uint64_t timestamp = 0;
    uint64_t gas_limit = 0;
    Uint256 base_fee_wei;
    Bytes extra_data;
    Hash prev_randao;                ///< "mixHash": the seed of the chain's randomness
    uint64_t mini_epoch_length = 0;  ///< blocks that share one seed of the beacon
    uint64_t epoch_length = 0;       ///< blocks that share one validator set
    uint64_t cutoff = 0;
    uint64_t block_interval_ms = 0;
    uint64_t delta_ms = 0;
    std::vector<GenesisValidator> validators;
    std::vector<Fork> forks;  ///< oldest first; no part of block 0, since it grows
    std::map<Address, GenesisAccount> alloc;
    Hash block_hash;  ///< as written in the file; zero when it names none
    bool operator==(const Genesis&) const = default;
};

/// Strict: unknown keys, wrong types and repeated accounts are refused. At most 64 MiB of text.
[[nodiscard]] Result<Genesis, ConfigError> parse_genesis(std::string_view json);
/// Sorted keys, two spaces; parse_genesis reads it back to the same value.
[[nodiscard]] std::string write_genesis(const Genesis& genesis);

/// The first fork of the schedule that this program does not know.
[[nodiscard]] std::optional<Fork> first_unknown_fork(const Genesis& genesis);

/// The allocation as a diff over the empty world.
[[nodiscard]] state::StateDiff genesis_state(const Genesis& genesis);
/// What nodes of one chain must agree on beside the allocation: chain id, times, validators (their
/// endpoints may change). Block 0 carries it, so that its hash covers the whole file.
[[nodiscard]] Hash config_hash(const Genesis& genesis);
/// Block 0; its state root is computed from the allocation, and config_hash stands in
/// parentBeaconBlockRoot, which has no other meaning there.
[[nodiscard]] Block genesis_block(const Genesis& genesis);
/// keccak of block 0's header; error `mismatch` if the file names another.
[[nodiscard]] Result<Hash, ConfigError> check_genesis(const Genesis& genesis);

}  // namespace trainyard::node::config
