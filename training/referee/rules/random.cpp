// SPDX-License-Identifier: Apache-2.0
// Numbers of the counter RNG, and what diffusion does with them: docs/spec/numerics.md, section 17.
#include "core/assert.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/rules/folds.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Of the schedule: column b at the timestep of record a, and column a at timestep `given`.
enum Kind : uint8_t { kCoefficient = kFirstOwnKind, kPicked };

constexpr uint8_t kTimesteps = 2, kSchedule = 3;

Line noise_line(const Call& call, uint32_t element) {
    return fixed_line(unit_noise(element, call.attributes[0], call.step, call.seed));
}

Line timestep_line(const Call& call, uint32_t record) {
    const PhiloxBlock word =
        philox({record, call.attributes[0], call.step, 1}, call.seed, kPhiloxNoise);
    Line line;
    line.is_float = false;
    line.join = [t = static_cast<uint32_t>((uint64_t{word[0]} * call.attributes[1]) >> 32)](
                    std::span<const uint32_t>) { return std::optional(t); };
    return line;
}

Line coefficient_line(const Term& term) {
    Line line = make_line({input(kTimesteps, term.a), Term{kPicked, 0, term.b}},
                          [](std::span<const uint32_t> x) { return as_float(x[1]); });
    line.chain = 0;
    return line;
}

Line diffuse_line(const Call& call, uint32_t element) {
    const auto per_record = static_cast<uint32_t>(call.out[0].count() / call.in[2].count());
    const uint32_t record = element / per_record;
    return make_line({Term{kCoefficient, 0, record, 0}, input(0, element),
                      Term{kCoefficient, 0, record, 1}, input(1, element)},
                     [](std::span<const uint32_t> x) {
                         return as_float(x[0]) * as_float(x[1]) + as_float(x[2]) * as_float(x[3]);
                     });
}

}  // namespace

Line random_line(const Call& call, const Term& term) {
    if (call.op == Op::noise) return noise_line(call, term.a);
    if (call.op == Op::timestep) return timestep_line(call, term.a);
    if (term.kind == kCoefficient) return coefficient_line(term);
    if (term.kind == kPicked) {
        const Shape& table = call.in[kSchedule];
        return picked_line(input(kSchedule, term.given * table.cols + term.a), term.given,
                           table.rows);
    }
    ASSERT(term.kind == kOutput);
    return diffuse_line(call, term.a);
}

}  // namespace trainyard::training::referee
