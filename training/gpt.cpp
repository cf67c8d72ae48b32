// SPDX-License-Identifier: Apache-2.0
// The template gpt: parameters, operators and schedule of a byte-level decoder-only transformer.
#include <algorithm>
#include <cmath>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/program.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kHeadNoise = 1000;
constexpr uint32_t kLayerNoise = 2000;
constexpr uint32_t kLayerNoiseStride = 16;
constexpr uint32_t kLayersMax = 512;

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

class GptBuilder {
public:
    explicit GptBuilder(const GptOptions& o) : o_(o) {}

    Program build() {
        program_.recipe = o_.recipe;
        declare();
        next_ = kFirstParameterValue + static_cast<uint32_t>(program_.parameters.size());
        uint32_t x = emit(Op::embedding, {kTokensValue, parameter(0), parameter(1)});
        for (uint32_t l = 0; l < o_.layers; ++l) x = block(x, l);
        const uint32_t last = 2 + 6 * o_.layers;
        const uint32_t h = emit(Op::rms_norm, {x, parameter(last)}, 2);
        const uint32_t z = emit(Op::linear, {h, parameter(last + 1)}, 1, {kHeadNoise});
        emit(Op::cross_entropy, {z, kTargetsValue});
        set_run();
        return std::move(program_);
    }

private:
    static uint32_t parameter(uint32_t k) { return kFirstParameterValue + k; }

    void declare() {
        const uint32_t d = o_.width;
        const double residual = o_.init_std / std::sqrt(2.0 * std::max(1U, o_.layers));
        normal("tok_embed.weight", Shape::matrix(o_.vocabulary, d), false, o_.init_std);
        normal("pos_embed.weight", Shape::matrix(o_.sequence, d), false, o_.init_std);
        for (uint32_t l = 0; l < o_.layers; ++l) {
            const std::string at = "layers." + std::to_string(l) + ".";
            ones(at + "norm1.weight", d);
            normal(at + "attn.qkv.weight", Shape::matrix(d, 3 * d), true, o_.init_std);
            normal(at + "attn.out.weight", Shape::matrix(d, d), true, residual);
            ones(at + "norm2.weight", d);
            normal(at + "mlp.up.weight", Shape::matrix(d, 4 * d), true, o_.init_std);
            normal(at + "mlp.down.weight", Shape::matrix(4 * d, d), true, residual);
        }
        ones("norm.weight", d);
        normal("head.weight", Shape::matrix(d, o_.vocabulary), true, o_.init_std);
    }

    void normal(std::string name, Shape shape, bool decay, double deviation) {
        program_.parameters.push_back(
            {std::move(name), shape, decay, Init::normal, bits(deviation / kEightWords)});
    }
    void ones(std::string name, uint32_t d) {
        program_.parameters.push_back({std::move(name), Shape::vector(d), false, Init::ones, 0});
    }

    /// The number of the first output.
    uint32_t emit(Op op, std::vector<uint32_t> inputs, uint32_t outputs = 1,
                  std::vector<uint32_t> attributes = {}) {
        Node node{op, std::move(inputs), {}, std::move(attributes)};
        for (uint32_t i = 0; i < outputs; ++i) node.outputs.push_back(next_ + i);
        next_ += outputs;
        program_.nodes.push_back(std::move(node));
        return program_.nodes.back().outputs[0];
    }

    uint32_t block(uint32_t x, uint32_t l) {
        const uint32_t p = 2 + 6 * l, noise = kLayerNoise + kLayerNoiseStride * l;
        const uint32_t h1 = emit(Op::rms_norm, {x, parameter(p)}, 2);
        const uint32_t qkv = emit(Op::linear, {h1, parameter(p + 1)}, 1, {noise + 3});
        const uint32_t a = emit(Op::attention, {qkv}, 2, {o_.heads, noise + 4, noise + 5});
        const uint32_t t1 = emit(Op::linear, {a, parameter(p + 2)}, 1, {noise + 2});
        const uint32_t x1 = emit(Op::add, {x, t1});
        const uint32_t h2 = emit(Op::rms_norm, {x1, parameter(p + 3)}, 2);
        const uint32_t u = emit(Op::linear, {h2, parameter(p + 4)}, 1, {noise + 1});
        const uint32_t g = emit(Op::gelu, {u});
        const uint32_t t2 = emit(Op::linear, {g, parameter(p + 5)}, 1, {noise});
        return emit(Op::add, {x1, t2});
    }

    [[nodiscard]] double rate(uint32_t step) const {
        if (step < o_.warmup) return o_.learning_rate * (step + 1) / o_.warmup;
        const uint32_t rest = o_.steps > o_.warmup + 1 ? o_.steps - o_.warmup - 1 : 1;
        const double x = static_cast<double>(step - o_.warmup) / rest;
        const double half = 0.5 * (1.0 + cosine(3.141592653589793 * std::min(1.0, x)));
        return o_.learning_rate * (o_.final_ratio + (1.0 - o_.final_ratio) * half);
    }

    void set_run() {
        Optimiser& opt = program_.optimiser;
        opt.b1_bits = bits(o_.b1);
        opt.b2_bits = bits(o_.b2);
        opt.eps_bits = bits(o_.eps);
        opt.decay_bits = bits(o_.decay);
        for (uint32_t s = 0; s < o_.steps; ++s) opt.lr_bits.push_back(bits(rate(s)));
        program_.run = {o_.steps, o_.micro_batches, o_.sequences, o_.segment_length};
        program_.data = {o_.data_root, o_.data_bytes, o_.sequence, o_.sequence, 0};
        const uint64_t tenth = total_records(program_) / 10;
        const uint64_t wanted = std::min<uint64_t>(o_.held_out, tenth);
        if (o_.sequences > 0)
            program_.data.held_out = static_cast<uint32_t>(wanted / o_.sequences * o_.sequences);
    }

    const GptOptions& o_;
    Program program_;
    uint32_t next_ = 0;
};

}  // namespace

Result<Program, ProgramFault> make_gpt(const GptOptions& options) {
    if (options.layers > kLayersMax || options.steps > ProgramLimits::steps_max ||
        options.width > ProgramLimits::dim_max / 4)
        return unexpected(ProgramFault{ProgramError::too_large, -1,
                                       "at most 512 layers of width 16,384, and 2^20 steps"});
    Program program = GptBuilder(options).build();
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    return program;
}

}  // namespace trainyard::training
