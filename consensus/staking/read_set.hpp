// SPDX-License-Identifier: Apache-2.0
// The validator set of an epoch, read from the Staking contract's state.
#pragma once

#include <string_view>

#include "consensus/params.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/result.hpp"
#include "core/units.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

enum class ReadSetError {
    refused,    ///< no contract there, or the epoch's set is not fixed yet
    too_many,   ///< more than kValidatorsMax members
    malformed,  ///< not the encoding of a set
    bad_set,    ///< ValidatorSet::make refuses it
};
[[nodiscard]] std::string_view to_text(ReadSetError error);

/// What Staking.setOf(epoch) says on `view`. The set of e + 2 can be read from the state after the
/// last block of e on, earlier ones from any later state. Cost: a call with about 1,000 slots.
[[nodiscard]] Result<ValidatorSet, ReadSetError> read_set(const state::StateView& view,
                                                          const ChainConfig& config, Epoch epoch);

}  // namespace trainyard::consensus
