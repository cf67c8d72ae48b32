// SPDX-License-Identifier: Apache-2.0
// Devices are listed, or one line says why there are none.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"

namespace {

using namespace trainyard;

TEST(cuda_devices, come_with_a_reason_when_there_are_none) {
    EXPECT_EQ(cuda::cuda_devices().empty(), !cuda::cuda_unavailable().empty());
    std::string reason;
    EXPECT_EQ(cuda::make_cuda_backend(-1, &reason), nullptr);
    EXPECT_FALSE(reason.empty());
    EXPECT_EQ(reason.find('\n'), std::string::npos);
    EXPECT_EQ(cuda::make_tested_cuda_backend(4711), nullptr);
}

}  // namespace
