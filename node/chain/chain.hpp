// SPDX-License-Identifier: Apache-2.0
// The ledger as a node sees it: final blocks in the store, and above them the tree of executed
// ones.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "consensus/params.hpp"
#include "consensus/staking/validator_set.hpp"
#include "consensus/transition/block.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "node/chain/sets.hpp"
#include "node/chain/snapshot_maker.hpp"
#include "node/config/genesis.hpp"
#include "state/kv.hpp"
#include "state/view.hpp"
#include "state/world.hpp"

namespace trainyard::node::chain {

/// One executed block with everything its execution gave; never changes.
struct ChainBlock {
    Block block;
    Hash hash;
    std::vector<Address> senders;
    std::vector<Receipt> receipts;
    state::StateDiff diff;
    state::StateUpdate update;  ///< root and trie nodes that this block adds
    [[nodiscard]] uint64_t height() const { return block.header.number; }
    /// Where in the block a transaction is. The first call hashes all of them. Thread-safe.
    [[nodiscard]] std::optional<size_t> index_of(const Hash& tx) const;

private:
    mutable std::once_flag hashed_;
    mutable std::vector<std::pair<Hash, size_t>> by_hash_;  ///< sorted
};
using ChainBlockPtr = std::shared_ptr<const ChainBlock>;

struct ChainError {
    std::string what;     ///< what is wrong, where, and what to do
    bool is_own = false;  ///< this node's failure, not that of whoever sent a block
};

/// What to say of a block that a quorum made final and that execution refuses here.
[[nodiscard]] std::string diverged_words(const Hash& block);

enum class Verdict : uint8_t { valid, invalid, unavailable };

/// Gives the next candidate of a build, best first; nullopt when there are no more.
using CandidateSource = std::function<std::optional<consensus::Candidate>()>;

struct BuildRequest {
    Header parent;
    Hash parent_hash;
    Bytes extra_data;
    Hash prev_randao;
    Address beneficiary;
    uint64_t now_s = 0;                     ///< seconds since 1970
    std::function<bool()> is_time_up = {};  ///< then no more transactions are added; may be empty
};

/// Thread-safe. A thread of its own moves final states from memory to disk. Executions run on the
/// caller's thread and in parallel; what becomes final is written in one synced batch.
class Chain {
public:
    /// Block 0 and the state after it: of a genesis file of ours, or of a foreign chain's.
    struct FirstBlock {
        FirstBlock(const config::Genesis& genesis)
            : block(config::genesis_block(genesis)), state(config::genesis_state(genesis)) {}
        FirstBlock(Block b, state::StateDiff s) : block(std::move(b)), state(std::move(s)) {}
        Block block;
        state::StateDiff state;
    };
    struct Options {
        consensus::ChainConfig config;
        FirstBlock first;
        std::optional<consensus::ValidatorSet> validators;  ///< of genesis; none on a foreign chain
        consensus::Executor* executor = nullptr;            ///< threads for one block; may be null
        SetReader read_set{};  ///< none: the set of genesis is that of all epochs
        std::function<void(Epoch, const std::string& why)> on_unreadable_set{};
        MakeSnapshot make_snapshot{};  ///< at the boundaries of epochs; none: no snapshots
        bool one_by_one = false;       ///< the executor's threads run no transactions
        state::World::Options store{};
    };
    /// Opens the store, or writes the genesis into an empty one.
    [[nodiscard]] static Result<std::unique_ptr<Chain>, ChainError> open(state::Kv& kv,
                                                                         Options options);
    ~Chain();

    [[nodiscard]] const consensus::ChainConfig& config() const;
    /// True if nobody votes on this chain: it was imported, and gets no new blocks.
    [[nodiscard]] bool is_foreign() const;
    /// The sets of all epochs that are fixed. Precondition: not foreign.
    [[nodiscard]] const consensus::ValidatorSets& sets() const;
    /// The set that votes on the block after the last final one. Precondition: not foreign.
    [[nodiscard]] consensus::SetPtr validators() const;
    [[nodiscard]] Epoch epoch() const;  ///< of that block
    [[nodiscard]] const Hash& genesis_hash() const;

