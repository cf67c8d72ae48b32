// SPDX-License-Identifier: Apache-2.0
// The whole CUDA backend on the emulated device: every operator, a training run, and faults.
#include <bit>
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <gtest/gtest.h>

#include "cuda/challenge.hpp"
#include "cuda/cuda_backend.hpp"
#include "cuda/operators.cuh"
#include "machine.hpp"
#include "training_run.hpp"
#include "training/builder.hpp"
#include "training/dataset.hpp"
#include "training/operator_cases.hpp"
#include "training/self_test.hpp"

namespace {

using namespace trainyard;

class EmulatedDevice : public testing::TestWithParam<emulated::Order> {
protected:
    void SetUp() override {
        emulated::set_faults({});
        emulated::set_order(GetParam());
        backend = cuda::make_cuda_backend(0);
        ASSERT_NE(backend, nullptr);
    }
    void TearDown() override {
        backend.reset();
        emulated::set_faults({});
        emulated::set_order(emulated::Order::forward);
        EXPECT_EQ(emulated::bytes_in_use(), 0u);
    }
    std::unique_ptr<training::Backend> backend;
};

TEST_P(EmulatedDevice, equals_the_reference_in_every_operator) {
    for (const training::OperatorCase& c : training::operator_cases()) {
        const auto same = training::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error();
    }
}

TEST(emulated_device, takes_values_that_are_not_finite_the_same_way) {
    emulated::set_faults({});
    const auto backend = cuda::make_cuda_backend(0);
    for (const training::OperatorCase& c : training::operator_cases())
        for (const uint32_t every : {5U, 400U}) {
            const auto same =
                training::check_extremes(*backend, training::with_extremes(c, every, every));
            EXPECT_TRUE(same) << same.error();
        }
}

/// Blocks of 64 rows, tiles of 32 columns, slices of 128 bytes of a head, the words of rows that do
/// not start with a Philox block, and heads longer than a chunk or than column maxima in shared
/// memory.
TEST_P(EmulatedDevice, attends_in_strips_of_any_shape) {
    using Shape = training::AttentionShape;
    for (const Shape s :
         {Shape{1, 2, 64, 16}, Shape{1, 1, 96, 32}, Shape{2, 1, 65, 65}, Shape{1, 1, 33, 128},
          Shape{1, 1, 70, 129}, Shape{1, 1, 40, 300}, Shape{1, 1, 300, 64}, Shape{1, 1, 257, 8},
          Shape{1, 1, 2, 4100}, Shape{2, 1, 5, 1028}})
        for (const bool causal : {true, false}) {
            const auto c = training::attention_case({s.b, s.h, s.t, s.hd, causal});
            const auto same = training::check_case(*backend, c);
            EXPECT_TRUE(same) << same.error();
        }
}

/// Next uses of a token next to each other, 32 positions away and one more, in each lane's place,
/// far behind, and none.
TEST_P(EmulatedDevice, adds_the_uses_of_a_token_wherever_they_are) {
    for (const uint32_t distance : {1U, 31U, 32U, 33U, 97U, 200U}) {
        const training::EmbeddingShape shape{2, 101, 5, 250};
        training::OperatorCase c = training::embedding_grad_case(shape);
        c.inputs[0].resize(c.inputs[0].size() + distance);  // what lies behind is none
        c.inputs[1].resize(c.inputs[1].size() + size_t{distance} * shape.d, 1.0F);
        for (uint32_t n = 0; n < c.inputs[0].size(); ++n)
            c.inputs[0][n] = std::bit_cast<float>(n % distance);
        const auto same = training::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error() << " " << distance;
    }
}

/// All weights of a row, times the scales of v, are equal but for rounding, so that the largest
/// product of an exponential and a scale is often not that of the largest weight.
TEST(emulated_device, scales_a_row_by_its_largest_weight_after_rounding) {
    const training::AttentionShape shape{2, 3, 70, 1, false};
    training::OperatorCase c = training::attention_case(shape);
    for (size_t n = 0; n < size_t{shape.b} * shape.t; ++n)
        for (size_t h = 0; h < shape.h; ++h) {
            float* const row = c.inputs[0].data() + n * 3 * shape.h + h;
            row[0] = 1.5F;
            row[2 * shape.h] = std::exp(-1.5F * row[shape.h]);
        }
    const auto backend = cuda::make_cuda_backend(0);
    const auto same = training::check_case(*backend, c);
    EXPECT_TRUE(same) << same.error();
}

TEST(emulated_device, passes_its_self_test) {
    emulated::set_faults({});
    const auto backend = cuda::make_cuda_backend(0);
    const auto passed = training::self_test(*backend);
    EXPECT_TRUE(passed) << passed.error();
}

TEST_P(EmulatedDevice, raises_the_flag_for_values_that_are_not_finite) {
    const auto same = training::check_flags(*backend);
    EXPECT_TRUE(same) << same.error();
}

TEST_P(EmulatedDevice, trains_to_the_reference_state_root) {
    const auto reference = training::make_reference_backend();
    const auto program = tests::make_run({});
    EXPECT_EQ(tests::state_root_after(program, *backend, 3),
              tests::state_root_after(program, *reference, 3));
}

/// A denoiser of sixteen numbers of each image, with noise, timesteps, a matmul and full attention.
training::Program denoiser(const Bytes& data) {
    using training::Op;
    using training::Shape;
    training::GraphBuilder b;
    const auto rows = b.emit(Op::reshape, {training::GraphBuilder::input()}, {768});
    const auto x0 = b.emit(Op::slice, {rows}, {300, 16});
    const auto eps = b.emit(Op::noise, {x0}, {b.next_noise()});
    const auto t = b.emit(Op::timestep, {}, {b.next_noise(), 5});
    const auto schedule = b.constant("schedule", Shape::matrix(5, 2), std::vector<float>(10, 0.7F));
    const auto x = b.emit(Op::diffuse, {x0, eps, t, schedule});
    const auto w = b.normal("w", Shape::matrix(16, 48), true, 0.2);
    const auto mixed = b.attention(b.linear(x, w), 2, false);
    const auto v = b.normal("v", Shape::matrix(16, 16), true, 0.2);
    const auto y = b.emit(Op::matmul, {mixed, v}, {0, 1, 0, b.next_noise()});
    const auto g = b.ones("g", 16);
    const auto z = b.emit(Op::layer_norm, {y, g, b.zeros("b", Shape::vector(16))}, {0x3727c5ac});
    b.emit(Op::mean_square, {z, eps});
    training::Program p;
    b.finish(p);
    p.data = training::data_spec_of(*training::inspect_dataset(data), Hash{}, data.size());
    training::RunOptions run;
    run.steps = 3, run.sequences = 3, run.micro_batches = 2, run.held_out = 0;
    training::set_run(p, run);
    return p;
}

TEST(emulated_device, trains_a_denoiser_to_the_reference_state_root) {
    const Bytes data = *training::make_image_dataset(training::make_shapes(20, 3), 4);
    const training::Program program = denoiser(data);
    const auto backend = cuda::make_cuda_backend(0);
    const auto reference = training::make_reference_backend();
    EXPECT_EQ(tests::state_root_on(program, *backend, data, 3),
              tests::state_root_on(program, *reference, data, 3));
}

INSTANTIATE_TEST_SUITE_P(orders, EmulatedDevice,
                         testing::Values(emulated::Order::forward, emulated::Order::backward,
                                         emulated::Order::scattered));

TEST(emulated_device, allocates_nothing_after_the_first_step) {
    const auto backend = cuda::make_cuda_backend(0);
    const auto program = tests::make_run({.layers = 1, .width = 16, .steps = 4});
    const Bytes data = tests::make_text(tests::kTextBytes);
    auto engine = training::Engine::make(program, *backend, data);
    ASSERT_TRUE(engine);
    training::ModelState state = training::make_initial_state(program, Hash{}, data);
    auto live = training::LiveState::load(*backend, program, state);
    ASSERT_TRUE(live);
    size_t before = 0;
    for (int i = 0; i < 4; ++i) {
        if (i == 2) before = emulated::allocations();
        auto step = training::run_step(*engine, *live, data);
        ASSERT_TRUE(step);
        engine->recycle(std::move(step->gradients));
    }
    EXPECT_EQ(emulated::allocations(), before);
}

TEST(emulated_device, gives_kept_memory_away_when_another_size_needs_it) {
    const auto backend = cuda::make_cuda_backend(0);
    emulated::set_faults({.memory_bytes_max = emulated::bytes_in_use() + 3000});
    void* const small = backend->allocate(2000);
    ASSERT_NE(small, nullptr);
    EXPECT_EQ(backend->allocate(2500), nullptr) << "it is in use";
    backend->release(small);
    void* const large = backend->allocate(2500);
    EXPECT_NE(large, nullptr);
    backend->release(large);
    emulated::set_faults({});
}

TEST(emulated_device, adds_seventeen_million_elements_on_three_levels) {
    const auto backend = cuda::make_cuda_backend(0);
    const auto same =
        training::check_case(*backend, training::sums_case((size_t{4096} * 4096) + 4097));
    EXPECT_TRUE(same) << same.error();
}

/// Rows that a warp holds in 32 and in 64 registers, filled or not, and longer ones; lanes without
/// rows, and chunks of rows on two levels.
TEST_P(EmulatedDevice, normalises_rows_of_any_length) {
    for (const training::MatrixShape s :
         {training::MatrixShape{40, 768}, {3, 1024}, {5, 1025}, {4, 2048}, {2, 2049}, {8195, 3}})
        for (const bool in_place : {false, true}) {
            const auto c = training::rms_norm_case(s, in_place);
            const auto same = training::check_case(*backend, c);
            EXPECT_TRUE(same) << same.error();
        }
}

/// Few uses and thousands, and more columns than a block has threads.
TEST_P(EmulatedDevice, adds_the_gradients_of_the_uses_of_a_token_in_order) {
    using Shape = training::EmbeddingShape;
    for (const Shape s :
         {Shape{2, 50, 5, 1}, Shape{2, 50, 5, 3}, Shape{3, 300, 1030, 9}, Shape{2, 4100, 3, 20}}) {
        const auto c = training::embedding_grad_case(s);
        const auto same = training::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error();
    }
}

/// Rows of up to sixteen chunks in registers, several to a block, and longer ones, of those one at
/// a time.
TEST(emulated_device, computes_the_loss_of_rows_of_any_length) {
    const auto backend = cuda::make_cuda_backend(0);
    for (const training::MatrixShape s : {training::MatrixShape{2, 4096},
                                          {2050, 4097},
                                          {3, 8192},
                                          {2, 50257},
                                          {2, 65536},
                                          {2, 65537},
                                          {1, 70001}})
        for (const auto& c :
             {training::cross_entropy_case(s), training::cross_entropy_both_case(s)}) {
            const auto same = training::check_case(*backend, c);
            EXPECT_TRUE(same) << same.error();
        }
    const training::MatrixShape shape{3, 70001};
    const auto c = training::cross_entropy_case(shape);
    training::Values expected(shape.rows), got(shape.rows);
    const auto* const targets = reinterpret_cast<const uint32_t*>(c.inputs[1].data());
    training::make_reference_backend()->cross_entropy(expected.data(), c.inputs[0].data(), targets,
                                                      shape);
    cuda::Context on(0);
    on.set_scratch_bytes_max(1);
    const size_t before = emulated::bytes_in_use();
    cuda::cross_entropy(on, got.data(), c.inputs[0].data(), targets, shape);
    on.wait();
    EXPECT_TRUE(on.ok());
    EXPECT_LT(emulated::bytes_in_use() - before, 2 * size_t{4} * shape.cols) << "of one row";
    EXPECT_EQ(got, expected);
}

/// Heads that end in the middle of a piece of 64 columns, of two and of more pieces, whose rows
/// begin with a Philox block or anywhere, with as many positions as do not fill pairs; and such as
/// join their columns in memory, or whose products of rows have more than one chunk.
TEST_P(EmulatedDevice, prepares_heads_of_any_width) {
    for (const training::AttentionShape shape : {training::AttentionShape{1, 2, 65, 32},
                                                 {2, 1, 33, 40},
                                                 {1, 1, 35, 120},
                                                 {1, 1, 35, 136},
                                                 {1, 1, 34, 141},
                                                 {1, 1, 3, 1032},
                                                 {1, 1, 3, 4104},
                                                 {1, 1, 3, 4099}}) {
        const auto same = training::check_case(*backend, training::attention_case(shape));
        EXPECT_TRUE(same) << same.error();
    }
}

TEST(emulated_device, takes_the_heads_of_attention_in_groups_that_fit) {
    const training::AttentionShape shape{2, 3, 9, 5};
    const training::OperatorCase c = training::attention_case(shape);
    const auto reference = training::make_reference_backend();
    const auto expected = training::run_case(*reference, c);
    ASSERT_TRUE(expected);
    for (const size_t limit : {size_t{1}, size_t{8000}}) {
        cuda::Context on(0);
        on.set_scratch_bytes_max(limit);
        std::vector<training::Values> got = c.outputs;
        cuda::attention(on, got[0].data(), got[1].data(), c.inputs[0].data(), shape);
        const training::AttentionGradInputs in{c.inputs[1].data(), got[0].data(), got[1].data(),
                                               c.inputs[0].data()};
        cuda::attention_grad(on, got[2].data(), in, shape, {77, 3, 2004, 2005});
        on.wait();
        EXPECT_TRUE(on.ok());
        EXPECT_EQ(got, *expected);
    }
}

TEST(emulated_device, adds_the_exponentials_of_long_rows_chunk_by_chunk) {
    const training::AttentionShape shape{1, 1, 4130, 3};
    const training::OperatorCase c = training::attention_case(shape);
    std::vector<training::Values> expected = c.outputs, got = c.outputs;
    training::make_reference_backend()->attention(expected[0].data(), expected[1].data(),
                                                  c.inputs[0].data(), shape);
    cuda::Context on(0);
    cuda::attention(on, got[0].data(), got[1].data(), c.inputs[0].data(), shape);
    on.wait();
    EXPECT_TRUE(on.ok());
    EXPECT_EQ(got, expected);
}

uint32_t bits_of(float x) {
    return std::bit_cast<uint32_t>(x);
}

/// A largest element of v so that a row of which three have `a + 4 ulp`, `a` and `a / 2` has a
/// largest P' that differs from the second in less than a device sees at first, and a third whose
/// byte tells them apart. All scores are 0 and the sum is 4.
float near_maximum() {
    const auto byte_of = [](float x, float largest) {
        return std::nearbyint(x / 127 / 4 * (127 / (largest / 127 / 4)));
    };
    for (float a = 1; a < 2; a += 0x1p-20F) {
        const float above = std::bit_cast<float>(bits_of(a) + 4), first = above / 127;
        if (bits_of(first) != bits_of(a / 127) && bits_of(first) / 8 == bits_of(a / 127) / 8 &&
            byte_of(a / 2, above) != byte_of(a / 2, a))
            return a;
    }
    return 0;
}

TEST(emulated_device, mixes_values_again_where_another_was_the_largest) {
    const training::AttentionShape shape{1, 1, 4, 4};
    const float a = near_maximum();
    ASSERT_GT(a, 0);
    training::Values qkv(size_t{4} * 12), expected(16), got(16), stats(8);
    const float of_v[4] = {std::bit_cast<float>(bits_of(a) + 4), a, a / 2, a / 4};
    for (size_t i = 0; i < 4; ++i) qkv[i * 12 + 8 + i] = of_v[i];
    training::make_reference_backend()->attention(expected.data(), stats.data(), qkv.data(), shape);
    cuda::Context on(0);
    cuda::attention(on, got.data(), stats.data(), qkv.data(), shape);
    on.wait();
    EXPECT_TRUE(on.ok());
    EXPECT_EQ(got, expected);
}

/// Linear layers whose sides are no multiples of a tile, and the rest of the operators.
void expect_equal_products(cuda::Products products) {
    const auto backend = cuda::make_cuda_backend(0, nullptr, products);
    ASSERT_NE(backend, nullptr);
    for (const training::LinearShape s : {training::LinearShape{130, 129, 257},
                                          {96, 640, 300},
                                          {257, 1100, 97},
                                          {1030, 64, 128},
                                          {140, 70, 258},
                                          {100, 2100, 130},
                                          {450, 200, 300},
                                          {33, 700, 70}}) {
        for (const auto& c : {training::linear_case(s), training::linear_grad_case(s)}) {
            const auto same = training::check_case(*backend, c);
            EXPECT_TRUE(same) << same.error();
        }
    }
}

TEST_P(EmulatedDevice, multiplies_by_warpgroups_on_hopper) {
    for (const auto products : {cuda::Products::warpgroup, cuda::Products::bulk,
                                cuda::Products::pairs, cuda::Products::alternating}) {
        EXPECT_EQ(cuda::make_cuda_backend(0, nullptr, products), nullptr);
        emulated::set_hopper(true);
        expect_equal_products(products);
        emulated::set_hopper(false);
    }
}

/// Even and odd numbers of tiles for a block, more steps than parts of sums and as many, columns
/// behind the last tile, and rows of sums that begin anywhere or where four are stored at once.
TEST_P(EmulatedDevice, stores_sums_while_the_next_are_made) {
    emulated::set_hopper(true);
    const auto hopper = cuda::make_cuda_backend(0, nullptr, cuda::Products::alternating);
    for (const training::LinearShape s : {training::LinearShape{130, 700, 388},
                                          {700, 1100, 772},
                                          {300, 900, 301},
                                          {1100, 700, 131},
                                          {129, 1000, 1155}}) {
        const auto same = training::check_case(*hopper, training::linear_case(s));
        EXPECT_TRUE(same) << same.error();
    }
    emulated::set_hopper(false);
}

TEST_P(EmulatedDevice, multiplies_in_bf16_with_the_same_integers) {
    expect_equal_products(cuda::Products::bf16);
}

/// All bytes are 127: 1,100 terms are more than 2^24, which no float sum holds exactly.
TEST(emulated_device, keeps_the_largest_sums_exact_in_bf16) {
    const training::LinearShape s{65, 1100, 66};
    auto c = training::linear_case(s);
    for (training::Values& values : c.inputs) std::fill(values.begin(), values.end(), 1.0F);
    const auto backend = cuda::make_cuda_backend(0, nullptr, cuda::Products::bf16);
    const auto same = training::check_case(*backend, c);
    EXPECT_TRUE(same) << same.error();
}

/// Op::matmul or its gradient of three products of 100 x 130 (contracted) x 97.
training::OperatorCase batch_case(training::Op op, bool turn_a, bool turn_b) {
    using training::Shape;
    constexpr uint32_t kProducts = 3, kM = 100, kK = 130, kN = 97;
    const uint32_t block = turn_a ? kK : kM;
    const Shape a = Shape::matrix(kProducts * block, turn_a ? kM : kK);
    const Shape b = Shape::matrix(kProducts * (turn_b ? kN : kK), turn_b ? kK : kN);
    const Shape y = Shape::matrix(kProducts * kM, kN);
    const bool is_grad = op == training::Op::matmul_grad;
    const auto in = is_grad ? std::vector{y, a, b} : std::vector{a, b};
    const auto out = is_grad ? std::vector{a, b} : std::vector{y};
    training::GeneralCase c;
    c.name = std::string(is_grad ? "matmul_grad" : "matmul") + (turn_a ? " turned a" : "") +
             (turn_b ? " turned b" : "");
    c.call.op = op;
    c.call.inputs = static_cast<uint8_t>(in.size());
    c.call.outputs = static_cast<uint8_t>(out.size());
    c.call.attributes = {turn_a, turn_b, block, 900};
    std::copy(in.begin(), in.end(), c.call.in_shape.begin());
    std::copy(out.begin(), out.end(), c.call.out_shape.begin());
    for (const Shape& s : in)
        c.inputs.push_back(
            training::make_values(static_cast<uint32_t>(c.inputs.size()), s.count(), 3.0F));
    return training::general_case(c);
}

TEST_P(EmulatedDevice, multiplies_batches_of_turned_matrices_on_hopper) {
    emulated::set_hopper(true);
    const auto hopper = cuda::make_cuda_backend(0);
    for (const auto op : {training::Op::matmul, training::Op::matmul_grad})
        for (const bool turn_a : {false, true})
            for (const bool turn_b : {false, true}) {
                const auto same = training::check_case(*hopper, batch_case(op, turn_a, turn_b));
                EXPECT_TRUE(same) << same.error();
            }
    emulated::set_hopper(false);
}

/// The ways of a Hopper, the fastest first, while `faults` hold.
std::string name_of_tested_hopper(const emulated::Faults& faults) {
    emulated::set_hopper(true);
    emulated::set_faults(faults);
    std::string reason;
    const auto tested = cuda::make_tested_cuda_backend(0, &reason);
    const bool is_right =
        tested != nullptr && training::check_case(*tested, training::linear_case({130, 129, 257}));
    const std::string name = is_right ? tested->name() : "none: " + reason;
    emulated::set_faults({});
    emulated::set_hopper(false);
    return name;
}

TEST(emulated_device, takes_the_fastest_products_that_pass_the_self_test) {
    EXPECT_EQ(name_of_tested_hopper({}), "cuda emulated (alternating)");
    EXPECT_EQ(name_of_tested_hopper({.bulk_copies_get_lost = true}), "cuda emulated (warpgroup)");
    EXPECT_EQ(name_of_tested_hopper({.warpgroups_err = true}), "cuda emulated (int8)");
}

/// Blocks take as many tiles only where few share a product; warpgroups of one tile never do.
TEST(emulated_device, tests_what_a_block_does_after_many_tiles) {
    EXPECT_EQ(name_of_tested_hopper({.warpgroups_err_behind = 4}), "cuda emulated (warpgroup)");
}

/// The first time by itself, then as a graph, then as a graph of other arguments.
void launch_from_graphs(cuda::Products products, training::LinearShape s, bool overlaps = true) {
    emulated::set_hopper(true);
    const auto hopper = cuda::make_cuda_backend(0, nullptr, products);
    const auto sequence = hopper->make_sequence();
    training::OperatorCase c = training::linear_case(s);
    c.call = [&sequence, plain = c.call](training::Backend& on, std::span<float* const> in,
                                         std::span<float* const> out) {
        if (on.is_host()) return plain(on, in, out);
        sequence->run([&] { plain(on, in, out); });
    };
    const emulated::Traffic before = emulated::traffic();
    size_t overlaps_alone = 0;
    std::vector<void*> moved;  // memory that the next call would get again
    for (int i = 0; i < 3; ++i) {
        const auto same = training::check_case(*hopper, c);
        EXPECT_TRUE(same) << same.error();
        moved.push_back(hopper->allocate(c.inputs[0].size() * sizeof(float)));
        if (i == 0) overlaps_alone = emulated::traffic().overlaps - before.overlaps;
    }
    EXPECT_GT(overlaps_alone, 0U);
    EXPECT_EQ(emulated::traffic().graph_launches - before.graph_launches, 2U);
    EXPECT_EQ(emulated::traffic().graphs - before.graphs, 1U);
    EXPECT_EQ(emulated::traffic().overlaps - before.overlaps, (overlaps ? 2 : 1) * overlaps_alone);
    for (void* const memory : moved) hopper->release(memory);
    emulated::set_hopper(false);
}

TEST(emulated_device, launches_pairs_of_blocks_from_graphs) {
    launch_from_graphs(cuda::Products::pairs, {130, 129, 257});
    launch_from_graphs(cuda::Products::alternating, {130, 700, 260});
}

TEST(emulated_device, orders_kernels_of_graphs_plainly_where_they_may_not_overlap) {
    emulated::set_faults({.overlaps_are_refused = true});
    launch_from_graphs(cuda::Products::pairs, {130, 129, 257}, false);
    emulated::set_faults({});
}

/// Heads of two sizes take one kernel, with more shared memory for the first.
TEST(emulated_device, attends_with_heads_of_two_sizes_in_one_graph) {
    const auto backend = cuda::make_cuda_backend(0);
    const auto sequence = backend->make_sequence();
    training::OperatorCase c = training::attention_case({1, 1, 40, 130});
    const training::OperatorCase small = training::attention_case({1, 1, 40, 100});
    const size_t ins = c.inputs.size(), outs = c.outputs.size();
    c.inputs.insert(c.inputs.end(), small.inputs.begin(), small.inputs.end());
    c.outputs.insert(c.outputs.end(), small.outputs.begin(), small.outputs.end());
    c.call = [&, large = c.call](training::Backend& on, std::span<float* const> in,
                                 std::span<float* const> out) {
        const auto both = [&] {
            large(on, in.first(ins), out.first(outs));
            small.call(on, in.subspan(ins), out.subspan(outs));
        };
        return on.is_host() ? both() : sequence->run(both);
    };
    for (int i = 0; i < 2; ++i) {
        const auto same = training::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error();
    }
}

TEST(emulated_device, gives_up_where_copies_do_not_land_and_says_so_for_ever) {
    emulated::set_hopper(true);
    const auto c = training::linear_case({130, 700, 260});
    for (const auto products :
         {cuda::Products::bulk, cuda::Products::pairs, cuda::Products::alternating}) {
        const auto hopper = cuda::make_cuda_backend(0, nullptr, products);
        emulated::set_faults({.bulk_copies_get_lost = true});
        const auto failed = training::run_case(*hopper, c);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error(), training::BackendError::device_failed);
        emulated::set_faults({});
        EXPECT_FALSE(training::run_case(*hopper, c));
        const auto another = cuda::make_cuda_backend(0, nullptr, products);
        EXPECT_TRUE(training::check_case(*another, c)) << "the device itself still works";
    }
    emulated::set_hopper(false);
}

