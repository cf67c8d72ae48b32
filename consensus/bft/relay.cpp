// SPDX-License-Identifier: Apache-2.0
// Scattering, passing on and rebuilding of large proposals.
#include "consensus/bft/relay.hpp"

#include <iterator>

namespace trainyard::consensus::bft {

using dispersal::Shard;

Relay::Relay(Epoch epoch, const SetPtr& set, std::optional<ValidatorIndex> self,
             const Params& params)
    : epoch_(epoch),
      set_(set),
      self_(self),
      plan_(dispersal::plan_shards(*set)),
      whole_body_max_bytes_(params.whole_body_max_bytes),
      set_min_(params.dispersal_set_min) {}

std::vector<std::pair<ValidatorIndex, Scatter>> Relay::scatter(const Propose& proposal) const {
    std::vector<std::pair<ValidatorIndex, Scatter>> out;
    const auto& block = *proposal.block;
    if (block.body.size() <= whole_body_max_bytes_ || set_->size() < set_min_) return out;
    const auto all = dispersal::disperse(block.body, plan_);
    const Scatter head{block.header,       proposal.justification, proposal.leader,
                       proposal.signature, all.commitment,         {}};
    for (ValidatorIndex i = 0; i < set_->size(); ++i) {
        if (i == proposal.leader) continue;
        auto& own = out.emplace_back(i, head).second.shards;
        own.assign(all.shards.begin() + plan_.first[i], all.shards.begin() + plan_.first[i + 1u]);
    }
    out.emplace_back(kNoValidator, head);
    return out;
}

Relay::Outcome Relay::on(ValidatorIndex from, const Scatter& message, View current,
                         bool is_leader) {
    Outcome out;
    const auto seal = decode_seal(message.header.extra_data);
    if (from != message.leader || !seal || seal->epoch != epoch_) return out;
    const Hash block = hash_header(message.header);
    auto* entry = admit(from, current, {seal->view, block});
    if (entry == nullptr || entry->is_done) return out;
    // A second one counts where the first, meant for a follower, had no shards.
    const bool is_late = entry->head && entry->head->commitment == message.commitment && self_ &&
                         !entry->gifts.contains(*self_);
    if (entry->head && !is_late) return out;
    entry->head = message;
    entry->head->shards.clear();
    std::erase_if(entry->gifts,
                  [&](const auto& gift) { return gift.second.commitment != message.commitment; });
    Gift mine{message.commitment, message.shards};
    if (self_ && is_gift_of(*self_, mine)) {
        if (is_leader && passed_on_.emplace(seal->view, from).second) {
            out.forward = Shards{epoch_, seal->view, block, message.commitment, message.shards};
            out.head = entry->head;
        }
        entry->gifts.emplace(*self_, std::move(mine));
    } else {
        out.is_bad_gift = self_ && !message.shards.empty();
    }
    try_rebuild(*entry, out);
    return out;
}

Relay::Outcome Relay::on(ValidatorIndex from, const Shards& message, View current) {
    Outcome out;
    if (message.epoch != epoch_ || from >= set_->size() || from == self_) return out;
    auto* entry = admit(from, current, {message.view, message.block});
    if (entry == nullptr || entry->is_done || entry->gifts.contains(from)) return out;
    if (entry->head && entry->head->commitment != message.commitment) return out;
    Gift gift{message.commitment, message.shards};
    out.is_bad_gift = !is_gift_of(from, gift);
    if (out.is_bad_gift) return out;
    entry->gifts.emplace(from, std::move(gift));
    try_rebuild(*entry, out);
    return out;
}

/// Where the shards are gathered, unless the view is far or `from` has spoken of too many blocks.
Relay::Entry* Relay::admit(ValidatorIndex from, View current, const Key& key) {
    forget_before(current);
    const View view = key.first;
    if (view < oldest_ || view.value > current.value + kRelayViewsKept) return nullptr;
    auto& spoken_of = introduced_[from];
    if (!spoken_of.contains(key) && spoken_of.size() >= kRelayBlocksPerSender) return nullptr;
    spoken_of.insert(key);
    return &entries_[key];
}

void Relay::forget_before(View current) {
    if (current.value <= oldest_.value + kRelayViewsKept) return;
    oldest_.value = current.value - kRelayViewsKept;
    const Key first{oldest_, Hash{}};
    entries_.erase(entries_.begin(), entries_.lower_bound(first));
    passed_on_.erase(passed_on_.begin(), passed_on_.lower_bound({oldest_, 0}));
    for (auto& [sender, keys] : introduced_) keys.erase(keys.begin(), keys.lower_bound(first));
}

/// All shards that `holder` holds, in order, each good.
bool Relay::is_gift_of(ValidatorIndex holder, const Gift& gift) const {
    const size_t first = plan_.first[holder], end = plan_.first[holder + 1u];
    if (gift.shards.size() != end - first) return false;
    for (size_t i = 0; i < gift.shards.size(); ++i) {
        if (gift.shards[i].index != first + i) return false;
        if (!dispersal::verify_shard(gift.commitment, plan_, gift.shards[i])) return false;
    }
    return true;
}

void Relay::try_rebuild(Entry& entry, Outcome& out) const {
    if (!entry.head || entry.is_done) return;
    size_t count = 0;
    for (const auto& [holder, gift] : entry.gifts) count += gift.shards.size();
    if (count < plan_.data) return;
    std::vector<Shard> shards;
    for (auto& [holder, gift] : std::exchange(entry.gifts, {}))
        shards.insert(shards.end(), std::make_move_iterator(gift.shards.begin()),
                      std::make_move_iterator(gift.shards.end()));
    entry.is_done = true;
    auto body = dispersal::rebuild(entry.head->commitment, plan_, shards);
    if (!body) return void(out.refused = entry.head);
    auto& head = *entry.head;
    out.rebuilt = Propose{make_block(std::move(head.header), std::move(*body)),
                          std::move(head.justification), head.leader, head.signature};
}

}  // namespace trainyard::consensus::bft
