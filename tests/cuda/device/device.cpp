// SPDX-License-Identifier: Apache-2.0
// The CUDA backend on real devices; skipped, with the reason, where there are none.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "dispute_run.hpp"
#include "tests/bits/matrix_programs.hpp"
#include "training/operator_cases.hpp"
#include "training/segment.hpp"
#include "training/self_test.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;

class Device : public testing::Test {
protected:
    void SetUp() override {
        const auto devices = cuda::cuda_devices();
        if (devices.empty()) GTEST_SKIP() << "NOT RUN ON A DEVICE: " << cuda::cuda_unavailable();
        std::string reason;  // products that fail the self-test have a test of their own below
        backend = cuda::make_tested_cuda_backend(devices[0].index, &reason);
        ASSERT_NE(backend, nullptr) << reason;
    }
    std::unique_ptr<training::Backend> backend;
};

TEST_F(Device, equals_the_reference_in_large_shapes) {
    std::vector<training::OperatorCase> cases;
    cases.push_back(training::linear_case({1029, 515, 1537}));
    cases.push_back(training::linear_grad_case({1029, 515, 771}));
    cases.push_back(training::attention_case({2, 3, 517, 64}));
    cases.push_back(training::attention_case({1, 2, 390, 128, false}));
    cases.push_back(training::attention_case({1, 1, 130, 320}));
    cases.push_back(training::rms_norm_case({8195, 515}, true));
    cases.push_back(training::cross_entropy_case({130, 50257}));
    cases.push_back(training::embedding_grad_case({4, 515, 130, 1000}));
    cases.push_back(training::pointwise_case(1 << 20));
    cases.push_back(training::sums_case((size_t{4096} * 4096) + 4097));
    cases.push_back(training::adamw_case((1 << 20) + 7, 0.5F, 0.1F));
    for (const training::OperatorCase& c : cases) {
        const auto same = training::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error();
    }
}

/// One test for each, so that --gtest_filter=*/bulk tries one in a process of its own: what a
/// kernel that crashes leaves behind is of no use.
class DeviceProducts : public testing::TestWithParam<cuda::Products> {
protected:
    void SetUp() override {
        const auto devices = cuda::cuda_devices();
        if (devices.empty()) GTEST_SKIP() << "NOT RUN ON A DEVICE: " << cuda::cuda_unavailable();
        device = devices[0].index;
        std::string reason;
        backend = cuda::make_cuda_backend(device, &reason, GetParam());
        if (backend == nullptr) GTEST_SKIP() << reason;
    }
    int device = 0;
    std::unique_ptr<training::Backend> backend;
};

/// Every operator in small shapes; what tests/cuda/sanitize.sh runs.
TEST_P(DeviceProducts, passes_the_self_test) {
    const auto passed = training::self_test(*backend);
    EXPECT_TRUE(passed) << passed.error();
}

TEST_P(DeviceProducts, take_values_that_are_not_finite_as_the_reference_does) {
    for (const training::OperatorCase& c : training::operator_cases())
        for (const uint32_t every : {5U, 400U}) {
            const auto same =
                training::check_extremes(*backend, training::with_extremes(c, every, every));
            EXPECT_TRUE(same) << same.error();
        }
}

/// With the sums of all products checked, as on devices without ECC.
TEST_P(DeviceProducts, are_right_by_their_checksums) {
    std::string reason;
    const auto checked = cuda::make_cuda_backend(
        device, &reason, GetParam(), cuda::ProductBlocks::all, 1, cuda::Checksums::always);
    ASSERT_NE(checked, nullptr) << reason;
    const auto passed = training::self_test(*checked);
    EXPECT_TRUE(passed) << passed.error();
    std::vector<training::OperatorCase> cases;
    for (const training::LinearShape s :
         {training::LinearShape{1029, 515, 1537}, {2048, 4160, 1024}, {6000, 300, 6000}})
        for (const auto& c : {training::linear_case(s), training::linear_grad_case(s)})
            cases.push_back(c);
    for (const training::AttentionShape s :
         {training::AttentionShape{2, 3, 1030, 64}, {1, 2, 390, 128, false}, {1, 1, 130, 320}})
        cases.push_back(training::attention_case(s));
    for (const training::OperatorCase& c : cases) {
        const auto got = training::run_case(*checked, c);
        const auto due = training::run_case(*backend, c);
        ASSERT_TRUE(got && due) << c.name;
        EXPECT_EQ(*got, *due) << c.name;
    }
    EXPECT_EQ(checked->wrong_products(), 0U);
}

/// Odd sides, more tiles than multiprocessors, and contractions of many steps.
TEST_P(DeviceProducts, multiply_to_the_bits_of_single_warps) {
    std::string reason;
    const auto plain = cuda::make_cuda_backend(device, &reason, cuda::Products::int8);
    ASSERT_NE(plain, nullptr) << reason;
    for (const training::LinearShape s : {training::LinearShape{128, 128, 256},
                                          {1029, 515, 1537},
                                          {2048, 4160, 1024},
                                          {97, 4096, 2048},
                                          {4100, 780, 1540},
                                          {6000, 300, 6000}})
        for (const auto& c : {training::linear_case(s), training::linear_grad_case(s)}) {
            const auto got = training::run_case(*backend, c), due = training::run_case(*plain, c);
            ASSERT_TRUE(got && due) << c.name;
            EXPECT_EQ(*got, *due) << c.name;
        }
}

