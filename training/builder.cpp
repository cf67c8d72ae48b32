// SPDX-License-Identifier: Apache-2.0
// Numbers values in the order of programs, and fills in optimiser and schedule.
#include "training/builder.hpp"

#include <algorithm>
#include <cmath>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training {

namespace {

/// Standard deviation of the sum of eight uniform 16-bit words: sqrt(8 * (2^32 - 1) / 12).
const double kEightWords = std::sqrt(8.0 * 4294967295.0 / 12.0);

uint32_t bits(double x) {
    return bits_of(static_cast<float>(x));
}

/// cos on [0, pi] by its Taylor series around pi / 2; only + - * on doubles, so it is the same
/// everywhere.
double cosine(double x) {
    const double y = 1.5707963267948966 - x;
    double term = y, sum = y;
    for (int k = 1; k <= 14; ++k) {
        term = -term * y * y / ((2.0 * k) * (2.0 * k + 1.0));
        sum += term;
    }
    return sum;
}

double rate(const RunOptions& o, uint32_t step) {
    if (step < o.warmup) return o.learning_rate * (step + 1) / o.warmup;
    const uint32_t rest = o.steps > o.warmup + 1 ? o.steps - o.warmup - 1 : 1;
    const double x = static_cast<double>(step - o.warmup) / rest;
    const double half = 0.5 * (1.0 + cosine(3.141592653589793 * std::min(1.0, x)));
    return o.learning_rate * (o.final_ratio + (1.0 - o.final_ratio) * half);
}

}  // namespace

uint32_t init_scale_bits(double deviation) {
    return bits(deviation / kEightWords);
}

Ref GraphBuilder::normal(std::string name, Shape shape, bool decay, double deviation) {
    parameters_.push_back(
        {std::move(name), shape, decay, Init::normal, init_scale_bits(deviation)});
    return {Ref::Kind::parameter, static_cast<uint32_t>(parameters_.size() - 1)};
}
Ref GraphBuilder::ones(std::string name, uint32_t count) {
    parameters_.push_back({std::move(name), Shape::vector(count), false, Init::ones, 0});
    return {Ref::Kind::parameter, static_cast<uint32_t>(parameters_.size() - 1)};
}
Ref GraphBuilder::zeros(std::string name, Shape shape) {
    parameters_.push_back({std::move(name), shape, false, Init::zeros, 0});
    return {Ref::Kind::parameter, static_cast<uint32_t>(parameters_.size() - 1)};
}
Ref GraphBuilder::given(std::string name, Shape shape, bool decay) {
    parameters_.push_back({std::move(name), shape, decay, Init::given, 0});
    return {Ref::Kind::parameter, static_cast<uint32_t>(parameters_.size() - 1)};
}

Ref GraphBuilder::constant(std::string name, Shape shape, const std::vector<float>& values) {
    Constant c{std::move(name), shape, ConstantSource::program, {}};
    for (const float x : values) append_le(c.data, bits_of(x));
    constants_.push_back(std::move(c));
    return {Ref::Kind::constant, static_cast<uint32_t>(constants_.size() - 1)};
}
Ref GraphBuilder::constant(std::string name, Shape shape, ConstantSource source) {
    constants_.push_back({std::move(name), shape, source, {}});
    return {Ref::Kind::constant, static_cast<uint32_t>(constants_.size() - 1)};
}

Ref GraphBuilder::emit(Op op, const std::vector<Ref>& inputs, std::vector<uint32_t> attributes) {
    steps_.push_back({op, inputs, std::move(attributes)});
    return {Ref::Kind::node, static_cast<uint32_t>(steps_.size() - 1)};
}
Ref GraphBuilder::linear(Ref x, Ref w) {
    return emit(Op::linear, {x, w}, {next_noise()});
}
Ref GraphBuilder::linear(Ref x, Ref w, Ref b) {
    return emit(Op::broadcast_add, {linear(x, w), b}, {0});
}
Ref GraphBuilder::attention(Ref qkv, uint32_t heads, bool causal) {
    const uint32_t noise = next_noise();
    return emit(causal ? Op::attention : Op::attention_full, {qkv}, {heads, noise, next_noise()});
}
Ref GraphBuilder::scale(Ref x, float factor) {
    return emit(Op::scale, {x}, {bits_of(factor)});
}

void GraphBuilder::finish(Program& program) {
    program.parameters = std::move(parameters_);
    program.constants = std::move(constants_);
    uint32_t next = first_constant_value(program) + static_cast<uint32_t>(program.constants.size());
    std::vector<uint32_t> outputs;  // value number of each step's first output
    const auto number = [&](const Ref& r) {
        switch (r.kind) {
            case Ref::Kind::input:
                return kTokensValue;
            case Ref::Kind::targets:
                return kTargetsValue;
            case Ref::Kind::parameter:
                return kFirstParameterValue + r.index;
            case Ref::Kind::constant:
                return first_constant_value(program) + r.index;
            default:
                return outputs[r.index];
        }
    };
    for (Step& step : steps_) {
        Node node{step.op, {}, {}, std::move(step.attributes)};
        for (const Ref& r : step.inputs) node.inputs.push_back(number(r));
        outputs.push_back(next);
        for (uint8_t i = 0; i < find_op(step.op)->outputs; ++i) node.outputs.push_back(next++);
        program.nodes.push_back(std::move(node));
    }
    steps_.clear();
}

void set_run(Program& program, const RunOptions& o) {
    program.recipe = o.recipe;
    Optimiser& opt = program.optimiser;
    opt.kind = o.optimiser;
    opt.clip_bits = bits(o.clip);
    opt.b1_bits = bits(o.b1);
    if (o.optimiser == OptimiserKind::adamw) {
        opt.b2_bits = bits(o.b2);
        opt.eps_bits = bits(o.eps);
    }
    opt.decay_bits = bits(o.decay);
    for (uint32_t s = 0; s < std::min(o.steps, ProgramLimits::steps_max); ++s)
        opt.lr_bits.push_back(bits(rate(o, s)));
    program.run = {o.steps, o.micro_batches, o.sequences, o.segment_length};
    const uint64_t tenth = total_records(program) / 10;
    const uint64_t wanted = std::min<uint64_t>(o.held_out, tenth);
    if (o.sequences > 0)
        program.data.held_out = static_cast<uint32_t>(wanted / o.sequences * o.sequences);
}

}  // namespace trainyard::training
