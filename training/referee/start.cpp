// SPDX-License-Identifier: Apache-2.0
// Claims as bytes.
#include "training/referee/start.hpp"

#include <limits>

namespace trainyard::training::referee {

namespace {

/// Fields one after the other, from input that is long enough for all.
class Cursor {
public:
    explicit Cursor(BytesView from) : from_(from) {}
    Hash hash() { return *fixed_from<Hash>(take(Hash::size())); }
    uint32_t number() {
        uint32_t out = 0;
        for (const uint8_t byte : take(4)) out = out << 8 | byte;
        return out;
    }

private:
    BytesView take(size_t bytes) {
        const BytesView out = from_.first(bytes);
        from_ = from_.subspan(bytes);
        return out;
    }
    BytesView from_;
};

}  // namespace

Bytes encode_claim(const Claim& claim) {
    const SegmentClaim& s = claim.segment;
    Bytes out;
    append(out, claim.program.bytes);
    append(out, claim.run_seed.bytes);
    for (const uint32_t x : {claim.micro_batches, claim.loss_bits, s.first_step, s.steps})
        for (int shift = 24; shift >= 0; shift -= 8)
            out.push_back(static_cast<uint8_t>(x >> shift));
    for (const Hash* root : {&s.first_root, &s.last_root, &s.steps_root}) append(out, root->bytes);
    return out;
}

std::optional<State> start(BytesView claim) {
    if (claim.size() != kClaimBytes) return std::nullopt;
    Cursor from(claim);
    State state;
    Claim& c = state.claim;
    c.program = from.hash();
    c.run_seed = from.hash();
    c.micro_batches = from.number();
    c.loss_bits = from.number();
    c.segment.first_step = from.number();
    c.segment.steps = from.number();
    c.segment.first_root = from.hash();
    c.segment.last_root = from.hash();
    c.segment.steps_root = from.hash();
    const bool fits =
        c.micro_batches >= 1 && c.micro_batches <= ProgramLimits::micro_batches_max &&
        c.segment.steps >= 1 && c.segment.steps <= ProgramLimits::segment_length_max &&
        c.segment.first_step <= std::numeric_limits<uint32_t>::max() - c.segment.steps;
    return fits ? std::optional(std::move(state)) : std::nullopt;
}

}  // namespace trainyard::training::referee
