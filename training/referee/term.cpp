// SPDX-License-Identifier: Apache-2.0
// Which family an operator belongs to, and terms by all lines below them.
#include "training/referee/term.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "core/assert.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

struct Family {
    Op op;
    Line (*line)(const Call&, const Term&);
};

constexpr Family kFamilies[] = {
    {Op::linear, matmul_line},
    {Op::linear_grad, matmul_line},
    {Op::linear_grad_x, matmul_line},
    {Op::matmul, matmul_line},
    {Op::matmul_grad, matmul_line},
    {Op::attention, attention_line},
    {Op::attention_full, attention_line},
    {Op::attention_grad, attention_grad_line},
    {Op::attention_full_grad, attention_grad_line},
    {Op::add, pointwise_line},
    {Op::mul, pointwise_line},
    {Op::gelu, pointwise_line},
    {Op::gelu_grad, pointwise_line},
    {Op::silu, pointwise_line},
    {Op::silu_grad, pointwise_line},
    {Op::relu, pointwise_line},
    {Op::relu_grad, pointwise_line},
    {Op::tanh, pointwise_line},
    {Op::tanh_grad, pointwise_line},
    {Op::scale, pointwise_line},
    {Op::mean_square_grad, pointwise_line},
    {Op::rms_norm, rms_norm_line},
    {Op::rms_norm_grad, rms_norm_line},
    {Op::layer_norm, group_norm_line},
    {Op::layer_norm_grad, group_norm_line},
    {Op::group_norm, group_norm_line},
    {Op::group_norm_grad, group_norm_line},
    {Op::softmax, softmax_line},
    {Op::softmax_grad, softmax_line},
    {Op::cross_entropy, loss_line},
    {Op::cross_entropy_grad, loss_line},
    {Op::mean_square, loss_line},
    {Op::embedding, table_line},
    {Op::embedding_grad, table_line},
    {Op::lookup, table_line},
    {Op::lookup_grad, table_line},
    {Op::reshape, movement_line},
    {Op::transpose, movement_line},
    {Op::concat, movement_line},
    {Op::slice, movement_line},
    {Op::slice_grad, movement_line},
    {Op::repeat, movement_line},
    {Op::repeat_grad, movement_line},
    {Op::rope, movement_line},
    {Op::rope_grad, movement_line},
    {Op::broadcast_add, broadcast_line},
    {Op::broadcast_sum, broadcast_line},
    {Op::im2col, image_line},
    {Op::col2im, image_line},
    {Op::upsample, image_line},
    {Op::downsample, image_line},
    {Op::noise, random_line},
    {Op::timestep, random_line},
    {Op::diffuse, random_line},
    {Op::mean_loss, update_line},
    {Op::sum_gradients, update_line},
    {Op::sum_squares, update_line},
    {Op::adamw, update_line},
    {Op::sgd, update_line},
};

/// Each term is joined once: a group's magnitude stands in the lines of all its elements.
class Evaluation {
public:
    Evaluation(const Call& call, const Inputs& inputs) : call_(call), inputs_(inputs) {}

    std::optional<uint32_t> number(const Term& term) {
        if (term.kind == kInput) return inputs_(term.port, term.a);
        const Key key{term.kind, term.port, term.a, term.b, term.c, term.d, term.given};
        if (const auto known = known_.find(key); known != known_.end()) return known->second;
        const Line line = line_of(call_, term);
        const auto parts = parts_of(line);
        const auto number = parts ? join(line, *parts) : std::nullopt;
        known_.emplace(key, number);
        return number;
    }

    /// Parts one after the other, each with what its chain gives it.
    std::optional<Numbers> parts_of(const Line& line) {
        Numbers out;
        for (size_t i = 0; i < line.parts.size(); ++i) {
            const auto part = number(part_of(line, i, out));
            if (!part) return std::nullopt;
            out.push_back(*part);
        }
        return out;
    }

private:
    using Key = std::array<uint32_t, 7>;
    const Call& call_;
    const Inputs& inputs_;
    std::map<Key, std::optional<uint32_t>> known_;
};

}  // namespace

Line line_of(const Call& call, const Term& term) {
    const auto* row = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const Family& f) { return f.op == call.op; });
    ASSERT(row != std::end(kFamilies) && term.kind != kInput);
    return row->line(call, term);
}

uint32_t canonical(uint32_t bits) {
    return bits_of(one_nan(as_float(bits)));
}

std::optional<uint32_t> join(const Line& line, std::span<const uint32_t> parts) {
    ASSERT(parts.size() == line.parts.size());
    const FloatModeGuard mode;
    const auto number = line.join(parts);
    return number && line.is_float ? std::optional(canonical(*number)) : number;
}

Term part_of(const Line& line, size_t index, std::span<const uint32_t> numbers) {
    Term part = line.parts[index];
    if (index > line.chain && index < line.chain_end) part.given = numbers[index - 1];
    return part;
}

std::optional<uint32_t> evaluate(const Call& call, const Term& term, const Inputs& inputs) {
    return Evaluation(call, inputs).number(term);
}

std::optional<Numbers> evaluate_parts(const Call& call, const Term& term, const Inputs& inputs) {
    return Evaluation(call, inputs).parts_of(line_of(call, term));
}

std::optional<uint32_t> first_wrong(const Call& call, const Term& term,
                                    std::span<const uint32_t> numbers, const Inputs& inputs) {
    Evaluation evaluation(call, inputs);
    const Line line = line_of(call, term);
    for (uint32_t i = 0; i < numbers.size(); ++i)
        if (evaluation.number(part_of(line, i, numbers)) != numbers[i]) return i;
    return std::nullopt;
}

}  // namespace trainyard::training::referee
