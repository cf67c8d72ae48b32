// SPDX-License-Identifier: Apache-2.0
// The self-test passes backends that follow the recipe and names what differs in others.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"

namespace {

using namespace trainyard;

TEST(self_test, passes_the_cpu_backends) {
    for (const training::CpuPath path : {training::CpuPath::scalar, training::CpuPath::best}) {
        const auto backend = training::make_cpu_backend({path, 2});
        const auto passed = cuda::cuda_self_test(*backend);
        EXPECT_TRUE(passed) << backend->name() << ": " << passed.error();
    }
}

TEST(self_test, names_the_first_operator_of_another_recipe) {
    const auto backend = training::make_fp32_backend();
    const auto passed = cuda::cuda_self_test(*backend);
    ASSERT_FALSE(passed);
    EXPECT_EQ(passed.error().find("linear"), 0u) << passed.error();
}

TEST(cuda_devices, come_with_a_reason_when_there_are_none) {
    EXPECT_EQ(cuda::cuda_devices().empty(), !cuda::cuda_unavailable().empty());
    std::string reason;
    EXPECT_EQ(cuda::make_cuda_backend(-1, &reason), nullptr);
    EXPECT_FALSE(reason.empty());
    EXPECT_EQ(reason.find('\n'), std::string::npos);
    EXPECT_EQ(cuda::make_tested_cuda_backend(4711), nullptr);
}

}  // namespace
