// SPDX-License-Identifier: Apache-2.0
// Who votes in which epoch of a simulated chain: a function of the state two epochs before.
#pragma once

#include <map>
#include <vector>

#include "consensus/staking/validator_set.hpp"

namespace trainyard::sim {

/// What an epoch changed against the one before. To consensus a validator in jail has left.
struct SetChanges {
    uint64_t joined = 0, gone = 0, slashed = 0, raised = 0;
};

/// The same for every node; with `churns` validators join, leave, are jailed and slashed in every
/// epoch.
class Electorate {
public:
    /// `liars` never weigh more than F of any set.
    Electorate(std::vector<consensus::Validator> validators, std::vector<bool> liars, bool churns);

    [[nodiscard]] const consensus::SetPtr& genesis() const { return genesis_; }
    [[nodiscard]] bool churns() const { return churns_; }
    /// The set of `epoch` >= 2, fixed by the state after the boundary of epoch - 2.
    [[nodiscard]] consensus::SetPtr after(Epoch epoch, const Hash& state) const;

private:
    [[nodiscard]] consensus::SetPtr draw(Epoch epoch, const Hash& state) const;
    [[nodiscard]] consensus::SetPtr make(std::vector<consensus::Validator> members) const;

    std::vector<consensus::Validator> validators_;
    std::vector<bool> liars_;
    bool churns_;
    consensus::SetPtr genesis_;
    mutable std::map<std::pair<Epoch, Hash>, consensus::SetPtr> known_;
};

[[nodiscard]] SetChanges changes_between(const consensus::ValidatorSet& before,
                                         const consensus::ValidatorSet& after);

}  // namespace trainyard::sim
