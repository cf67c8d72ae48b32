// SPDX-License-Identifier: Apache-2.0
// Reading sets, and falling back to the one before.
#include "node/chain/sets.hpp"

#include "core/assert.hpp"
#include "state/trie.hpp"

namespace trainyard::node::chain {
namespace {

constexpr size_t kKnownMax = 16;  ///< sets of 200 validators, about 30 kB each

}  // namespace

StateSets::StateSets(consensus::ValidatorSet first, Parts parts)
    : first_(std::make_shared<const consensus::ValidatorSet>(std::move(first))),
      parts_(std::move(parts)) {}

consensus::SetPtr StateSets::of_epoch(Epoch epoch) const {
    if (epoch.value < 2 || !parts_.read) return first_;
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(epoch); found != known_.end()) return found->second;
    consensus::SetPtr set;
    for (Epoch at = epoch; !set && at.value >= 2; at = at - 1) {
        const auto found = known_.find(at);
        set = found != known_.end() ? found->second : read(at);
    }
    if (!set) set = first_;
    if (known_.size() >= kKnownMax) known_.erase(known_.begin());
    known_[epoch] = set;
    return set;
}

consensus::SetPtr StateSets::read(Epoch epoch) const {
    const Height fixed = consensus::boundary_of(epoch - 2, parts_.config.epoch_length);
    const auto header = parts_.world.header_by_number(fixed.value);
    ASSERT(header || parts_.world.damage());
    if (!header) return nullptr;
    const state::TrieView view(parts_.world.nodes(), header->state_root);
    auto set = parts_.read(view, parts_.config, epoch);
    if (set) return std::make_shared<const consensus::ValidatorSet>(std::move(*set));
    if (parts_.on_unreadable) parts_.on_unreadable(epoch, set.error());
    return nullptr;
}

}  // namespace trainyard::node::chain
