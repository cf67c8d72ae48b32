// SPDX-License-Identifier: Apache-2.0
// Lookups and replacement in the histories of places.
#include "consensus/transition/versions.hpp"

#include <algorithm>
#include <set>

namespace trainyard::consensus {

const std::pair<const size_t, Versions::Entry>* Versions::last_before(const Place& place,
                                                                      size_t index) const {
    const auto it = places_.find(place);
    if (it == places_.end()) return nullptr;
    const auto& entries = it->second.entries;
    auto next = entries.lower_bound(index);
    return next == entries.begin() ? nullptr : &*--next;
}

Found Versions::look(const Place& place, size_t index) const {
    Found found;
    const auto guesser = [](const auto& entry) {
        return entry.second.guessed ? std::optional(entry.first) : std::nullopt;
    };
    const auto* own = last_before(place, index);
    if (!place.slot) {
        if (own == nullptr) return found;
        found.kind = Found::Kind::account;
        found.account = own->second.account;
        found.guessed_by = guesser(*own);
        return found;
    }
    if (own != nullptr) {
        found.kind = Found::Kind::slot;
        found.slot = own->second.slot;
        found.guessed_by = guesser(*own);
    }
    // Whoever cleared the account after the slot was written left zero there.
    const auto it = places_.find({place.address, std::nullopt});
    if (it == places_.end()) return found;
    const auto& entries = it->second.entries;
    for (auto next = entries.lower_bound(index); next != entries.begin();) {
        --next;
        if (own != nullptr && next->first <= own->first) break;
        if (!next->second.clears) continue;
        found.kind = Found::Kind::slot;
        found.slot = {};
        found.guessed_by = guesser(*next);
        break;
    }
    return found;
}

Found Versions::read(const Place& place, size_t index) {
    places_[place].readers.push_back(index);
    if (place.slot) places_[{place.address, std::nullopt}].readers.push_back(index);
    return look(place, index);
}

void Versions::put(size_t index, const Place& place, Entry entry) {
    places_[place].entries[index] = std::move(entry);
    written_[index].push_back(place);
}

std::vector<size_t> Versions::write(size_t index, const state::StateDiff& diff,
                                    const std::map<Address, std::optional<state::Account>>& bases) {
    std::set<size_t> readers;
    const auto collect = [&] {
        for (const auto& place : written_[index])
            for (const size_t reader : places_[place].readers)
                if (reader > index) readers.insert(reader);
    };
    collect();
    for (const auto& place : written_[index]) places_[place].entries.erase(index);
    written_[index].clear();
    for (const auto& [address, change] : diff.accounts) {
        const Place account{address, std::nullopt};
        if (!change) {
            put(index, account, {std::nullopt, {}, true, false});
            continue;
        }
        const auto base = bases.find(address);
        const bool had = base != bases.end() && base->second;
        const bool clears = change->storage_cleared || !had;
        state::Account now{change->nonce, change->balance, change->code_hash, kEmptyTrieRoot};
        if (!clears) now.storage_root = base->second->storage_root;
        if (clears || now != *base->second) put(index, account, {now, {}, clears, false});
        for (const auto& [slot, value] : change->storage)
            put(index, {address, slot}, {std::nullopt, value, false, false});
    }
    collect();
    return {readers.begin(), readers.end()};
}

void Versions::make_guesses(size_t index) {
    for (const auto& place : written_[index]) places_[place].entries.at(index).guessed = true;
}

}  // namespace trainyard::consensus
