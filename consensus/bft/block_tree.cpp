// SPDX-License-Identifier: Apache-2.0
// Growing and pruning of the tree of blocks that are not final.
#include "consensus/bft/block_tree.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::consensus::bft {

TreeBlock BlockTree::root_of(const FinalPoint& point) const {
    const auto seal = decode_seal(point.header.extra_data);
    // Genesis has no seal. It and the boundary of the epoch before stand for view 0.
    const bool is_of_epoch = point.header.number > 0 && seal && seal->epoch == epoch_;
    const View view = is_of_epoch ? seal->view : View{0};
    auto data = std::make_shared<BlockData>();
    data->header = point.header;
    data->hash = point.hash;
    return {.block = std::move(data),
            .view = view,
            .leader_seed = {},
            .beacon = point.beacon,
            .execution = Execution::valid,
            .certificate = point.certificate};
}

BlockTree::BlockTree(const FinalPoint& root, const ValidatorSet& set, Epoch epoch, Height last)
    : set_(set), epoch_(epoch), last_(last), root_(root.hash) {
    blocks_.emplace(root.hash, root_of(root));
}

const TreeBlock* BlockTree::find(const Hash& hash) const {
    const auto it = blocks_.find(hash);
    return it == blocks_.end() ? nullptr : &it->second;
}

TreeBlock* BlockTree::find(const Hash& hash) {
    const auto it = blocks_.find(hash);
    return it == blocks_.end() ? nullptr : &it->second;
}

TreeBlock* BlockTree::insert(const BlockPtr& block) {
    const auto* parent = find(block->header.parent_hash);
    const auto seal = decode_seal(block->header.extra_data);
    if (!parent || !seal || seal->epoch != epoch_ || is_last(*parent)) return nullptr;
    if (block->header.number != parent->block->header.number + 1) return nullptr;
    if (seal->parent_view != parent->view || seal->view <= parent->view) return nullptr;
    TreeBlock added{.block = block,
                    .view = seal->view,
                    .leader = leader_above(*parent, seal->view),
                    .leader_seed = parent->beacon.next_seed(),
                    .beacon = parent->beacon.extended(block->header.prev_randao),
                    .execution = Execution::unasked,
                    .certificate = nullptr};
    if (parent->execution == Execution::invalid) added.execution = Execution::invalid;
    return &blocks_.emplace(block->hash, std::move(added)).first->second;
}

ValidatorIndex BlockTree::leader_above(const TreeBlock& parent, View view) const {
    const auto& seed = is_last(parent) ? parent.leader_seed : parent.beacon.next_seed();
    const bool is_known = draw_.leader != kNoValidator && draw_.view == view && draw_.seed == seed;
    if (!is_known) draw_ = {seed, view, leader_of(set_, seed, view)};
    return draw_.leader;
}

void BlockTree::set_certificate(TreeBlock& entry, const CertPtr& certificate) const {
    entry.certificate = certificate;
    if (!is_last(entry) || certificate->view == entry.view) return;
    entry.view = certificate->view;
    entry.leader = leader_above(entry, entry.view);
}

void BlockTree::set_execution(const Hash& hash, Execution execution) {
    auto* found = find(hash);
    if (!found) return;
    found->execution = execution;
    if (execution != Execution::invalid) return;
    for (auto& [child, entry] : blocks_)
        if (child != hash && descends_from(child, hash)) entry.execution = Execution::invalid;
}

std::vector<Hash> BlockTree::executable() const {
    std::vector<Hash> out;
    for (const auto& [hash, entry] : blocks_) {
        if (entry.execution != Execution::unasked) continue;
        const auto* parent = find(entry.block->header.parent_hash);
        if (parent && parent->execution == Execution::valid) out.push_back(hash);
    }
    return out;
}

std::vector<BlockPtr> BlockTree::path_to(const Hash& hash) const {
    std::vector<BlockPtr> out;
    for (Hash at = hash; at != root_;) {
        const auto* entry = find(at);
        if (!entry) return {};
        out.push_back(entry->block);
        at = entry->block->header.parent_hash;
    }
    std::reverse(out.begin(), out.end());
    return out;
}

void BlockTree::advance_root(const Hash& hash) {
    ASSERT(find(hash) != nullptr);
    std::vector<Hash> doomed;
    for (const auto& [other, entry] : blocks_)
        if (!descends_from(other, hash)) doomed.push_back(other);
    for (const auto& other : doomed) blocks_.erase(other);
    root_ = hash;
}

void BlockTree::replace_root(const FinalPoint& root) {
    auto* known = find(root.hash);
    if (!known) {
        blocks_.clear();
        blocks_.emplace(root.hash, root_of(root));
        root_ = root.hash;
        return;
    }
    known->execution = Execution::valid;
    if (root.certificate) known->certificate = root.certificate;
    advance_root(root.hash);
}

bool BlockTree::descends_from(const Hash& hash, const Hash& ancestor) const {
    const auto* target = find(ancestor);
    for (Hash at = hash; target;) {
        if (at == ancestor) return true;
        const auto* entry = find(at);
        if (!entry || entry->block->header.number <= target->block->header.number) return false;
        at = entry->block->header.parent_hash;
    }
    return false;
}

}  // namespace trainyard::consensus::bft
