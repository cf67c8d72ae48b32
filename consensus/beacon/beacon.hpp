// SPDX-License-Identifier: Apache-2.0
// The chain's randomness: R_h from one block to the next, mini-epochs, leaders and audit seeds.
#pragma once

#include <functional>
#include <vector>

#include "consensus/staking/validator_set.hpp"
#include "core/bytes.hpp"
#include "core/units.hpp"

namespace trainyard::consensus {

/// Number of a mini-epoch: heights e * L + 1 to (e + 1) * L for mini-epochs of L blocks.
using MiniEpoch = Count<struct MiniEpochTag>;

/// What the leader of the block after a parent with beacon `parent` puts into its VRF.
///
/// Nothing in it is the leader's choice: the parent is forced by the voting rules and the view is
/// left out, so that a leader of several views over one parent gets the same output in each and can
/// only withhold it.
[[nodiscard]] Bytes beacon_alpha(uint64_t chain_id, const Hash& genesis_hash, Height height,
                                 const Hash& parent);

/// R_h = keccak256("beacon" | R_{h-1} | beta_h).
[[nodiscard]] Hash next_beacon(const Hash& parent, const Hash& beta);

/// The mini-epoch of a block. Precondition: height >= 1, length >= 1.
[[nodiscard]] MiniEpoch mini_epoch_of(Height height, uint64_t length);
[[nodiscard]] Height last_height_of(MiniEpoch epoch, uint64_t length);

/// The height whose beacon seeds the leaders of `epoch`: the end of epoch - 2, or genesis (0) for
/// the first two.
[[nodiscard]] Height schedule_seed_height(MiniEpoch epoch, uint64_t length);

/// The mini-epoch that a commitment at `height` counts for: what is committed in the last `cutoff`
/// blocks belongs to the next one, because the leaders of the tail know R_end early.
[[nodiscard]] MiniEpoch audit_epoch_of(Height height, uint64_t length, uint64_t cutoff);
/// The height whose beacon is the audit seed of everything committed in `epoch`: the end of epoch
/// + 2.
[[nodiscard]] Height audit_seed_height(MiniEpoch epoch, uint64_t length);

/// Stake-weighted draw of one leader; a pure function of its arguments.
[[nodiscard]] ValidatorIndex leader_of(const ValidatorSet& set, const Hash& seed, View view);

/// The beacon along one branch: R of its tip and the seeds that the next leaders need.
class BeaconTrail {
public:
    /// The trail at genesis; `seed` is the genesis header's prev_randao.
    BeaconTrail(uint64_t mini_epoch_length, const Hash& seed);
    /// The trail at any height; `beacon_at` gives prev_randao of a height on this branch (at most 4
    /// calls).
    [[nodiscard]] static BeaconTrail at(uint64_t mini_epoch_length, Height height,
                                        const std::function<Hash(Height)>& beacon_at);

    [[nodiscard]] Height height() const { return height_; }
    [[nodiscard]] const Hash& tip() const { return tip_; }
    /// The seed of the leaders of the block after the tip.
    [[nodiscard]] const Hash& next_seed() const;
    /// The trail one block later, whose prev_randao is `beacon`.
    [[nodiscard]] BeaconTrail extended(const Hash& beacon) const;
    bool operator==(const BeaconTrail&) const = default;

private:
    uint64_t length_;
    Height height_;
    Hash tip_;
    Hash current_seed_;  ///< of the mini-epoch of the next block
    Hash next_seed_;     ///< of the one after it: R at the end of the last complete mini-epoch
};

}  // namespace trainyard::consensus
