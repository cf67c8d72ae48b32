// SPDX-License-Identifier: Apache-2.0
// The records of the store: their keys, and what stands in them (docs/spec/state.md, section 2);
// private to this folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/uint256.hpp"
#include "state/pruning.hpp"
#include "state/trie.hpp"
#include "state/view.hpp"
#include "state/world.hpp"

namespace trainyard::state {

/// First byte of a key: what kind of record it is.
enum class Table : uint8_t {
    account_node = 'A',  ///< nibbles | keccak -> block that made it | node of the account trie
    storage_node = 'S',  ///< keccak of address | nibbles | keccak -> the same, of a storage trie
    code = 'c',          ///< keccak -> code
    account = 'a',       ///< address -> account
    slot = 's',          ///< address | slot -> value, trimmed
    diff = 'd',          ///< number -> what the block changed, until it is in the tables above
    journal = 'j',       ///< number -> the nodes that the block superseded
    header = 'h',        ///< number -> header
    body = 'b',          ///< number -> the items of the block after its header
    number = 'H',        ///< block hash -> number
    receipts = 'r',      ///< number -> list of encoded receipts
    tx = 't',            ///< transaction hash -> number | index
    certificate = 'f',   ///< number -> certificate
    meta = 'm',          ///< name -> what concerns the whole store
};

inline constexpr uint64_t kFormat = 2;

[[nodiscard]] Bytes record_key(Table table, BytesView rest);
[[nodiscard]] Bytes record_key(Table table, uint64_t number);
[[nodiscard]] Bytes meta_key(std::string_view name);
/// The hashes under which a block's transactions are found.
[[nodiscard]] std::vector<Hash> hash_txs(const std::vector<Tx>& txs);
[[nodiscard]] Bytes slot_key(const Address& address, const Uint256& slot);
[[nodiscard]] Bytes node_key(std::string_view place, const Hash& hash);
/// Big-endian, so that ranges come in the order of numbers.
[[nodiscard]] Bytes big_endian(uint64_t value, size_t size);

/// A node with the number of the block that last brought it into being at its place. Codes have no
/// number: they stay.
[[nodiscard]] Bytes encode_node_record(uint64_t made_by, BytesView node);
struct NodeRecord {
    uint64_t made_by = 0;
    BytesView node;
};
[[nodiscard]] std::optional<NodeRecord> decode_node_record(BytesView record);

/// record `head`: rlp([format, number, hash])
struct HeadRecord {
    uint64_t format = 0, number = 0;
    Hash hash;
};
[[nodiscard]] Bytes encode_head(const HeadRecord& head);
[[nodiscard]] std::optional<HeadRecord> decode_head(BytesView record);

/// record `state`: rlp([number, root]), the block whose state the tables hold
struct StateRecord {
    uint64_t number = 0;
    Hash root;
};
[[nodiscard]] Bytes encode_state(const StateRecord& state);
[[nodiscard]] std::optional<StateRecord> decode_state(BytesView record);

/// record `kept`: rlp([mode as text, first state, first block, next journal]). States before the
/// first one may lack nodes; of blocks before the first one, but genesis, the header and the
/// certificate are left.
struct KeptRecord {
    Pruning mode = Pruning::archive;
    uint64_t first_state = 0, first_block = 0;
    uint64_t next_journal = 0;  ///< whose nodes have not been deleted
};
[[nodiscard]] Bytes encode_kept(const KeptRecord& kept);
[[nodiscard]] std::optional<KeptRecord> decode_kept(BytesView record);

[[nodiscard]] Bytes encode_diff(const StateDiff& diff);
[[nodiscard]] std::optional<StateDiff> decode_diff(BytesView record);

[[nodiscard]] Bytes encode_journal(const std::vector<StaleNode>& stale);
[[nodiscard]] std::optional<std::vector<StaleNode>> decode_journal(BytesView record);

[[nodiscard]] Bytes encode_receipts(const std::vector<Receipt>& receipts);
[[nodiscard]] std::optional<std::vector<Receipt>> decode_receipts(BytesView encoded);

/// The block's encoding without the outer list and the header.
[[nodiscard]] Bytes encode_body(const Block& block);
[[nodiscard]] std::optional<Block> join_block(BytesView header, BytesView body);

// --- errors in words

[[nodiscard]] StoreError malformed(std::string what, std::string where);
[[nodiscard]] StoreError missing(std::string what, std::string where);
[[nodiscard]] StoreError refused(KvError error, std::string where);
[[nodiscard]] std::string block_name(uint64_t number);

}  // namespace trainyard::state
