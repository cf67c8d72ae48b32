// SPDX-License-Identifier: Apache-2.0
// Operators that move, repeat or rotate elements: docs/spec/numerics.md, section 17.
#include "core/assert.hpp"
#include "training/referee/rules/folds.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

struct Place {
    uint32_t row = 0, col = 0;
};

Line transpose_line(const Call& call, Place at) {
    const uint32_t block = call.out[0].cols, cols = call.in[0].cols;
    return copy_line(input(0, at.row / cols * block * cols + at.row % cols + at.col * cols));
}

Line concat_line(const Call& call, Place at) {
    uint8_t port = 0;
    for (; at.col >= call.in[port].cols; ++port) at.col -= call.in[port].cols;
    return copy_line(input(port, at.row * call.in[port].cols + at.col));
}

Line slice_grad_line(const Call& call, Place at) {
    const uint32_t begin = call.attributes[0], count = call.attributes[1];
    if (at.col < begin || at.col - begin >= count) return fixed_line(0.0F);
    return copy_line(input(0, at.row * count + at.col - begin));
}

Line repeat_line(const Call& call, Place at) {
    const uint32_t block = call.attributes[0], times = call.attributes[1];
    return copy_line(
        input(0, at.row * call.in[0].cols + at.col / (block * times) * block + at.col % block));
}

/// Up to 4,096 copies.
Line repeat_grad_line(const Call& call, Place at) {
    const uint32_t block = call.attributes[0], times = call.attributes[1];
    const uint32_t first =
        at.row * call.in[0].cols + at.col / block * block * times + at.col % block;
    std::vector<Term> parts;
    for (uint32_t k = 0; k < times; ++k) parts.push_back(input(0, first + k * block));
    return make_line(std::move(parts), [](std::span<const uint32_t> x) {
        float sum = 0.0F;
        for (const uint32_t bits : x) sum = sum + as_float(bits);
        return sum;
    });
}

Line rope_line(const Call& call, Place at) {
    const uint32_t head = call.attributes[0], rotated = call.attributes[1], half = head / 2;
    const uint32_t cols = call.in[0].cols, row = at.row * cols;
    if (at.col >= rotated) return copy_line(input(0, row + at.col));
    const uint32_t positions = call.in[0].rows / call.sequences;
    const uint32_t j = at.col % half, pair = row + at.col / head * head + j;
    const uint32_t angle = at.row % positions * head + j;
    const bool is_first = at.col % head < half, is_back = call.op == Op::rope_grad;
    return make_line(
        {input(0, pair), input(0, pair + half), input(1, angle), input(1, angle + half)},
        [=](std::span<const uint32_t> x) {
            const float a = as_float(x[0]), b = as_float(x[1]), cosine = as_float(x[2]);
            const float s = is_back ? -as_float(x[3]) : as_float(x[3]);
            return is_first ? a * cosine - b * s : b * cosine + a * s;
        });
}

}  // namespace

Line movement_line(const Call& call, const Term& term) {
    ASSERT(term.kind == kOutput);
    const Place at{term.a / call.out[0].cols, term.a % call.out[0].cols};
    switch (call.op) {
        case Op::reshape:
            return copy_line(input(0, term.a));
        case Op::transpose:
            return transpose_line(call, at);
        case Op::concat:
            return concat_line(call, at);
        case Op::slice:
            return copy_line(input(0, at.row * call.in[0].cols + call.attributes[0] + at.col));
        case Op::slice_grad:
            return slice_grad_line(call, at);
        case Op::repeat:
            return repeat_line(call, at);
        case Op::repeat_grad:
            return repeat_grad_line(call, at);
        default:
            return rope_line(call, at);
    }
}

}  // namespace trainyard::training::referee