    // --- for the vote machine
    [[nodiscard]] bool is_body_of(const Header& header, BytesView body) const;
    [[nodiscard]] bool is_plausible(const Header& parent, const Header& header) const;
    [[nodiscard]] Verdict execute(const consensus::bft::BlockData& block);
    /// Null if the parent is unknown here.
    [[nodiscard]] consensus::bft::BlockPtr build(const BuildRequest& request,
                                                 const CandidateSource& candidates);
    /// Makes an executed block the `latest` one.
    void certify(const Hash& hash);
    /// Makes an executed block final; one that is final already is passed over.
    [[nodiscard]] Result<Done, ChainError> finalise(const Hash& hash,
                                                    const consensus::bft::Certificate& certificate);
    [[nodiscard]] consensus::bft::FinalPoint final_point() const;
    /// The FINALIZATION of the last block of an epoch, or null where that is not final here.
    [[nodiscard]] consensus::bft::CertPtr boundary_certificate(Epoch epoch) const;
    /// What proves the boundary of an epoch to those who hold no state (consensus::light::Boundary,
    /// encoded); nullopt where it is not recorded here.
    [[nodiscard]] std::optional<Bytes> boundary(Epoch epoch) const;
    /// A final block as the machine sends it to a peer, or null.
    [[nodiscard]] consensus::bft::BlockPtr final_block(const Hash& hash) const;

    // --- for catching up
    struct FinalBytes {
        Bytes block;
        Bytes certificate;
    };
    [[nodiscard]] std::optional<FinalBytes> final_bytes(uint64_t height) const;
    /// What made the block of this height final: its own certificate, or a descendant's.
    [[nodiscard]] std::optional<Bytes> certificate(uint64_t height) const;
    /// Takes the next final block. Its certificate may be a descendant's: then the block waits
    /// until one comes that certifies itself. Errors say what is wrong, and whose failure it is.
    [[nodiscard]] Result<Done, ChainError> apply_final(BytesView block, BytesView certificate);

    // --- reads; blocks and views once handed out never change
    [[nodiscard]] ChainBlockPtr latest() const;
    [[nodiscard]] ChainBlockPtr finalised() const;
    [[nodiscard]] ChainBlockPtr by_hash(const Hash& hash) const;   ///< canonical or in the tree
    [[nodiscard]] ChainBlockPtr by_number(uint64_t number) const;  ///< on the branch of `latest`
    /// Without the body, which may be gone: for scans over many blocks.
    [[nodiscard]] std::optional<Header> header(uint64_t number) const;
    [[nodiscard]] bool is_canonical(const ChainBlock& block) const;
    struct TxPlace {
        ChainBlockPtr block;
        size_t index = 0;
    };
    [[nodiscard]] std::optional<TxPlace> find_tx(const Hash& hash) const;
    /// Whether the state after a block is whole. Ask again after reading an old one, which may go
    /// meanwhile; what is read of a state that is gone is not damage.
    [[nodiscard]] bool keeps_state(const Hash& block_hash) const;
    /// True for a final block of which only header and certificate are left.
    [[nodiscard]] bool is_pruned(uint64_t number) const;
    [[nodiscard]] std::optional<uint64_t> final_number(const Hash& block_hash) const;
    struct StoreStatus {
        state::World::Kept kept;
        state::World::DirtySize dirty;
    };
    [[nodiscard]] StoreStatus store_status() const;
    /// The state after a block; null if it is unknown here.
    [[nodiscard]] std::shared_ptr<const state::StateView> view(const Hash& block_hash) const;
    /// The trie below a block's state root, for proofs; null if it is unknown here.
    [[nodiscard]] std::shared_ptr<const state::NodeSource> nodes(const Hash& block_hash) const;
    /// Hashes of a block and of those below it, as BLOCKHASH asks for them; the chain outlives it.
    [[nodiscard]] consensus::BlockHashes hashes_up_to(const Hash& block) const;

    // --- events, called on the thread that caused them, outside any lock
    struct Listener {
        std::function<void(const ChainBlockPtr&)> on_latest;
        std::function<void(const ChainBlockPtr&)> on_final;
    };
    /// Precondition: nothing runs yet.
    void listen(Listener listener);

private:
    struct Impl;
    explicit Chain(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::chain
