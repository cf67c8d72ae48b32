// SPDX-License-Identifier: Apache-2.0
// The state of one final block as chunks that anybody can check, and a store made from them
// (docs/spec/state.md, section 6).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "state/kv.hpp"
#include "state/trie.hpp"
#include "state/world.hpp"

namespace trainyard::state {

inline constexpr size_t kChunkBytesMax = size_t{1} << 20;
inline constexpr size_t kManifestBytesMax = size_t{64} << 20;
/// Headers before the block: BLOCKHASH needs 256, the beacon the mini-epochs at hand.
inline constexpr uint64_t kSnapshotHeaders = 4096;

/// A record as it stands in the store.
struct Record {
    Bytes key, value;
    bool operator==(const Record&) const = default;
};

/// What a snapshot is of. Hashes are recomputed and never stored.
struct Manifest {
    Bytes first_block, first_receipts;  ///< block 0 and what belongs to it, as in the store
    Bytes block, receipts;              ///< the block whose state follows
    Bytes certificate;
    std::vector<Bytes> headers;  ///< of its ancestors, child after parent; block 0 only among them
    std::vector<Hash> chunks;    ///< keccak of each, in order
    bool operator==(const Manifest&) const = default;
};
[[nodiscard]] Bytes encode_manifest(const Manifest& manifest);

/// A manifest whose blocks decode and follow each other; says in words what is wrong.
struct CheckedManifest {
    Manifest manifest;
    Block first, block;
    std::vector<Receipt> receipts;  ///< of the block
    Hash hash;
};
[[nodiscard]] Result<CheckedManifest, std::string> check_manifest(BytesView encoded);

/// What names a snapshot: keccak over its block's hash and those of its chunks. Manifests with the
/// same id may still differ, in the certificate and in how many headers they have.
[[nodiscard]] Hash snapshot_id(const Manifest& manifest, const Hash& block_hash);

/// False for a store without head: an empty one, or what an import that was cut off has left.
[[nodiscard]] bool holds_chain(const KvReader& kv);

/// Removes every record, in batches.
[[nodiscard]] Result<Done, KvError> erase_all(Kv& kv);

/// Gives the state after block `number`, which `tables` hold (World::freeze): the manifest, and its
/// chunks one after the other as they are made. The same state gives the same chunks. The world may
/// go on meanwhile.
using TakeChunk = std::function<Result<Done, std::string>(const Bytes& chunk)>;
[[nodiscard]] Result<Manifest, std::string> export_snapshot(const World& world,
                                                            const KvReader& tables, uint64_t number,
                                                            const TakeChunk& take);

/// Takes chunks in order, each only if its hash is the manifest's and all its records are as they
/// should be, and makes the tries. With a store, which must be empty, writes all of it there: a
/// store without a head until `finish` has found the block's state root.
class SnapshotReader {
public:
    struct Counts {
        uint64_t accounts = 0, slots = 0, codes = 0;
    };
    /// `into` may be null: then nothing is kept.
    SnapshotReader(CheckedManifest manifest, Kv* into);
    ~SnapshotReader();
    /// Errors name the chunk.
    [[nodiscard]] Result<Done, std::string> add(BytesView chunk);
    /// Records of other parts, in tables that no snapshot has, go in before the head.
    [[nodiscard]] Result<Counts, std::string> finish(const Batch& others = {});
    /// True if the last error was the store's and not the snapshot's.
    [[nodiscard]] bool has_store_failed() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The root over sorted distinct keys, each node given away as soon as it is made: memory for the
/// items alone.
using EmitNode = std::function<void(const Hash& hash, const std::string& place, const Bytes& node)>;
struct TrieItem {
    Hash key;
    Bytes value;
};
[[nodiscard]] Hash build_trie(const std::vector<TrieItem>& sorted, std::string_view place,
                              const EmitNode& emit);

}  // namespace trainyard::state
