// SPDX-License-Identifier: Apache-2.0
// The runs of the random model: what training gives from each state, and what liars claim instead.
#pragma once

#include "market.hpp"

namespace trainyard::contracts {

/// What answered at level 1 of one attempt: stake of the last committee, and whether a committee
/// had to be asked because one of the pair was honest or somebody challenged the segment.
struct Tally {
    Uint256 truth, all;
    bool is_contested = false;
};

class Runs {
public:
    Runs(JobSpec spec, uint64_t seed) : spec_(std::move(spec)), seed_(seed) {}

    /// Each job has its own, as each has its run seed.
    [[nodiscard]] Hash initial_state(uint64_t job) const {
        return keccak256(as_bytes("init " + std::to_string(job) + " " + std::to_string(seed_)));
    }
    /// What honest training gives; it may diverge.
    [[nodiscard]] FakeSegment truth(uint32_t seg, const Hash& first) const {
        const FakeSegment run(spec_, seg, "truth" + to_hex(first.bytes), first);
        return first[0] % 8 == 0 ? run.diverging_at(1 + first[1] % spec_.steps) : run;
    }
    [[nodiscard]] bool is_true(uint32_t seg, const FakeSegment& made) const {
        return made.claims_the_same(truth(seg, made.first()));
    }
    /// Other numbers, a divergence that is none or at another step, or sums that level 0 does not
    /// see.
    [[nodiscard]] FakeSegment lie(uint32_t seg, const Hash& first, uint64_t dice) const {
        const FakeSegment right = truth(seg, first);
        const uint64_t kind = dice % 9, other = dice / 9 % (spec_.steps - 1);
        if (kind < 3) return {spec_, seg, "lie", first};
        if (kind > 4) return right.diverging_at(0).with_other_sums();
        const uint64_t step = 1 + (right.diverges_at() + other) % spec_.steps;
        return right.diverging_at(static_cast<uint32_t>(step));
    }
    /// What an accepted segment earns, before the fee.
    [[nodiscard]] Uint256 price_of(const FakeSegment& made) const {
        const uint32_t done = made.diverges_at() > 0 ? made.diverges_at() : spec_.steps;
        return spec_.price * Uint256(done) / Uint256(spec_.steps);
    }

private:
    JobSpec spec_;
    uint64_t seed_;
};

}  // namespace trainyard::contracts