TEST(emulated_device, passes_its_self_test_with_products_in_bf16) {
    const auto backend = cuda::make_cuda_backend(0, nullptr, cuda::Products::bf16);
    const auto passed = training::self_test(*backend);
    EXPECT_TRUE(passed) << passed.error();
}

TEST(emulated_device, takes_the_products_of_a_matmul_in_parts_that_fit) {
    const auto reference = training::make_reference_backend();
    for (const training::GeneralCase& general : training::general_cases()) {
        const auto op = general.call.op;
        if (op != training::Op::matmul && op != training::Op::matmul_grad) continue;
        training::OperatorCase c = training::general_case(general);
        const auto expected = training::run_case(*reference, c);
        ASSERT_TRUE(expected);
        cuda::Context on(0);
        on.set_scratch_bytes_max(1);
        training::OpCall call = general.call;
        for (size_t i = 0; i < c.inputs.size(); ++i) call.in[i] = c.inputs[i].data();
        for (size_t i = 0; i < c.outputs.size(); ++i) call.out[i] = c.outputs[i].data();
        cuda::apply(on, call);
        on.wait();
        EXPECT_TRUE(on.ok());
        EXPECT_EQ(c.outputs, *expected) << c.name;
    }
}

TEST(emulated_device, proves_the_capability_challenge_with_the_bytes_of_the_cpu) {
    training::Challenge challenge{Hash{}, 128, 3};
    challenge.seed.bytes.fill(7);
    const auto device = cuda::make_device_chain(0, challenge);
    const auto cpu = training::make_cpu_chain(challenge, 2);
    const auto proof = training::prove(challenge, device);
    const auto expected = training::prove(challenge, cpu);
    ASSERT_TRUE(proof && expected);
    EXPECT_EQ(proof->root, expected->root);
    const Hash beacon{};
    const auto opening = training::open_rows(*proof, training::drawn_rows(challenge, beacon));
    const auto right = training::verify_rows(challenge, proof->root, beacon, opening, device);
    ASSERT_TRUE(right);
    EXPECT_TRUE(*right);
    emulated::set_faults({.launches_fail = true});
    const auto failed = training::prove(challenge, device);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), training::BackendError::device_failed);
    emulated::set_faults({.memory_bytes_max = 100});
    EXPECT_EQ(training::prove(challenge, device).error(), training::BackendError::out_of_memory);
    emulated::set_faults({});
}

