// SPDX-License-Identifier: Apache-2.0
// Beacon values, mini-epochs and the draw of leaders.
#include "consensus/beacon/beacon.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus {

Bytes beacon_alpha(uint64_t chain_id, const Hash& genesis_hash, Height height, const Hash& parent) {
    Bytes alpha;
    append(alpha, as_bytes("trainyard/beacon/v1"));
    append_le<uint64_t>(alpha, chain_id);
    append(alpha, genesis_hash.bytes);
    append_le<uint64_t>(alpha, height.value);
    append(alpha, parent.bytes);
    return alpha;
}

Hash next_beacon(const Hash& parent, const Hash& beta) {
    Bytes bytes;
    append(bytes, as_bytes("beacon"));
    append(bytes, parent.bytes);
    append(bytes, beta.bytes);
    return keccak256(bytes);
}

MiniEpoch mini_epoch_of(Height height, uint64_t length) {
    ASSERT(height.value >= 1 && length >= 1);
    return {(height.value - 1) / length};
}

Height last_height_of(MiniEpoch epoch, uint64_t length) {
    return {(epoch.value + 1) * length};
}

Height schedule_seed_height(MiniEpoch epoch, uint64_t length) {
    return epoch.value < 2 ? Height{0} : last_height_of(epoch - 2, length);
}

MiniEpoch audit_epoch_of(Height height, uint64_t length, uint64_t cutoff) {
    return mini_epoch_of(height + cutoff, length);
}

Height audit_seed_height(MiniEpoch epoch, uint64_t length) {
    return last_height_of(epoch + 2, length);
}

ValidatorIndex leader_of(const ValidatorSet& set, const Hash& seed, View view) {
    Bytes bytes;
    append(bytes, as_bytes("trainyard/leader/v1"));
    append(bytes, seed.bytes);
    append_le<uint64_t>(bytes, view.value);
    const Hash draw = keccak256(bytes);
    // 128 bits modulo at most 2^62: the bias is below 2^-66.
    const auto wide = static_cast<unsigned __int128>(load_le<uint64_t>(draw.data() + 8)) << 64 |
                      load_le<uint64_t>(draw.data());
    auto point = static_cast<uint64_t>(wide % set.total_weight());
    for (ValidatorIndex i = 0; i < set.size(); ++i) {
        if (point < set.at(i).stake_gwei) return i;
        point -= set.at(i).stake_gwei;
    }
    ASSERT(false);
    return 0;
}

BeaconTrail::BeaconTrail(uint64_t mini_epoch_length, const Hash& seed)
    : length_(mini_epoch_length), tip_(seed), current_seed_(seed), next_seed_(seed) {
    ASSERT(mini_epoch_length >= 1);
}

BeaconTrail BeaconTrail::at(uint64_t mini_epoch_length, Height height,
                            const std::function<Hash(Height)>& beacon_at) {
    const MiniEpoch next = mini_epoch_of(height + 1, mini_epoch_length);
    BeaconTrail trail(mini_epoch_length, beacon_at(height));
    trail.height_ = height;
    trail.current_seed_ = beacon_at(schedule_seed_height(next, mini_epoch_length));
    trail.next_seed_ = beacon_at(schedule_seed_height(next + 1, mini_epoch_length));
    return trail;
}

const Hash& BeaconTrail::next_seed() const {
    return current_seed_;
}

BeaconTrail BeaconTrail::extended(const Hash& beacon) const {
    BeaconTrail trail = *this;
    trail.tip_ = beacon;
    ++trail.height_;
    if (trail.height_.value % length_ == 0) {
        trail.current_seed_ = next_seed_;
        trail.next_seed_ = beacon;
    }
    return trail;
}

}  // namespace trainyard::consensus
