// SPDX-License-Identifier: Apache-2.0
// Every number and flag of the protocol that a chain may choose, with its source.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"
#include "vm/revision.hpp"

namespace trainyard::consensus {

/// EIP-7840: how many blobs a block aims at and may have, and how fast their price moves.
struct BlobSchedule {
    uint64_t target = 0;
    uint64_t max = 0;
    uint64_t update_fraction = 0;
    bool operator==(const BlobSchedule&) const = default;
};

/// One fork. Ethereum's forks until Paris come at a block number, later ones at a time.
struct ForkAt {
    vm::Revision revision = vm::Revision::frontier;
    uint64_t number = 0;     ///< first block
    uint64_t timestamp = 0;  ///< and not before this time in seconds
    BlobSchedule blobs;
    bool operator==(const ForkAt&) const = default;
};

/// From block `number` on the ice age counts `blocks` fewer (EIP-649, 1234, 2384, 3554, 4345,
/// 5133).
struct BombDelay {
    uint64_t number = 0;
    uint64_t blocks = 0;
    bool operator==(const BombDelay&) const = default;
};

/// Addresses that the protocol itself calls or reads.
namespace address {
constexpr Address from_words(uint32_t a, uint64_t b, uint64_t c) {
    Address out;
    for (int i = 0; i < 4; ++i) out.bytes[i] = static_cast<uint8_t>(a >> (24 - 8 * i));
    for (int i = 0; i < 8; ++i) out.bytes[4 + i] = static_cast<uint8_t>(b >> (56 - 8 * i));
    for (int i = 0; i < 8; ++i) out.bytes[12 + i] = static_cast<uint8_t>(c >> (56 - 8 * i));
    return out;
}
/// The sender of calls that the protocol makes (EIP-4788).
inline constexpr Address kSystem = from_words(0xffffffff, 0xffffffffffffffff, 0xfffffffffffffffe);
/// EIP-4788.
inline constexpr Address kBeaconRoots =
    from_words(0x000F3df6, 0xD732807Ef1319fB7, 0xB8bB8522d0Beac02);
/// EIP-2935.
inline constexpr Address kHistory = from_words(0x0000F908, 0x27F1C53a10cb7A02, 0x335B175320002935);
/// EIP-7002.
inline constexpr Address kWithdrawalRequests =
    from_words(0x00000961, 0xEf480Eb55e80D19a, 0xd83579A64c007002);
/// EIP-7251.
inline constexpr Address kConsolidationRequests =
    from_words(0x0000BBdD, 0xc7CE488642fb579F, 0x8B00f3a590007251);
/// EIP-6110: the deposit contract of Ethereum's main network.
inline constexpr Address kDeposits = from_words(0x00000000, 0x219ab540356cBB83, 0x9Cbe05303d7705Fa);
/// Our Beacon contract, which is told the randomness of every mini-epoch (docs/spec/execution.md).
inline constexpr Address kBeacon = from_words(0, 0, 0x0b00);
/// Our Staking contract: told of every block, credited with its fees (docs/spec/staking.md).
inline constexpr Address kStaking = from_words(0, 0, 0x0b01);
/// Our ComputeMarket contract, which plays disputes with the referee (docs/spec/audits.md).
inline constexpr Address kMarket = from_words(0, 0, 0x0b03);
}  // namespace address

inline constexpr Address kBeaconAddress = address::kBeacon;
inline constexpr Address kSystemAddress = address::kSystem;

inline constexpr int64_t kSystemCallGas = 30'000'000;          ///< EIP-4788
inline constexpr uint64_t kTxGasMax = uint64_t{1} << 24;       ///< EIP-7825
inline constexpr uint64_t kGasLimitMin = 5000;                 ///< Yellow Paper equation 47
inline constexpr uint64_t kGasLimitDivisor = 1024;             ///< Yellow Paper equation 47
inline constexpr uint64_t kElasticity = 2;                     ///< EIP-1559
inline constexpr uint64_t kBaseFeeDivisor = 8;                 ///< EIP-1559
inline constexpr uint64_t kInitialBaseFeeWei = 1'000'000'000;  ///< EIP-1559
inline constexpr uint64_t kBlobGas = uint64_t{1} << 17;        ///< EIP-4844, gas of one blob
inline constexpr uint64_t kBlobBaseCost = uint64_t{1} << 13;   ///< EIP-7918
inline constexpr uint64_t kBlobsPerTxMax = 6;                  ///< EIP-7594
inline constexpr uint64_t kBlockSizeMax = 8 * 1024 * 1024;     ///< EIP-7934: 10 MiB less 2 MiB
inline constexpr uint64_t kGenesisGasLimit = 60'000'000;  ///< our chains; as Ethereum's since 2025
inline constexpr size_t kExtraDataSizeMax =
    256;  ///< our chains: a seal fits (consensus/bft/seal.hpp)

inline constexpr uint64_t kMiniEpochLength = 256;  ///< consensus.md section 8
/// Blocks with one validator set: 68 minutes at one second each. consensus.md section 13.
inline constexpr uint64_t kEpochLength = 4096;

/// Epochs are whole mini-epochs, and at least two of them: so the set and the stakes behind a
/// schedule are fixed a mini-epoch before anybody knows its seed (consensus.md section 13).
[[nodiscard]] constexpr bool is_epoch_length(uint64_t epoch, uint64_t mini_epoch) {
    return mini_epoch > 0 && epoch >= 2 * mini_epoch && epoch % mini_epoch == 0;
}

/// What one chain is. The defaults are those of our chains; `ethereum_config` gives Ethereum's.
struct ChainConfig {
    uint64_t chain_id = 0;
    Hash genesis_hash{};  ///< what votes of this chain are signed for
    std::vector<ForkAt> forks = {{vm::Revision::osaka, 0, 0, {}}};  ///< oldest first

