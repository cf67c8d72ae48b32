// SPDX-License-Identifier: Apache-2.0
// Chains from before the Merge: difficulty, ommers and rewards. The seal itself is not checked.
#pragma once

#include <span>
#include <vector>

#include "consensus/params.hpp"
#include "consensus/rules/block.hpp"
#include "core/block.hpp"
#include "core/result.hpp"

namespace trainyard::consensus {

/// How many blocks above an ommer's parent a block may still name it, and how many ancestors
/// `check_ommers` therefore needs.
inline constexpr size_t kOmmerDepthMax = 7;

/// The difficulty of a child of `parent`; zero from the Merge on.
///
/// Source: Yellow Paper section 4.3.4, EIP-2, EIP-100, and the delays of ChainConfig.
[[nodiscard]] Uint256 next_difficulty(const Header& parent, uint64_t timestamp,
                                      const ChainConfig& config);

/// At most two ommers, each the valid child of an ancestor that is neither an ancestor itself nor
/// named before. `ancestors`: the last blocks, parent first; at most kOmmerDepthMax are looked at.
///
/// Errors: bad_ommers. Source: Yellow Paper section 11.1.
[[nodiscard]] Result<Done, BlockInvalid> check_ommers(const Block& block,
                                                      std::span<const Block> ancestors,
                                                      const ChainConfig& config);

struct Reward {
    Address who;
    Uint256 wei;
    bool operator==(const Reward&) const = default;
};
/// What the protocol pays for a block and its ommers (Yellow Paper section 11.3, EIP-649, 1234);
/// nothing from the Merge on.
[[nodiscard]] std::vector<Reward> block_rewards(const Header& header,
                                                const std::vector<Header>& ommers,
                                                const vm::Rules& rules);

/// keccak of the list of ommers.
[[nodiscard]] Hash ommers_hash(const std::vector<Header>& ommers);

}  // namespace trainyard::consensus
