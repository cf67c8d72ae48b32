// SPDX-License-Identifier: Apache-2.0
// The gradient of every operator against differences of the loss, in float32 products.
#include <cmath>
#include <functional>
#include <set>
#include <span>

#include "tests/training/fixture.hpp"
#include "training/builder.hpp"
#include "training/graph.hpp"

namespace trainyard::training {
namespace {

using Build = std::function<Ref(GraphBuilder&)>;

constexpr uint32_t kSequences = 2, kPositions = 4, kChannels = 3;
constexpr uint32_t kEps = 0x3727c5ac, kHalf = 0x3f000000;

/// A program over images of 2 x 2 with three channels, whose prediction `build` yields and whose
/// target is noise.
Program program_of(const Build& build) {
    GraphBuilder b;
    const Ref prediction = build(b);
    const Ref target = b.emit(Op::noise, {prediction}, {b.next_noise()});
    b.emit(Op::mean_square, {prediction, target});
    Program p;
    b.finish(p);
    p.data.kind = DataKind::images;
    p.data.sequence = kPositions, p.data.channels = kChannels, p.data.stride = 1;
    p.data.elements = 20;
    p.data.size_bytes = 20 * element_bytes(p.data);
    RunOptions run;
    run.steps = 4, run.micro_batches = 1, run.sequences = kSequences, run.held_out = 0;
    run.recipe = Recipe::fp32;
    set_run(p, run);
    return p;
}

Bytes images(size_t size) {
    Bytes out;
    for (uint32_t i = 0; i < size; ++i)
        out.push_back(static_cast<uint8_t>(philox({i, 0, 0, 0}, 5, 6)[0]));
    return out;
}

void expect_gradients(const char* name, const Build& build) {
    SCOPED_TRACE(name);
    const Program program = program_of(build);
    const auto valid = validate_program(program);
    ASSERT_TRUE(valid.has_value()) << to_text(valid.error());
    const auto backend = make_fp32_backend();
    auto engine = Engine::make(program, *backend);
    ASSERT_TRUE(engine.has_value());
    const auto batch = make_batch(program, images(program.data.size_bytes), {3, 7});
    ASSERT_TRUE(batch.has_value());
    std::vector<Tensor> w = make_initial_state(program, seed_of(1)).w;
    ASSERT_TRUE(engine->load_weights(w).has_value());
    const auto result = engine->run_batch(*batch, 0, 0);
    ASSERT_TRUE(result.has_value());
    const auto loss_at = [&](size_t k, size_t i, float shift) {
        std::vector<Tensor> moved = w;
        moved[k].data[i] += shift;
        EXPECT_TRUE(engine->load_weights(moved).has_value());
        return double{as_float(*engine->forward_loss(*batch))};
    };
    for (size_t k = 0; k < w.size(); ++k) {
        const std::span<const float> g(result->gradients.at(k), result->gradients.count(k));
        float largest = 0;
        for (const float x : g) largest = std::max(largest, std::fabs(x));
        ASSERT_GT(largest, 0.0F) << program.parameters[k].name;
        const size_t step = std::max<size_t>(1, g.size() / 12);
        for (size_t i = 0; i < g.size(); i += step) {
            constexpr float kShift = 2e-2F;
            const double slope = (loss_at(k, i, kShift) - loss_at(k, i, -kShift)) / (2 * kShift);
            EXPECT_NEAR(g[i], slope, 0.02 * largest + 2e-5)
                << program.parameters[k].name << " " << i;
        }
    }
}

Ref matrix(GraphBuilder& b, const char* name, uint32_t rows, uint32_t cols) {
    return b.normal(name, Shape::matrix(rows, cols), false, 1.0);
}
Ref vector(GraphBuilder& b, const char* name, uint32_t count) {
    return b.normal(name, Shape::vector(count), false, 1.0);
}

Build of_one(Op op, uint32_t rows, uint32_t cols, std::vector<uint32_t> attributes = {}) {
    return [=](GraphBuilder& b) { return b.emit(op, {matrix(b, "x", rows, cols)}, attributes); };
}

TEST(gradients, of_pointwise_operators) {
    for (const Op op : {Op::gelu, Op::silu, Op::tanh, Op::softmax})
        expect_gradients(std::string(find_op(op)->name).c_str(), of_one(op, 5, 7));
    expect_gradients("scale", of_one(Op::scale, 5, 7, {kHalf}));
    for (const Op op : {Op::add, Op::mul})
        expect_gradients("two inputs", [op](GraphBuilder& b) {
            return b.emit(op, {matrix(b, "x", 5, 7), matrix(b, "y", 5, 7)});
        });
    expect_gradients("square", [](GraphBuilder& b) {
        const Ref x = matrix(b, "x", 5, 7);
        return b.emit(Op::mul, {x, x});
    });
    expect_gradients("relu away from its corner", [](GraphBuilder& b) {
        const Ref x = b.emit(Op::scale, {matrix(b, "x", 5, 7)}, {bits_of(10.0F)});
        const Ref y = b.emit(Op::relu, {x});
        return b.emit(Op::add, {b.scale(y, 0.1F), matrix(b, "y", 5, 7)});
    });
}

TEST(gradients, of_norms) {
    expect_gradients("rms_norm", [](GraphBuilder& b) {
        return b.emit(Op::rms_norm, {matrix(b, "x", 6, 9), vector(b, "g", 9)});
    });
    expect_gradients("layer_norm", [](GraphBuilder& b) {
        return b.emit(Op::layer_norm, {matrix(b, "x", 6, 9), vector(b, "g", 9), vector(b, "b", 9)},
                      {kEps});
    });
    expect_gradients("group_norm", [](GraphBuilder& b) {
        return b.emit(Op::group_norm, {matrix(b, "x", 8, 6), vector(b, "g", 6), vector(b, "b", 6)},
                      {3, 4, kEps});
    });
}

TEST(gradients, of_products_and_attention) {
    expect_gradients("linear with bias", [](GraphBuilder& b) {
        return b.linear(matrix(b, "x", 6, 5), matrix(b, "w", 5, 7), vector(b, "b", 7));
    });
    for (const uint32_t turns : {0U, 1U, 2U, 3U}) {
        const uint32_t ta = turns & 1, tb = turns >> 1;
        expect_gradients("matmul", [=](GraphBuilder& b) {
            const Ref x = ta != 0 ? matrix(b, "x", 10, 3) : matrix(b, "x", 6, 5);
            const Ref y = tb != 0 ? matrix(b, "y", 14, 5) : matrix(b, "y", 10, 7);
            return b.emit(Op::matmul, {x, y}, {ta, tb, ta != 0 ? 5U : 3U, b.next_noise()});
        });
    }
    for (const bool causal : {true, false})
        expect_gradients(causal ? "attention" : "attention_full", [=](GraphBuilder& b) {
            return b.attention(matrix(b, "qkv", 8, 12), 2, causal);
        });
    expect_gradients("frozen linear", [](GraphBuilder& b) {
        const Ref w = b.constant("w", Shape::matrix(5, 7), noise(35, 3));
        return b.linear(matrix(b, "x", 6, 5), w);
    });
}

TEST(gradients, of_movements) {
    expect_gradients("reshape", of_one(Op::reshape, 6, 10, {15}));
    expect_gradients("transpose", of_one(Op::transpose, 6, 10, {3}));
    expect_gradients("slice", [](GraphBuilder& b) {
        const Ref x = matrix(b, "x", 6, 10);
        return b.emit(Op::mul, {b.emit(Op::slice, {x}, {2, 5}), b.emit(Op::slice, {x}, {4, 5})});
    });
    expect_gradients("concat", [](GraphBuilder& b) {
        return b.emit(Op::concat,
                      {matrix(b, "x", 6, 2), matrix(b, "y", 6, 3), matrix(b, "z", 6, 1)});
    });
    expect_gradients("repeat", of_one(Op::repeat, 6, 8, {4, 3}));
    for (const uint32_t cyclic : {0U, 1U})
        expect_gradients("broadcast_add", [=](GraphBuilder& b) {
            return b.emit(Op::broadcast_add, {matrix(b, "x", 6, 5), matrix(b, "v", 3, 5)},
                          {cyclic});
        });
    expect_gradients("rope", [](GraphBuilder& b) {
        const Ref table = b.constant("table", Shape::matrix(4, 6), noise(24, 4));
        return b.emit(Op::rope, {matrix(b, "x", 8, 20), table}, {6, 12});
    });
    expect_gradients("lookup", [](GraphBuilder& b) {
        const Ref t = b.emit(Op::timestep, {}, {b.next_noise(), 5});
        const Ref rows = b.emit(Op::lookup, {t, matrix(b, "table", 5, 7)});
        return b.emit(Op::add, {rows, matrix(b, "y", 2, 7)});
    });
}

TEST(gradients, of_image_operators) {
    expect_gradients("im2col", of_one(Op::im2col, 2 * 20, 3, {4, 5, 3, 2, 1}));
    expect_gradients("upsample", of_one(Op::upsample, 12, 3, {2, 3, 2, 3, kHalf}));
    expect_gradients("downsample", of_one(Op::downsample, 72, 3, {2, 3, 2, 3, kHalf}));
    expect_gradients("a small network with diffusion", [](GraphBuilder& b) {
        const Ref x0 = GraphBuilder::input();
        const Ref eps = b.emit(Op::noise, {x0}, {b.next_noise()});
        const Ref t = b.emit(Op::timestep, {}, {b.next_noise(), 9});
        const Ref schedule =
            b.constant("schedule", Shape::matrix(9, 2), std::vector<float>(18, 0.7F));
        const Ref x = b.emit(Op::diffuse, {x0, eps, t, schedule});
        const Ref patches = b.emit(Op::im2col, {x}, {2, 2, 3, 1, 1});
        return b.linear(patches, matrix(b, "w", 27, 3), vector(b, "b", 3));
    });
}

TEST(gradients, of_a_parameter_that_two_sums_share_stay_apart) {
    expect_gradients("sum of two parameters", [](GraphBuilder& b) {
        const Ref sum = b.emit(Op::add, {matrix(b, "x", 4, 4), matrix(b, "y", 4, 4)});
        return b.emit(Op::add, {sum, matrix(b, "z", 4, 4)});
    });
}

}  // namespace
}  // namespace trainyard::training
