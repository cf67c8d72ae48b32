// SPDX-License-Identifier: Apache-2.0
// Batches that wait for a synced one.
#include "node/signer/joined_store.hpp"

#include <map>

namespace trainyard::node::signer {

JoinedStore::~JoinedStore() {
    (void)flush();
}

Result<Done, state::KvError> JoinedStore::flush() {
    if (held_.entries.empty()) return Done{};
    const auto done = below_->write(held_, state::Durability::synced);
    // What could not be written stays, so that no later sync passes over it.
    if (!done) return done;
    held_ = {};
    held_bytes_ = 0;
    return Done{};
}

std::optional<Bytes> JoinedStore::get(BytesView key) const {
    const std::lock_guard lock(mutex_);
    for (auto it = held_.entries.rbegin(); it != held_.entries.rend(); ++it)
        if (as_text(it->key) == as_text(key)) return it->value;
    return below_->get(key);
}

Result<Done, state::KvError> JoinedStore::write(const state::Batch& batch,
                                                state::Durability durability) {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : batch.entries) {
        held_bytes_ += entry.key.size() + (entry.value ? entry.value->size() : 0);
        held_.entries.push_back(entry);
    }
    const bool now = durability == state::Durability::synced || held_bytes_ > kHeldBytesMax;
    return now ? flush() : Done{};
}

void JoinedStore::scan(BytesView prefix,
                       const std::function<bool(BytesView, BytesView)>& visit) const {
    const std::lock_guard lock(mutex_);
    std::map<std::string_view, const std::optional<Bytes>*> held;  // the latest of each key
    for (const auto& entry : held_.entries)
        if (as_text(entry.key).starts_with(as_text(prefix)))
            held[as_text(entry.key)] = &entry.value;
    auto next = held.begin();
    bool goes_on = true;
    const auto visit_held_before = [&](const std::string_view* end) {
        for (; goes_on && next != held.end() && (end == nullptr || next->first < *end); ++next)
            if (*next->second) goes_on = visit(as_bytes(next->first), **next->second);
    };
    below_->scan(prefix, [&](BytesView key, BytesView value) {
        const auto at = as_text(key);
        visit_held_before(&at);
        const bool is_held = next != held.end() && next->first == at;
        if (goes_on && !is_held) goes_on = visit(key, value);
        return goes_on;
    });
    visit_held_before(nullptr);
}

}  // namespace trainyard::node::signer
