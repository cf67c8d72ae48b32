// SPDX-License-Identifier: Apache-2.0
// The CUDA backend on real devices; skipped, with the reason, where there are none.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "cuda/operator_cases.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;

class Device : public testing::Test {
protected:
    void SetUp() override {
        const auto devices = cuda::cuda_devices();
        if (devices.empty()) GTEST_SKIP() << "NOT RUN ON A DEVICE: " << cuda::cuda_unavailable();
        std::string reason;
        backend = cuda::make_cuda_backend(devices[0].index, &reason);
        ASSERT_NE(backend, nullptr) << reason;
    }
    std::unique_ptr<training::Backend> backend;
};

TEST_F(Device, passes_its_self_test) {
    const auto passed = cuda::cuda_self_test(*backend);
    EXPECT_TRUE(passed) << passed.error();
}

TEST_F(Device, equals_the_reference_in_large_shapes) {
    std::vector<cuda::OperatorCase> cases;
    cases.push_back(cuda::linear_case({1029, 515, 1537}));
    cases.push_back(cuda::linear_grad_case({1029, 515, 771}));
    cases.push_back(cuda::attention_case({2, 3, 517, 64}));
    cases.push_back(cuda::rms_norm_case({8195, 515}, true));
    cases.push_back(cuda::cross_entropy_case({130, 50257}));
    cases.push_back(cuda::embedding_grad_case({4, 515, 130, 1000}));
    cases.push_back(cuda::pointwise_case(1 << 20));
    cases.push_back(cuda::sums_case((size_t{4096} * 4096) + 4097));
    cases.push_back(cuda::adamw_case((1 << 20) + 7, 0.5F, 0.1F));
    for (const cuda::OperatorCase& c : cases) {
        const auto same = cuda::check_case(*backend, c);
        EXPECT_TRUE(same) << same.error();
    }
}

TEST_F(Device, gives_the_same_bits_in_every_run) {
    const cuda::OperatorCase c = cuda::linear_grad_case({515, 260, 389});
    const auto first = cuda::run_case(*backend, c);
    ASSERT_TRUE(first);
    for (int i = 0; i < 20; ++i) {
        const auto again = cuda::run_case(*backend, c);
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

TEST_F(Device, reports_memory_that_runs_out) {
    EXPECT_EQ(backend->allocate(size_t{1} << 50), nullptr);
    EXPECT_TRUE(cuda::check_case(*backend, cuda::sums_case(1000)));
}

}  // namespace
