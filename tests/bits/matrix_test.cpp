// SPDX-License-Identifier: Apache-2.0
// The committed roots of the matrix on this machine's CPU; tests/cuda/device has the same on a GPU.
#include <gtest/gtest.h>

#include "tests/bits/matrix_programs.hpp"
#include "tests/cuda/training_run.hpp"

namespace trainyard::training {
namespace {

class Matrix : public testing::TestWithParam<MatrixRoot> {};

TEST_P(Matrix, reaches_the_committed_root) {
    const MatrixProgram made = matrix_program(GetParam().program, kMatrixSteps);
    const auto cpu = make_cpu_backend({CpuPath::best, 2});
    const Hash root =
        tests::state_root_on(made.program, *cpu, made.data, kMatrixSteps, nullptr, matrix_seed());
    EXPECT_EQ(to_hex(root.bytes), GetParam().root);
}

INSTANTIATE_TEST_SUITE_P(, Matrix, testing::ValuesIn(kMatrixRoots),
                         [](const auto& test) { return std::string(test.param.program); });

}  // namespace
}  // namespace trainyard::training
