// SPDX-License-Identifier: Apache-2.0
// How the shards of a large body are shared out among the validators of one set.
#pragma once

#include <cstdint>
#include <vector>

#include "consensus/staking/validator_set.hpp"

namespace trainyard::consensus::dispersal {

/// Of one body: the code's field has 256 elements.
inline constexpr uint16_t kShardsMax = 255;
/// On average.
inline constexpr uint16_t kShardsPerValidatorMax = 8;

/// A pure function of the set. Invariant: 1 <= data <= total <= kShardsMax, and each validator has
/// at least one shard.
struct ShardPlan {
    uint16_t data = 1;            ///< this many shards, whichever they are, rebuild the body
    std::vector<uint16_t> first;  ///< validator i holds the shards first[i] .. first[i + 1] - 1

    [[nodiscard]] uint16_t total() const { return first.back(); }
    /// Precondition: shard < total().
    [[nodiscard]] ValidatorIndex holder_of(uint16_t shard) const;
    bool operator==(const ShardPlan&) const = default;
};

/// One shard for each validator and the rest in proportion to stake by largest remainders, ties to
/// the lower index. `data` is the least number of shards that the honest part of any quorum can
/// hold (weight Q - F): what a leader gave to a quorum can be rebuilt from its honest members. Of
/// all totals from one shard a validator on, that one whose shards are fewest bytes for a body.
/// Source: docs/spec/consensus.md, section 12.
[[nodiscard]] ShardPlan plan_shards(const ValidatorSet& validators);

}  // namespace trainyard::consensus::dispersal
