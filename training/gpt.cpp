// SPDX-License-Identifier: Apache-2.0
// The template gpt: parameters, operators and schedule of a decoder-only transformer.
#include <cmath>

#include "training/builder.hpp"
#include "training/graph.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kHeadNoise = 1000;
constexpr uint32_t kLayerNoise = 2000;
constexpr uint32_t kLayerNoiseStride = 16;
constexpr uint32_t kLayersMax = 512;

/// The parameters of one block.
struct Layer {
    Ref norm1, qkv, out, norm2, up, down;
};

class GptBuilder {
public:
    explicit GptBuilder(const GptOptions& o) : o_(o) {}

    Program build() {
        const uint32_t d = o_.width;
        const Ref e =
            b_.normal("tok_embed.weight", Shape::matrix(o_.vocabulary, d), false, o_.init_std);
        const Ref pos =
            b_.normal("pos_embed.weight", Shape::matrix(o_.sequence, d), false, o_.init_std);
        std::vector<Layer> layers;
        for (uint32_t l = 0; l < o_.layers; ++l) layers.push_back(declare(l));
        const Ref norm = b_.ones("norm.weight", d);
        const Ref head =
            b_.normal("head.weight", Shape::matrix(d, o_.vocabulary), true, o_.init_std);
        Ref x = b_.emit(Op::embedding, {GraphBuilder::input(), e, pos});
        for (uint32_t l = 0; l < o_.layers; ++l) x = block(x, layers[l], l);
        const Ref h = b_.emit(Op::rms_norm, {x, norm});
        const Ref z = b_.emit(Op::linear, {h, head}, {kHeadNoise});
        b_.emit(Op::cross_entropy, {z, GraphBuilder::targets()});
        Program program;
        b_.finish(program);
        program.tokenizer = o_.tokenizer;
        program.data = o_.data;
        program.data.sequence = program.data.stride = o_.sequence;
        set_run(program, run());
        return program;
    }

private:
    Layer declare(uint32_t l) {
        const uint32_t d = o_.width;
        const double residual = o_.init_std / std::sqrt(2.0 * std::max(1U, o_.layers));
        const std::string at = "layers." + std::to_string(l) + ".";
        Layer out;
        out.norm1 = b_.ones(at + "norm1.weight", d);
        out.qkv = b_.normal(at + "attn.qkv.weight", Shape::matrix(d, 3 * d), true, o_.init_std);
        out.out = b_.normal(at + "attn.out.weight", Shape::matrix(d, d), true, residual);
        out.norm2 = b_.ones(at + "norm2.weight", d);
        out.up = b_.normal(at + "mlp.up.weight", Shape::matrix(d, 4 * d), true, o_.init_std);
        out.down = b_.normal(at + "mlp.down.weight", Shape::matrix(4 * d, d), true, residual);
        return out;
    }

    Ref block(Ref x, const Layer& p, uint32_t l) {
        const uint32_t noise = kLayerNoise + kLayerNoiseStride * l;
        const Ref h1 = b_.emit(Op::rms_norm, {x, p.norm1});
        const Ref qkv = b_.emit(Op::linear, {h1, p.qkv}, {noise + 3});
        const Ref a = b_.emit(Op::attention, {qkv}, {o_.heads, noise + 4, noise + 5});
        const Ref t1 = b_.emit(Op::linear, {a, p.out}, {noise + 2});
        const Ref x1 = b_.emit(Op::add, {x, t1});
        const Ref h2 = b_.emit(Op::rms_norm, {x1, p.norm2});
        const Ref u = b_.emit(Op::linear, {h2, p.up}, {noise + 1});
        const Ref g = b_.emit(Op::gelu, {u});
        const Ref t2 = b_.emit(Op::linear, {g, p.down}, {noise});
        return b_.emit(Op::add, {x1, t2});
    }

    [[nodiscard]] RunOptions run() const {
        RunOptions r;
        r.steps = o_.steps, r.micro_batches = o_.micro_batches, r.sequences = o_.sequences;
        r.segment_length = o_.segment_length, r.warmup = o_.warmup;
        r.learning_rate = o_.learning_rate, r.final_ratio = o_.final_ratio;
        r.b1 = o_.b1, r.b2 = o_.b2, r.eps = o_.eps, r.decay = o_.decay;
        r.held_out = o_.held_out, r.recipe = o_.recipe;
        return r;
    }

    const GptOptions& o_;
    GraphBuilder b_;
};

}  // namespace

Result<Program, ProgramFault> make_gpt(const GptOptions& options) {
    if (options.layers > kLayersMax || options.steps > ProgramLimits::steps_max ||
        options.width > ProgramLimits::dim_max / 4)
        return unexpected(ProgramFault{ProgramError::too_large, -1,
                                       "at most 512 layers of width 16,384, and 2^20 steps"});
    GptOptions o = options;
    if (o.data.kind == DataKind::bytes && o.data.size_bytes == 0) {
        o.data.root = o.data_root;
        o.data.size_bytes = o.data_bytes;
    }
    Program program = GptBuilder(o).build();
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    return program;
}

}  // namespace trainyard::training
