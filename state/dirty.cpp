// SPDX-License-Identifier: Apache-2.0
// An index over blocks: each account and slot with its versions, each node once.
#include "state/dirty.hpp"

#include <algorithm>
#include <mutex>

#include "core/assert.hpp"

namespace trainyard::state {
namespace {

constexpr std::ptrdiff_t kAhead = 8;  ///< entries of a table, while memory answers

template <class Versions>
auto last_at(const Versions& versions, uint64_t at) {
    return std::find_if(versions.rbegin(), versions.rend(),
                        [at](const auto& version) { return version.number <= at; });
}

/// That of this block, which is the last.
template <class Versions>
auto& version_of(Versions& versions, uint64_t number) {
    if (versions.empty() || versions.back().number != number)
        versions.emplace_back().number = number;
    return versions.back();
}

/// Forgets what a block and those before it left at `key`.
template <class Index, class Key>
void drop_versions(Index& index, const Key& key, uint64_t number) {
    auto* const versions = index.find(key);
    if (versions == nullptr) return;
    std::erase_if(*versions, [number](const auto& v) { return v.number <= number; });
    if (versions->empty()) index.erase(key);
}

}  // namespace

void Dirty::note(const Layer& layer) {
    add_nodes(layer.update->new_nodes);
    const std::unique_lock lock(mutex_);
    const auto& accounts = layer.diff->accounts;
    auto ahead = accounts.begin();
    for (std::ptrdiff_t i = 0; i < kAhead && ahead != accounts.end(); ++i) ++ahead;
    for (const auto& [address, change] : accounts) {
        if (ahead != accounts.end()) accounts_.prefetch((ahead++)->first);
        add(layer.number, address, change, *layer.update);
    }
}

/// They come below one nibble after the other, as they were hashed: a lock is held for many.
void Dirty::add_nodes(const NodeMap& nodes) {
    for (auto at = nodes.begin(); at != nodes.end();) {
        const size_t part = part_of(at->place);
        const std::lock_guard lock(parts_[part].mutex);
        auto& table = parts_[part].nodes;
        for (; at != nodes.end() && part_of(at->place) == part; ++at) {
            if (nodes.end() - at > kAhead) table.prefetch((at + kAhead)->hash);
            table[at->hash] = at->node;
        }
    }
}

void Dirty::push(Layer layer) {
    const std::unique_lock lock(mutex_);
    ASSERT(layers_.empty() || layer.number == layers_.back().number + 1);
    bytes_ += layer.update->new_nodes.bytes() + kNodeBytes * layer.update->new_nodes.size();
    layers_.push_back(std::move(layer));
}

void Dirty::add(uint64_t number, const Address& address, const std::optional<AccountChange>& change,
                const StateUpdate& update) {
    AccountNow& now = version_of(accounts_[address], number).value;
    now = {};
    now.is_cleared = !change || change->storage_cleared;
    if (!change) return;
    now.account = Account{change->nonce, change->balance, change->code_hash,
                          update.storage_roots.at(address)};
    for (const auto& [slot, value] : change->storage)
        version_of(slots_[{address, slot}], number).value = value;
}

void Dirty::drop_to(uint64_t number) {
    while (true) {
        // One block at a time, so that nobody waits long for the lock.
        const std::unique_lock lock(mutex_);
        if (layers_.empty() || layers_.front().number > number) return;
        const NodeMap& nodes = layers_.front().update->new_nodes;
        bytes_ -= nodes.bytes() + kNodeBytes * nodes.size();
        drop(layers_.front());
        layers_.pop_front();
    }
}

void Dirty::drop(const Layer& layer) {
    for (const auto& [hash, node, place] : layer.update->new_nodes) {
        Part& part = parts_[part_of(place)];
        const std::lock_guard lock(part.mutex);
        // One that a later block has made again stays.
        const NodePtr* const known = part.nodes.find(hash);
        if (known != nullptr && *known == node) part.nodes.erase(hash);
    }
    for (const auto& [address, change] : layer.diff->accounts) {
        drop_versions(accounts_, address, layer.number);
        if (!change) continue;
        for (const auto& [slot, value] : change->storage)
            drop_versions(slots_, SlotKey{address, slot}, layer.number);
    }
}

NodePtr Dirty::node(const Hash& hash, std::string_view place) const {
    const Part& part = parts_[part_of(place)];
    const std::lock_guard lock(part.mutex);
    const NodePtr* const found = part.nodes.find(hash);
    return found == nullptr ? nullptr : *found;
}

std::optional<std::optional<Account>> Dirty::account(const Address& address, uint64_t at) const {
    const std::shared_lock lock(mutex_);
    const auto* const versions = accounts_.find(address);
    if (versions == nullptr) return std::nullopt;
    const auto last = last_at(*versions, at);
    if (last == versions->rend()) return std::nullopt;
    return last->value.account;
}

std::optional<Uint256> Dirty::storage(const Address& address, const Uint256& slot,
                                      uint64_t at) const {
    const std::shared_lock lock(mutex_);
    const auto* const owner = accounts_.find(address);
    if (owner == nullptr) return std::nullopt;  // its slots change with it
    const auto& versions = *owner;
    const auto cleared = std::find_if(versions.rbegin(), versions.rend(), [at](const auto& v) {
        return v.number <= at && v.value.is_cleared;
    });
    const auto zero = cleared == versions.rend() ? std::nullopt : std::optional<Uint256>(0);
    const auto* const found = slots_.find({address, slot});
    if (found == nullptr) return zero;
    const auto last = last_at(*found, at);
    if (last == found->rend()) return zero;
    return zero && cleared->number > last->number ? zero : last->value;
}

std::vector<Dirty::Layer> Dirty::layers() const {
    const std::shared_lock lock(mutex_);
    return {layers_.begin(), layers_.end()};
}

Dirty::Size Dirty::size() const {
    const std::shared_lock lock(mutex_);
    return {layers_.size(), bytes_};
}

}  // namespace trainyard::state
