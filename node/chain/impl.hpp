// SPDX-License-Identifier: Apache-2.0
// What Chain is made of; private to this folder.
#pragma once

#include <mutex>

#include "node/chain/chain.hpp"
#include "node/chain/executor.hpp"
#include "node/chain/store.hpp"
#include "node/chain/store_keeper.hpp"
#include "node/chain/tree.hpp"

namespace trainyard::node::chain {

/// Trie nodes of a branch of executed blocks over those of the final states.
class BranchNodes final : public state::NodeSource {
public:
    BranchNodes(const state::World& world, uint64_t base, std::vector<ChainBlockPtr> branch)
        : world_(world), base_(base), branch_(std::move(branch)) {}
    [[nodiscard]] state::NodePtr node(const Hash& hash, std::string_view place) const override;
    /// An old state that has gone meanwhile is no damage.
    void report(const state::TrieError& error) const override;

private:
    const state::World& world_;
    const uint64_t base_;  ///< number of the final block below
    std::vector<ChainBlockPtr> branch_;
};

/// A branch of the tree as one moment saw it.
struct Branch {
    ChainBlockPtr base;                ///< the final block below
    std::vector<ChainBlockPtr> above;  ///< from its child to the tip
    [[nodiscard]] const ChainBlockPtr& tip() const { return above.empty() ? base : above.back(); }
};

/// The state after one block, which keeps what it reads from alive. Accounts come from the trie,
/// whose way down to them the root of the next block needs too; slots from the flat records.
class BranchView final : public state::StateView {
public:
    BranchView(const state::World& world, const Branch& branch)
        : branch_(branch),
          nodes_(std::make_shared<const BranchNodes>(world, branch.base->height(), branch.above)),
          trie_(*nodes_, branch.tip()->block.header.state_root),
          flat_(world.flat_at(branch.base->block.header)) {}
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override {
        return trie_.account(address);
    }
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override { return trie_.code(code_hash); }
    [[nodiscard]] const std::shared_ptr<const BranchNodes>& nodes() const { return nodes_; }

private:
    const Branch branch_;
    const std::shared_ptr<const BranchNodes> nodes_;
    const state::TrieView trie_;
    const std::unique_ptr<const state::StateView> flat_;
};

/// The block's threads as the trie takes them.
inline state::SideBySide side_by_side(consensus::Executor* executor) {
    if (executor == nullptr) return {};
    return [executor](const std::function<void()>& work) { executor->run(work); };
}

struct Chain::Impl {
    Impl(Options o, std::unique_ptr<state::World> w)
        : options(std::move(o)),
          world(std::move(w)),
          store(*world),
          keeper(*world, {options.config.epoch_length, options.make_snapshot}) {
        if (options.validators)
            sets.emplace(*options.validators,
                         StateSets::Parts{*world, options.config, options.read_set,
                                          options.on_unreadable_set});
    }

    const Options options;
    std::unique_ptr<state::World> world;
    FinalBlocks store;
    std::optional<StateSets> sets;  ///< none on a foreign chain
    vm::CodeCache codes;
    Hash genesis_hash;
    Listener listener;

    ThreadExecutor commit_threads{2};  ///< not the blocks' threads, which one block may have long

    std::mutex commit_mutex;   ///< one thread makes blocks final at a time; taken before `mutex`
    mutable std::mutex mutex;  ///< guards tree and latest
    Tree tree;
    Hash latest;
    struct Waiting {
        Hash hash;
        Bytes body;
        Header header;
    };
    std::vector<Waiting>
        waiting;         ///< guarded by commit_mutex: final blocks without own certificate
    StoreKeeper keeper;  ///< goes first: it works on the world

    /// Null members if the hash is neither in the tree nor final.
    [[nodiscard]] std::optional<Branch> branch_to(const Hash& hash) const;
    [[nodiscard]] std::shared_ptr<const BranchView> view_of(const Branch& branch) const;
    [[nodiscard]] std::optional<ChainBlockPtr> recent(uint64_t number) const;
    [[nodiscard]] consensus::bft::ChainIdentity identity() const {
        return {options.config.chain_id, genesis_hash};
    }
    /// Executes on its parent's state; the block joins the tree if it is valid.
    [[nodiscard]] Verdict run(const Header& header, BytesView body);
    [[nodiscard]] bool make_way_for(const Header& header, const ChainBlock& base);
    [[nodiscard]] bool has_room_to_wait() const;
    [[nodiscard]] Result<Done, ChainError> commit_one(const ChainBlockPtr& block,
                                                      BytesView certificate);
    [[nodiscard]] Result<Done, ChainError> finalise_branch(
        const Hash& hash, const consensus::bft::Certificate& certificate);
};

}  // namespace trainyard::node::chain
