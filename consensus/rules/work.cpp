// SPDX-License-Identifier: Apache-2.0
// The rules of proof of work, all but the work.
#include "consensus/rules/work.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "core/rlp.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kDifficultyMin = 131072;      // Yellow Paper equation 51
constexpr uint64_t kDifficultyDivisor = 2048;    // Yellow Paper equation 52
constexpr uint64_t kFrontierSeconds = 13;        // until EIP-2
constexpr int64_t kStepsDownMax = 99;            // EIP-2
constexpr uint64_t kBombPeriod = 100'000;        // Yellow Paper equation 56, in blocks
constexpr size_t kOmmersMax = 2;                 // Yellow Paper section 11.1
constexpr uint64_t kRewardDivisor = 8;           // Yellow Paper section 11.3, for ommers
constexpr uint64_t kNephewRewardDivisor = 32;    // Yellow Paper section 11.3
constexpr uint64_t kWeiPerGwei = 1'000'000'000;  // and as many gwei make one ether

/// By how many steps of parent / 2048 the difficulty rises, or falls if negative.
int64_t steps(const Header& parent, uint64_t seconds, vm::DifficultyFormula formula) {
    using enum vm::DifficultyFormula;
    if (formula == frontier) return seconds < kFrontierSeconds ? 1 : -1;
    const uint64_t unit = formula == eip2 ? 10 : 9;
    const int64_t most = formula == eip100 && parent.ommers_hash != kEmptyListHash ? 2 : 1;
    const auto units = static_cast<int64_t>(std::min<uint64_t>(seconds / unit, 1000));
    return std::max(most - units, -kStepsDownMax);
}

/// What the ice age adds (Yellow Paper equation 56, EIP-649 and the delays after it).
Uint256 bomb(uint64_t number, const ChainConfig& config) {
    uint64_t delay = 0;
    for (const auto& later : config.bomb_delays)
        if (number >= later.number) delay = later.blocks;
    const uint64_t period = number > delay ? (number - delay) / kBombPeriod : 0;
    if (period < 2) return {};
    return period - 2 > 255 ? Uint256::max() : Uint256(1) << static_cast<unsigned>(period - 2);
}

bool is_among(std::span<const Block> blocks, const Hash& hash) {
    return std::any_of(blocks.begin(), blocks.end(),
                       [&](const Block& block) { return hash_header(block.header) == hash; });
}

bool is_named_by(std::span<const Block> blocks, const Header& ommer) {
    return std::any_of(blocks.begin(), blocks.end(), [&](const Block& block) {
        return std::find(block.ommers.begin(), block.ommers.end(), ommer) != block.ommers.end();
    });
}

}  // namespace

Uint256 next_difficulty(const Header& parent, uint64_t timestamp, const ChainConfig& config) {
    const auto& rules = vm::rules_of(config.revision_at(parent.number + 1, timestamp));
    if (rules.prev_randao || timestamp <= parent.timestamp) return {};
    const int64_t count = steps(parent, timestamp - parent.timestamp, rules.difficulty);
    const Uint256 step = parent.difficulty / Uint256(kDifficultyDivisor);
    const Uint256 change = step * Uint256(static_cast<uint64_t>(count < 0 ? -count : count));
    Uint256 next = parent.difficulty + change;
    if (count < 0) next = parent.difficulty > change ? parent.difficulty - change : Uint256();
    return std::max(next, Uint256(kDifficultyMin)) + bomb(parent.number + 1, config);
}

Result<Done, BlockInvalid> check_ommers(const Block& block, std::span<const Block> ancestors,
                                        const ChainConfig& config) {
    const auto bad = unexpected(BlockInvalid{BlockFault::bad_ommers, 0, {}});
    ancestors = ancestors.first(std::min(ancestors.size(), kOmmerDepthMax));
    if (block.ommers.size() > kOmmersMax) return bad;
    if (block.ommers.size() == kOmmersMax && block.ommers[0] == block.ommers[1]) return bad;
    for (const Header& ommer : block.ommers) {
        if (is_among(ancestors, hash_header(ommer)) || is_named_by(ancestors, ommer)) return bad;
        // A child of the block's own parent would be its sibling.
        if (ommer.parent_hash == block.header.parent_hash) return bad;
        const auto parent = std::find_if(ancestors.begin(), ancestors.end(), [&](const Block& b) {
            return hash_header(b.header) == ommer.parent_hash;
        });
        if (parent == ancestors.end() || !check_header(ommer, parent->header, config)) return bad;
    }
    return Done{};
}

std::vector<Reward> block_rewards(const Header& header, const std::vector<Header>& ommers,
                                  const vm::Rules& rules) {
    const Uint256 reward =
        Uint256(rules.block_reward_ether) * Uint256(kWeiPerGwei) * Uint256(kWeiPerGwei);
    if (reward.is_zero()) return {};
    Uint256 own = reward;
    std::vector<Reward> rewards;
    for (const Header& ommer : ommers) {
        const uint64_t closeness = kRewardDivisor + ommer.number - header.number;
        rewards.push_back(
            {ommer.beneficiary, reward * Uint256(closeness) / Uint256(kRewardDivisor)});
        own += reward / Uint256(kNephewRewardDivisor);
    }
    rewards.push_back({header.beneficiary, own});
    return rewards;
}

Hash ommers_hash(const std::vector<Header>& ommers) {
    rlp::Writer out;
    out.begin_list();
    for (const Header& ommer : ommers) out.raw(encode_header(ommer));
    return keccak256(out.end_list().take());
}

}  // namespace trainyard::consensus
