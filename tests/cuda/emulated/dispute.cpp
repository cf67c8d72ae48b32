// SPDX-License-Identifier: Apache-2.0
// A dispute's steps on the emulated device, whose memory no host may read.
#include "dispute_run.hpp"

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"

namespace {

using namespace trainyard;

TEST(emulated_dispute, has_the_numbers_of_the_cpu) {
    emulated::set_faults({});
    const auto backend = cuda::make_cuda_backend(0);
    ASSERT_NE(backend, nullptr);
    tests::expect_witness_of_cpu(*backend);
}

}  // namespace