/// The contraction of these sides is split, for which each link needs scratch memory.
TEST(emulated_device, takes_no_more_memory_for_a_longer_chain_of_the_challenge) {
    training::Challenge challenge{Hash{}, 512, 0};
    std::vector<size_t> allocations;
    for (const uint32_t links : {2U, 4U}) {
        challenge.links = links;
        auto rows = training::challenge_rows(challenge, {3, 4, 5});
        const size_t before = emulated::allocations();
        ASSERT_TRUE(cuda::make_device_chain(0, challenge)(rows));
        allocations.push_back(emulated::allocations() - before);
    }
    EXPECT_EQ(allocations[0], allocations[1]);
}

TEST(emulated_device, reports_memory_that_runs_out_and_goes_on) {
    const auto backend = cuda::make_cuda_backend(0);
    const training::OperatorCase c = training::linear_case({64, 64, 64});
    emulated::set_faults({.memory_bytes_max = emulated::bytes_in_use() + 3 * 64 * 64 * 4});
    const auto failed = training::run_case(*backend, c);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), training::BackendError::out_of_memory);
    EXPECT_EQ(backend->allocate(size_t{1} << 30), nullptr);
    emulated::set_faults({});
    EXPECT_TRUE(training::check_case(*backend, c));
}

TEST(emulated_device, reports_a_failed_device_for_ever) {
    const auto backend = cuda::make_cuda_backend(0);
    const training::OperatorCase c = training::pointwise_case(3);
    emulated::set_faults({.launches_fail = true});
    const auto failed = training::run_case(*backend, c);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), training::BackendError::device_failed);
    emulated::set_faults({});
    EXPECT_FALSE(training::run_case(*backend, c));
    EXPECT_FALSE(training::self_test(*backend));
}

