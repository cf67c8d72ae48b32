// SPDX-License-Identifier: Apache-2.0
// What a node remembers of the final chain: blocks, receipts, certificates and the state, in one
// store.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "state/kv.hpp"
#include "state/pruning.hpp"
#include "state/trie.hpp"
#include "state/view.hpp"

namespace trainyard::state {

/// A fault of the store, in words for the person who runs the node.
struct StoreError {
    enum class Kind {
        missing,       ///< a record that another one refers to is not there
        malformed,     ///< a record does not decode, or contradicts another
        wrong_format,  ///< written by another version of the program
        wrong_parent,  ///< a block that does not follow the head
        refused,       ///< the key-value store did not read or write
        wrong_mode,    ///< what was pruned cannot come back
    };
    Kind kind;
    std::string what, where, what_to_do;
};
[[nodiscard]] std::string to_text(const StoreError& error);
[[nodiscard]] std::string_view to_text(KvError error);

struct Head {
    Hash hash;
    Header header;
};

struct TxLocation {
    uint64_t block_number = 0;
    uint32_t index = 0;
    bool operator==(const TxLocation&) const = default;
};

/// One final block with everything that follows from it.
struct Commit {
    const Block& block;
    const std::vector<Receipt>& receipts;
    std::shared_ptr<const StateDiff> diff;
    std::shared_ptr<const StateUpdate> update;  ///< state_root of the diff on the parent's root
    BytesView certificate;                      ///< what makes the block final; empty for genesis
    const Batch* extra = nullptr;               ///< records of others, written in the same batch
    SideBySide side_by_side = {};  ///< threads to note nodes in memory while the batch is written
};

/// One thread commits and one (the same or another) flushes; all threads may read meanwhile.
class World {
public:
    struct Options {
        /// About what the trie of a million accounts takes; memory is used only as nodes come.
        size_t node_cache_bytes = size_t{512} << 20;
        /// Final states that are kept in memory before a flush is due: by size and by number.
        size_t dirty_bytes = size_t{128} << 20;
        size_t dirty_blocks = 64;
        /// nullopt: as the store has it; a new store is an archive.
        std::optional<Pruning> pruning = {};
        /// nullopt: that of the mode. For tests.
        std::optional<Retention> retention = {};
        /// Records that are erased before their space is given back, which takes the disk a while.
        size_t compact_after = 1'000'000;
    };

    /// Recovers the head, makes again the states that were in memory only, and checks that what the
    /// head refers to is there. `kv` must outlive the world. Threads, if any, are used here alone.
    [[nodiscard]] static Result<std::unique_ptr<World>, StoreError> open(
        Kv& kv, const Options& options, const SideBySide& side_by_side = {});
    [[nodiscard]] static Result<std::unique_ptr<World>, StoreError> open(Kv& kv) {
        return open(kv, Options{});
    }
    ~World();

    /// nullopt before genesis is committed.
    [[nodiscard]] std::optional<Head> head() const;

    /// Appends a block in one synced batch: after a crash all of it is there or nothing. The first
    /// block may have any number (genesis: 0); each later one must follow the head. Its state stays
    /// in memory until a flush, and is made again from the batch after a crash.
    [[nodiscard]] Result<Done, StoreError> commit_block(const Commit& commit);

    /// True if enough states are in memory that they should go to disk.
    [[nodiscard]] bool is_flush_due() const;
    /// Writes the states in memory to the tables, in small batches that let commits pass. A commit
    /// that finds far too many states in memory does it itself.
    [[nodiscard]] Result<Done, StoreError> flush();
    /// The tables with the state after this final block, whatever is committed later, for reads
    /// that take long; ends before the store. What is in memory up to there is written first. Null
    /// where the tables hold a later state already, or the store cannot.
    [[nodiscard]] Result<std::unique_ptr<const KvReader>, StoreError> freeze(uint64_t number);
    /// The block whose state the tables hold, or are on their way to.
    [[nodiscard]] uint64_t tables_at() const;
    struct DirtySize {
        size_t blocks = 0, bytes = 0;
    };
    [[nodiscard]] DirtySize dirty_size() const;

    /// Deletes a part of what the mode does not keep, and gives space back now and then; false when
    /// nothing is left to do. On the thread that flushes.
    [[nodiscard]] Result<bool, StoreError> prune();
    struct Kept {
        Pruning mode = Pruning::archive;
        uint64_t first_state = 0;  ///< states of blocks from this one on are whole
        uint64_t first_block = 0;  ///< so are bodies, receipts and indices; those of genesis always
    };
    [[nodiscard]] Kept kept() const;
    /// Ask after reading: an old state may go while it is read.
    [[nodiscard]] bool keeps_state(uint64_t number) const { return number >= kept().first_state; }
    [[nodiscard]] bool keeps_block(uint64_t number) const {
        return number == 0 || number >= kept().first_block;
    }

    [[nodiscard]] std::optional<Header> header_by_number(uint64_t number) const;
    [[nodiscard]] std::optional<Block> block_by_number(uint64_t number) const;
    [[nodiscard]] std::optional<Block> block_by_hash(const Hash& hash) const;
    [[nodiscard]] std::optional<uint64_t> number_of_hash(const Hash& hash) const;
    [[nodiscard]] std::optional<std::vector<Receipt>> receipts(uint64_t number) const;
    [[nodiscard]] std::optional<TxLocation> tx_location(const Hash& tx_hash) const;
    [[nodiscard]] std::optional<Bytes> certificate(uint64_t number) const;
    /// A record that came with Commit::extra.
    [[nodiscard]] std::optional<Bytes> extra(BytesView key) const;

    /// Nodes and codes of all final states.
    [[nodiscard]] const NodeSource& nodes() const;
    /// The state after a final block near the head from flat records, in one read instead of a walk
    /// down a trie. The view stays right beside commits and flushes; what flushes have overtaken it
    /// reads from the trie.
    [[nodiscard]] std::unique_ptr<const StateView> flat_at(const Header& final_block) const;
    /// Any final state; nullopt where its root is unknown. Safe beside commits.
    [[nodiscard]] std::optional<TrieView> view_at(const Hash& state_root) const;

    /// The first fault that a read met. Reads then answer "absent", so nobody may act on what was
    /// read (vote, build, answer) without asking here afterwards.
    [[nodiscard]] std::optional<StoreError> damage() const;

private:
    struct Impl;
    class FlatView;
    World(Kv& kv, const Options& options);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::state
