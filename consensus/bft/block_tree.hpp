// SPDX-License-Identifier: Apache-2.0
// The blocks above the last final one: how they hang together and what execution said.
#pragma once

#include <map>
#include <vector>

#include "consensus/bft/bft.hpp"

namespace trainyard::consensus::bft {

enum class Execution : uint8_t { unasked, running, unavailable, valid, invalid };

struct TreeBlock {
    BlockPtr block;  ///< the root's body may be absent
    /// Of its seal; of the latest certificate where the epoch's last block was proposed again.
    View view;
    ValidatorIndex leader = kNoValidator;  ///< of that view
    Hash leader_seed;                      ///< of the views that may propose this block
    BeaconTrail beacon;                    ///< with this block's beacon as its tip
    Execution execution = Execution::unasked;
    CertPtr certificate;  ///< shows that it is notarized or final, once certified here
};

/// Invariant: every block but the root has its parent in the tree; a valid block has a valid
/// parent; all but the root are of one epoch.
class BlockTree {
public:
    /// `last` is the epoch's last height. `set` outlives the tree.
    BlockTree(const FinalPoint& root, const ValidatorSet& set, Epoch epoch, Height last);

    [[nodiscard]] const TreeBlock& root() const { return blocks_.at(root_); }
    [[nodiscard]] const TreeBlock* find(const Hash& hash) const;
    [[nodiscard]] TreeBlock* find(const Hash& hash);
    [[nodiscard]] const std::map<Hash, TreeBlock>& all() const { return blocks_; }

    /// Adds a block whose parent is in the tree; its header must follow the parent's by number, and
    /// be of this epoch. Returns nullptr if it does not fit.
    TreeBlock* insert(const BlockPtr& block);
    /// The leader of a view that goes on from `parent`: with a child of it, or with the block
    /// itself where it is the epoch's last.
    [[nodiscard]] ValidatorIndex leader_above(const TreeBlock& parent, View view) const;
    [[nodiscard]] bool is_last(const TreeBlock& entry) const {
        return entry.block->header.number == last_.value;
    }
    /// Certified here by this certificate, perhaps of a later view than before.
    void set_certificate(TreeBlock& entry, const CertPtr& certificate) const;
    /// A verdict; the descendants of an invalid block become invalid too.
    void set_execution(const Hash& hash, Execution execution);
    /// Blocks that can be executed now: not asked for yet, parent valid.
    [[nodiscard]] std::vector<Hash> executable() const;
    /// From the root's child to `hash`; empty if it does not descend from the root.
    [[nodiscard]] std::vector<BlockPtr> path_to(const Hash& hash) const;
    /// Makes a descendant the root and drops everything that does not descend from it.
    void advance_root(const Hash& hash);
    /// Starts over from a final block that came from elsewhere; keeps its descendants if it is
    /// known.
    void replace_root(const FinalPoint& root);

private:
    [[nodiscard]] TreeBlock root_of(const FinalPoint& point) const;
    [[nodiscard]] bool descends_from(const Hash& hash, const Hash& ancestor) const;

    const ValidatorSet& set_;
    Epoch epoch_;
    Height last_;
    std::map<Hash, TreeBlock> blocks_;
    Hash root_;
    /// The draw made last: the same one is asked for after every input of a view.
    struct Draw {
        Hash seed;
        View view;
        ValidatorIndex leader = kNoValidator;
    };
    mutable Draw draw_;
};

}  // namespace trainyard::consensus::bft