TEST(emulated_device, is_refused_when_the_self_test_fails) {
    emulated::set_faults({.launches_fail = true});
    std::string reason;
    EXPECT_EQ(cuda::make_tested_cuda_backend(0, &reason), nullptr);
    EXPECT_NE(reason.find("adamw"), std::string::npos) << reason;
    emulated::set_faults({});
    EXPECT_EQ(cuda::make_cuda_backend(1, &reason), nullptr);
    EXPECT_NE(reason.find("number 1"), std::string::npos) << reason;
}

TEST(emulated_device, stops_a_host_that_reads_device_memory) {
    const auto backend = cuda::make_cuda_backend(0);
    auto* const x = static_cast<float*>(backend->allocate(4));
    EXPECT_DEATH(std::fprintf(stderr, "%f", static_cast<double>(*x)), "");
    backend->release(x);
}

/// A backend whose sums are wrong in one bit, to see that the self-test notices.
TEST(emulated_device, self_test_names_the_operator_that_differs) {
    const auto backend = cuda::make_cuda_backend(0);
    training::OperatorCase c = training::sums_case(100);
    const auto right = c.call;
    c.call = [right](training::Backend& on, std::span<float* const> in,
                     std::span<float* const> out) {
        right(on, in, out);
        if (!on.is_host()) on.fill_zero(out[1], 1);
    };
    const auto same = training::check_case(*backend, c);
    ASSERT_FALSE(same);
    EXPECT_NE(same.error().find("sum, sum_squares 100: element 0 of output 1"), std::string::npos);
}

}  // namespace
