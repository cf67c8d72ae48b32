// SPDX-License-Identifier: Apache-2.0
// Which family an operator belongs to, and terms by all lines below them.
#include "training/referee/term.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/rules.hpp"

namespace trainyard::training::referee {

namespace {

constexpr uint32_t kNanBits = 0x7fc00000;

struct Family {
    Op op;
    Line (*line)(const Call&, const Term&);
};

constexpr Family kFamilies[] = {
    {Op::linear, linear_line},
    {Op::linear_grad, linear_line},
    {Op::linear_grad_x, linear_line},
    {Op::matmul, matmul_line},
    {Op::matmul_grad, matmul_line},
};

/// Parts one after the other, each with what its chain gives it.
std::optional<Parts> parts_of(const Call& call, const Line& line, const Inputs& inputs) {
    Parts out;
    for (size_t i = 0; i < line.parts.size(); ++i) {
        out.terms.push_back(part_of(line, i, out.numbers));
        const auto number = evaluate(call, out.terms.back(), inputs);
        if (!number) return std::nullopt;
        out.numbers.push_back(*number);
    }
    return out;
}

}  // namespace

Line line_of(const Call& call, const Term& term) {
    const auto* row = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const Family& f) { return f.op == call.op; });
    ASSERT(row != std::end(kFamilies) && term.kind != kInput);
    return row->line(call, term);
}

std::optional<uint32_t> join(const Line& line, std::span<const uint32_t> parts) {
    ASSERT(parts.size() == line.parts.size());
    const FloatModeGuard mode;
    const auto number = line.join(parts);
    if (!number || !line.is_float || !std::isnan(as_float(*number))) return number;
    return kNanBits;
}

Term part_of(const Line& line, size_t index, std::span<const uint32_t> numbers) {
    Term part = line.parts[index];
    if (index > line.chain) part.given = numbers[index - 1];
    return part;
}

std::optional<uint32_t> evaluate(const Call& call, const Term& term, const Inputs& inputs) {
    if (term.kind == kInput) return inputs(term.port, term.a);
    const Line line = line_of(call, term);
    const auto parts = parts_of(call, line, inputs);
    return parts ? join(line, parts->numbers) : std::nullopt;
}

std::optional<Parts> evaluate_parts(const Call& call, const Term& term, const Inputs& inputs) {
    return parts_of(call, line_of(call, term), inputs);
}

}  // namespace trainyard::training::referee