INSTANTIATE_TEST_SUITE_P(, DeviceProducts,
                         testing::Values(cuda::Products::int8, cuda::Products::warpgroup,
                                         cuda::Products::bulk, cuda::Products::pairs,
                                         cuda::Products::alternating, cuda::Products::bf16),
                         [](const auto& test) { return std::string(to_text(test.param)); });

TEST_F(Device, gives_the_same_bits_in_every_run) {
    const training::OperatorCase c = training::linear_grad_case({515, 260, 389});
    const auto first = training::run_case(*backend, c);
    ASSERT_TRUE(first);
    for (int i = 0; i < 20; ++i) {
        const auto again = training::run_case(*backend, c);
        ASSERT_TRUE(again);
        EXPECT_EQ(*again, *first);
    }
}

TEST_F(Device, trains_the_demo_for_two_hundred_steps_to_the_state_root_of_the_cpu) {
    const auto program = tests::make_run({.layers = 4,
                                          .width = 128,
                                          .heads = 4,
                                          .sequence = 128,
                                          .steps = 200,
                                          .micro_batches = 1,
                                          .sequences = 4});
    const auto cpu = training::make_cpu_backend({training::CpuPath::best, 8});
    EXPECT_EQ(tests::state_root_after(program, *backend, 200),
              tests::state_root_after(program, *cpu, 200));
}

TEST_F(Device, trains_models_of_images_to_the_state_root_of_the_cpu) {
    const auto cpu = training::make_cpu_backend({training::CpuPath::best, 8});
    const Bytes data = training::shapes_data();
    for (const training::Program& program : training::image_programs())
        EXPECT_EQ(tests::state_root_on(program, *backend, data, 20),
                  tests::state_root_on(program, *cpu, data, 20));
}

class DeviceMatrix : public Device, public testing::WithParamInterface<training::MatrixRoot> {};

/// 20 steps against this machine's CPU, then all that bench/results/bits.md has on CPUs.
TEST_P(DeviceMatrix, trains_for_five_hundred_steps_to_the_committed_root) {
    const auto made = training::matrix_program(GetParam().program, training::kMatrixSteps);
    const auto root_on = [&](training::Backend& on, uint32_t steps) {
        return tests::state_root_on(made.program, on, made.data, steps, nullptr,
                                    training::matrix_seed());
    };
    const auto cpu = training::make_cpu_backend({training::CpuPath::best, 2});
    ASSERT_EQ(root_on(*backend, 20), root_on(*cpu, 20));
    EXPECT_EQ(to_hex(root_on(*backend, training::kMatrixSteps).bytes), GetParam().root);
}

INSTANTIATE_TEST_SUITE_P(, DeviceMatrix, testing::ValuesIn(training::kMatrixRoots),
                         [](const auto& test) { return std::string(test.param.program); });

TEST_F(Device, hashes_a_large_state_as_the_cpu_does) {
    const auto program = tests::make_run({.layers = 6, .width = 512, .heads = 8, .sequence = 64});
    training::ModelState state =
        training::make_initial_state(program, Hash{}, tests::make_text(tests::kTextBytes));
    const auto live = training::LiveState::load(*backend, program, state);
    ASSERT_TRUE(live);
    for (int i = 0; i < 3; ++i) {
        const auto root = training::state_root(*live, Hash{});
        ASSERT_TRUE(root);
        EXPECT_EQ(*root, training::state_root(state, Hash{}));
    }
}

TEST_F(Device, computes_the_steps_of_a_dispute) {
    tests::expect_witness_of_cpu(*backend);
}

TEST_F(Device, logs_a_segment_with_the_record_of_the_cpu) {
    const auto program = tests::make_run({.width = 128, .heads = 4, .sequence = 128, .steps = 6});
    const Bytes data = tests::make_text(tests::kTextBytes);
    const auto cpu = training::make_cpu_backend({training::CpuPath::best, 8});
    const auto record_on = [&](training::Backend& on) {
        auto engine = training::Engine::make(program, on, data);
        EXPECT_TRUE(engine);
        training::ModelState state = training::make_initial_state(program, Hash{}, data);
        const auto log =
            training::run_segment(*engine, state, data, {6, training::Fault::none, {}});
        EXPECT_TRUE(log);
        for (uint32_t i = 0; i < 6; ++i)
            EXPECT_EQ(training::grad_root(*log->gradients->read(i)),
                      log->record.tuples[i].grad_root);
        return training::encode_record(log->record);
    };
    EXPECT_EQ(record_on(*backend), record_on(*cpu));
}

TEST_F(Device, reports_memory_that_runs_out) {
    EXPECT_EQ(backend->allocate(size_t{1} << 50), nullptr);
    EXPECT_TRUE(training::check_case(*backend, training::sums_case(1000)));
}

}  // namespace
