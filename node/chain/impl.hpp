// SPDX-License-Identifier: Apache-2.0
// What Chain is made of; private to this folder.
#pragma once

#include <mutex>

#include "node/chain/chain.hpp"
#include "node/chain/store.hpp"
#include "node/chain/tree.hpp"

namespace trainyard::node::chain {

/// Trie nodes of a branch of executed blocks over those of the final states.
class BranchNodes final : public state::NodeSource {
public:
    BranchNodes(const state::World& world, std::vector<ChainBlockPtr> branch)
        : world_(world), branch_(std::move(branch)) {}
    [[nodiscard]] std::optional<Bytes> node(const Hash& hash) const override;
    void report(const state::TrieError& error) const override { world_.nodes().report(error); }

private:
    const state::World& world_;
    std::vector<ChainBlockPtr> branch_;
};

/// The state after one block, which keeps its nodes alive.
class BranchView final : public state::StateView {
public:
    BranchView(std::shared_ptr<const BranchNodes> nodes, const Hash& root)
        : nodes_(std::move(nodes)), trie_(*nodes_, root) {}
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override {
        return trie_.account(address);
    }
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override {
        return trie_.storage(address, slot);
    }
    [[nodiscard]] Bytes code(const Hash& code_hash) const override { return trie_.code(code_hash); }
    [[nodiscard]] const std::shared_ptr<const BranchNodes>& nodes() const { return nodes_; }

private:
    std::shared_ptr<const BranchNodes> nodes_;
    state::TrieView trie_;
};

/// A branch of the tree as one moment saw it.
struct Branch {
    ChainBlockPtr base;                ///< the final block below
    std::vector<ChainBlockPtr> above;  ///< from its child to the tip
    [[nodiscard]] const ChainBlockPtr& tip() const { return above.empty() ? base : above.back(); }
};

struct Chain::Impl {
    Impl(Options o, std::unique_ptr<state::World> w)
        : options(std::move(o)), world(std::move(w)), store(*world) {
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
        waiting;  ///< guarded by commit_mutex: final blocks without own certificate

    /// Null members if the hash is neither in the tree nor final.
    [[nodiscard]] std::optional<Branch> branch_to(const Hash& hash) const;
    [[nodiscard]] std::shared_ptr<const BranchView> view_of(const Branch& branch) const;
    [[nodiscard]] consensus::bft::ChainIdentity identity() const {
        return {options.config.chain_id, genesis_hash};
    }
    /// Executes on its parent's state; the block joins the tree if it is valid.
    [[nodiscard]] Verdict run(const Header& header, BytesView body);
    [[nodiscard]] Result<Done, ChainError> commit_one(const ChainBlockPtr& block,
                                                      BytesView certificate);
    [[nodiscard]] Result<Done, ChainError> finalise_branch(
        const Hash& hash, const consensus::bft::Certificate& certificate);
};

}  // namespace trainyard::node::chain
