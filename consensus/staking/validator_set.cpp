// SPDX-License-Identifier: Apache-2.0
// Sorting and checking of a validator set.
#include "consensus/staking/validator_set.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::consensus {
namespace {

bool has_repeated_key(const std::vector<Validator>& validators) {
    std::vector<PublicKey> keys;
    for (const auto& v : validators)
        keys.insert(keys.end(), {v.consensus_key, v.vrf_key, v.p2p_key});
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

bool spends_with_a_duty_key(const Validator& v) {
    for (const auto& key : {v.consensus_key, v.vrf_key, v.p2p_key})
        if (address_of(key) == v.address) return true;
    return false;
}

template <class Pred>
std::optional<ValidatorIndex> find_index(const std::vector<Validator>& in, Pred pred) {
    const auto it = std::find_if(in.begin(), in.end(), pred);
    if (it == in.end()) return std::nullopt;
    return static_cast<ValidatorIndex>(it - in.begin());
}

}  // namespace

Result<ValidatorSet, ValidatorSetError> ValidatorSet::make(std::vector<Validator> validators) {
    if (validators.empty()) return unexpected(ValidatorSetError::empty);
    if (validators.size() > kValidatorsMax) return unexpected(ValidatorSetError::too_many);
    const auto before = [](const Validator& a, const Validator& b) {
        return a.address < b.address;
    };
    std::sort(validators.begin(), validators.end(), before);
    uint64_t total = 0;
    for (size_t i = 0; i < validators.size(); ++i) {
        const auto& v = validators[i];
        if (i > 0 && v.address == validators[i - 1].address)
            return unexpected(ValidatorSetError::duplicate_address);
        if (v.stake_gwei == 0) return unexpected(ValidatorSetError::no_stake);
        if (v.stake_gwei >= kTotalStakeGweiMax - total)
            return unexpected(ValidatorSetError::too_much_stake);
        if (spends_with_a_duty_key(v)) return unexpected(ValidatorSetError::duplicate_key);
        total += v.stake_gwei;
    }
    if (has_repeated_key(validators)) return unexpected(ValidatorSetError::duplicate_key);
    return ValidatorSet(std::move(validators), total);
}

const Validator& ValidatorSet::at(ValidatorIndex index) const {
    ASSERT(index < validators_.size());
    return validators_[index];
}

std::optional<ValidatorIndex> ValidatorSet::find_address(const Address& address) const {
    return find_index(validators_, [&](const Validator& v) { return v.address == address; });
}

std::optional<ValidatorIndex> ValidatorSet::find_p2p_key(const PublicKey& key) const {
    return find_index(validators_, [&](const Validator& v) { return v.p2p_key == key; });
}

std::optional<ValidatorIndex> ValidatorSet::find_consensus_key(const PublicKey& key) const {
    return find_index(validators_, [&](const Validator& v) { return v.consensus_key == key; });
}

Epoch epoch_of(Height height, uint64_t length) {
    ASSERT(height.value >= 1 && length >= 1);
    return {(height.value - 1) / length};
}

Height boundary_of(Epoch epoch, uint64_t length) {
    return {(epoch.value + 1) * length};
}

std::string_view to_text(ValidatorSetError error) {
    switch (error) {
        case ValidatorSetError::empty:
            return "no validators";
        case ValidatorSetError::too_many:
            return "more than 200 validators";
        case ValidatorSetError::duplicate_address:
            return "one address twice";
        case ValidatorSetError::duplicate_key:
            return "one key used for two purposes";
        case ValidatorSetError::no_stake:
            return "a validator without stake";
        case ValidatorSetError::too_much_stake:
            return "the stakes add up to too much";
    }
    return "unknown";
}

}  // namespace trainyard::consensus
