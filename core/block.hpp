// SPDX-License-Identifier: Apache-2.0
// Blocks, receipts and logs with Ethereum's fields and encodings.
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"
#include "core/tx.hpp"

namespace trainyard {

using Bloom = FixedBytes<256, struct BloomTag>;

/// Yellow Paper section 4.3 and the EIPs named; optional fields are absent before their fork.
struct Header {
    Hash parent_hash;
    Hash ommers_hash;
    Address beneficiary;
    Hash state_root;
    Hash transactions_root;
    Hash receipts_root;
    Bloom logs_bloom;
    Uint256 difficulty;
    uint64_t number = 0;
    uint64_t gas_limit = 0;
    uint64_t gas_used = 0;
    uint64_t timestamp = 0;  ///< seconds since 1970
    Bytes extra_data;        ///< on our chains: the consensus seal, see consensus/bft/seal.hpp
    Hash prev_randao;        ///< mixHash; on our chains the beacon R_h
    FixedBytes<8> nonce;
    std::optional<Uint256> base_fee_per_gas;       ///< EIP-1559
    std::optional<Hash> withdrawals_root;          ///< EIP-4895
    std::optional<uint64_t> blob_gas_used;         ///< EIP-4844
    std::optional<uint64_t> excess_blob_gas;       ///< EIP-4844
    std::optional<Hash> parent_beacon_block_root;  ///< EIP-4788
    std::optional<Hash> requests_hash;             ///< EIP-7685
    bool operator==(const Header&) const = default;
};

struct Withdrawal {
    uint64_t index = 0;
    uint64_t validator_index = 0;
    Address address;
    uint64_t amount_gwei = 0;
    bool operator==(const Withdrawal&) const = default;
};

struct Block {
    Header header;
    std::vector<Tx> txs;
    std::vector<Header> ommers;                          ///< always empty on our chains
    std::optional<std::vector<Withdrawal>> withdrawals;  ///< present from Shanghai on
    bool operator==(const Block&) const = default;
};

struct Log {
    Address address;
    std::vector<Hash> topics;
    Bytes data;
    bool operator==(const Log&) const = default;
};

struct Receipt {
    TxType type = TxType::legacy;
    bool success = false;
    std::optional<Hash> post_state;  ///< instead of the status before Byzantium
    uint64_t cumulative_gas_used = 0;
    Bloom bloom;
    std::vector<Log> logs;
    bool operator==(const Receipt&) const = default;
};

[[nodiscard]] Bytes encode_header(const Header& header);
[[nodiscard]] Result<Header, rlp::Error> decode_header(BytesView encoded);
[[nodiscard]] Hash hash_header(const Header& header);

[[nodiscard]] Bytes encode_block(const Block& block);
[[nodiscard]] Result<Block, rlp::Error> decode_block(BytesView encoded);

[[nodiscard]] Bytes encode_receipt(const Receipt& receipt);
[[nodiscard]] Result<Receipt, rlp::Error> decode_receipt(BytesView encoded);

/// Adds the address and topics of each log (Yellow Paper equation 31).
[[nodiscard]] Bloom bloom_of(const std::vector<Log>& logs);

}  // namespace trainyard