    // Deviations from Ethereum; docs/spec/execution.md says why.
    bool equal_timestamps = true;     ///< several blocks may share one second
    bool beacon_contract = true;      ///< the Beacon contract is called at each mini-epoch
    bool staking_contract = true;     ///< Staking is called in each block and gets its fees
    bool beacon_roots = false;        ///< EIP-4788: of a beacon chain; else they are zero
    bool blob_txs = false;            ///< type 3 is refused and blob fields are zero
    bool execution_requests = false;  ///< EIP-7002, 7251, 6110; else the list is always empty
    bool withdrawals = false;         ///< else the list is always empty
    bool free_gas_limit = false;      ///< tests: the gas limit may jump
    size_t extra_data_size_max = kExtraDataSizeMax;  ///< bytes; Ethereum: 32

    uint64_t mini_epoch_length = kMiniEpochLength;  ///< 8 on devnets
    uint64_t epoch_length = kEpochLength;           ///< 64 on devnets
    uint64_t commit_cutoff = 32;        ///< the last blocks of a mini-epoch count for the next one
    uint64_t block_interval_ms = 1000;  ///< a leader waits this long after its parent
    uint64_t delta_ms = 400;            ///< consensus.md rule 12
    uint64_t gas_limit = kGenesisGasLimit;

    // Chains that began with proof of work.
    std::vector<BombDelay> bomb_delays{};                ///< oldest first
    std::optional<Uint256> terminal_total_difficulty{};  ///< EIP-3675: the Merge comes after it

    Address deposit_contract = address::kDeposits;  ///< EIP-6110

    /// Blocks that the chain's own spec calls forks although no rule changes there: the fork id
    /// counts them (rules/fork_id.hpp).
    std::vector<uint64_t> idle_fork_blocks{};

    /// Gives the forks from Paris on their first block.
    void set_merge_block(uint64_t number);

    /// The last fork that has begun. Before the first one: Frontier.
    [[nodiscard]] const ForkAt& fork_at(uint64_t number, uint64_t timestamp) const;
    [[nodiscard]] vm::Revision revision_at(uint64_t number, uint64_t timestamp) const {
        return fork_at(number, timestamp).revision;
    }
};

/// Ethereum's own rules with one revision from block 0, as the official vectors use them.
[[nodiscard]] ChainConfig ethereum_config(uint64_t chain_id, std::vector<ForkAt> forks);

/// Ethereum's schedule for a revision: EIP-4844, EIP-7691.
[[nodiscard]] BlobSchedule ethereum_blobs(vm::Revision revision);

}  // namespace trainyard::consensus
