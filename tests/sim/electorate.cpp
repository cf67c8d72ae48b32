// SPDX-License-Identifier: Apache-2.0
// Drawing of sets.
#include "tests/sim/electorate.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "tests/sim/fake_keys.hpp"
#include "tests/sim/random.hpp"

namespace trainyard::sim {

using consensus::SetPtr;
using consensus::Validator;
using consensus::ValidatorSet;

namespace {

uint64_t weight_of(const std::vector<Validator>& members) {
    uint64_t weight = 0;
    for (const auto& member : members) weight += member.stake_gwei;
    return weight;
}

}  // namespace

Electorate::Electorate(std::vector<Validator> validators, std::vector<bool> liars, bool churns)
    : validators_(std::move(validators)), liars_(std::move(liars)), churns_(churns) {
    genesis_ = make(validators_);
}

SetPtr Electorate::after(Epoch epoch, const Hash& state) const {
    if (!churns_) return genesis_;
    auto& known = known_[{epoch, state}];
    if (!known) known = draw(epoch, state);
    return known;
}

/// Half of the validators and one more at least, and of them no more liars than F.
SetPtr Electorate::draw(Epoch epoch, const Hash& state) const {
    Random random(load_le<uint64_t>(state.data()) ^ mix(epoch.value));
    const size_t first = random.next() % validators_.size();
    const size_t fewest = validators_.size() / 2 + 1;
    std::vector<Validator> members;
    for (size_t i = 0; i < validators_.size(); ++i) {
        auto validator = validators_[(first + i) % validators_.size()];
        const size_t left = validators_.size() - i;
        const bool is_needed = members.size() + left <= fewest;
        if (!is_needed && random.one_in(3)) continue;  // left, jailed, or not yet there
        if (random.one_in(3))
            validator.stake_gwei = random.between(5, 10);  // slashed, or topped up
        members.push_back(validator);
    }
    const auto is_liar = [&](const Validator& v) { return liars_[owner_of(v)]; };
    for (;;) {
        uint64_t lies = 0;
        for (const auto& member : members)
            if (is_liar(member)) lies += member.stake_gwei;
        if (lies <= (weight_of(members) - 1) / 3) break;
        members.erase(std::find_if(members.begin(), members.end(), is_liar));
    }
    return make(std::move(members));
}

SetPtr Electorate::make(std::vector<Validator> members) const {
    auto set = ValidatorSet::make(std::move(members));
    ASSERT(set.has_value());
    return std::make_shared<const ValidatorSet>(std::move(*set));
}

SetChanges changes_between(const ValidatorSet& before, const ValidatorSet& after) {
    SetChanges out;
    for (const auto& v : after.all()) {
        const auto old = before.find_address(v.address);
        const uint64_t stake_gwei = old ? before.at(*old).stake_gwei : v.stake_gwei;
        if (!old) ++out.joined;
        if (v.stake_gwei < stake_gwei) ++out.slashed;
        if (v.stake_gwei > stake_gwei) ++out.raised;
    }
    for (const auto& v : before.all())
        if (!after.find_address(v.address)) ++out.gone;
    return out;
}

}  // namespace trainyard::sim
