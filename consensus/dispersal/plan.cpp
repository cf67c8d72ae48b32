// SPDX-License-Identifier: Apache-2.0
// Shares of shards in proportion to stake, in integers.
#include "consensus/dispersal/plan.hpp"

#include <algorithm>
#include <numeric>

#include "core/assert.hpp"

namespace trainyard::consensus::dispersal {
namespace {

__extension__ using Uint128 = unsigned __int128;

std::vector<uint16_t> shares_of(const ValidatorSet& validators, uint16_t total) {
    const size_t n = validators.size();
    const uint64_t spare = total - n, weight = validators.total_weight();
    std::vector<uint16_t> shares(n, 1);
    std::vector<uint64_t> remainders(n);
    uint64_t left = spare;
    for (ValidatorIndex i = 0; i < n; ++i) {
        const Uint128 due = Uint128{validators.at(i).stake_gwei} * spare;
        const auto whole = static_cast<uint16_t>(due / weight);
        remainders[i] = static_cast<uint64_t>(due % weight);
        shares[i] = static_cast<uint16_t>(shares[i] + whole);
        left -= whole;
    }
    std::vector<ValidatorIndex> order(n);
    std::iota(order.begin(), order.end(), ValidatorIndex{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return remainders[a] > remainders[b]; });
    for (uint64_t i = 0; i < left; ++i) ++shares[order[i]];
    return shares;
}

/// Rounded up, the least number of shards of validators that together weigh `weight`: the
/// fractional knapsack, which no choice of whole validators undercuts.
uint64_t fewest_shards(const ValidatorSet& validators, const std::vector<uint16_t>& shares,
                       uint64_t weight) {
    std::vector<ValidatorIndex> order(validators.size());
    std::iota(order.begin(), order.end(), ValidatorIndex{0});
    const auto stake = [&](ValidatorIndex i) { return validators.at(i).stake_gwei; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
        return Uint128{shares[a]} * stake(b) < Uint128{shares[b]} * stake(a);
    });
    uint64_t shards = 0;
    for (const auto i : order) {
        if (weight <= stake(i)) {
            const Uint128 part = Uint128{shares[i]} * weight;
            return shards + static_cast<uint64_t>((part + stake(i) - 1) / stake(i));
        }
        shards += shares[i];
        weight -= stake(i);
    }
    return shards;
}

ShardPlan plan_of(const ValidatorSet& validators, uint16_t total) {
    const auto shares = shares_of(validators, total);
    ShardPlan plan;
    plan.first.assign(validators.size() + 1, 0);
    std::partial_sum(shares.begin(), shares.end(), plan.first.begin() + 1);
    const uint64_t honest = validators.quorum() - validators.fault_bound();
    plan.data = static_cast<uint16_t>(fewest_shards(validators, shares, honest));
    ASSERT(plan.data >= 1 && plan.data <= plan.total());
    return plan;
}

}  // namespace

ValidatorIndex ShardPlan::holder_of(uint16_t shard) const {
    ASSERT(shard < total());
    const auto after = std::upper_bound(first.begin(), first.end(), shard);
    return static_cast<ValidatorIndex>(after - first.begin() - 1);
}

ShardPlan plan_shards(const ValidatorSet& validators) {
    const size_t n = validators.size();
    static_assert(kValidatorsMax <= kShardsMax);
    const size_t most = std::min<size_t>(kShardsMax, n * kShardsPerValidatorMax);
    ShardPlan best;
    for (size_t total = n; total <= most; ++total) {
        auto plan = plan_of(validators, static_cast<uint16_t>(total));
        const bool is_better = best.first.empty() || plan.total() * uint32_t{best.data} <
                                                         best.total() * uint32_t{plan.data};
        if (is_better) best = std::move(plan);
    }
    return best;
}

}  // namespace trainyard::consensus::dispersal
