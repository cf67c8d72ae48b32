// SPDX-License-Identifier: Apache-2.0
// Rows of logits that the shared memory of a block has room for.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "cuda/operators.cuh"
#include "machine.hpp"
#include "training/operator_cases.hpp"

namespace {

using namespace trainyard;
using training::MatrixShape;

class StreamedLoss : public testing::TestWithParam<emulated::Order> {
protected:
    void SetUp() override {
        emulated::set_hopper(true);
        emulated::set_order(GetParam());
    }
    void TearDown() override {
        emulated::set_hopper(false);
        emulated::set_order(emulated::Order::forward);
    }
};

/// The longest row, one more element, and one whose last piece is another warp's when it begins
/// inside of one; several rows to a block.
TEST_P(StreamedLoss, equals_the_reference) {
    const auto backend = cuda::make_cuda_backend(0);
    for (const MatrixShape s : {MatrixShape{5, 8190},
                                {5, 8191},
                                {4, 8193},
                                {3, 12288},
                                {2, 50257},
                                {1, 57341},
                                {1, 57342},
                                {1540, 4097}})
        for (const auto& c :
             {training::cross_entropy_case(s), training::cross_entropy_both_case(s)}) {
            const auto same = training::check_case(*backend, c);
            EXPECT_TRUE(same) << same.error() << " " << s.rows << " x " << s.cols;
        }
}

/// Neither the numbers before a tensor nor those behind it are touched.
TEST_P(StreamedLoss, takes_rows_that_begin_anywhere) {
    const MatrixShape s{3, 4101};
    const size_t count = size_t{s.rows} * s.cols;
    const auto c = training::cross_entropy_case(s);
    const auto* const targets = reinterpret_cast<const uint32_t*>(c.inputs[1].data());
    std::vector<float> due(count);
    training::make_reference_backend()->cross_entropy_grad(due.data(), c.inputs[0].data(), targets,
                                                           s, 0.25F);
    constexpr float kBeside = 7.0F;
    for (const size_t z_at : {0, 1, 2, 3})
        for (const size_t dz_at : {0, 1, 3}) {
            std::vector<float> z(count + z_at), dz(count + dz_at + 4, kBeside);
            std::copy_n(c.inputs[0].data(), count, z.data() + z_at);
            cuda::Context on(0);
            cuda::cross_entropy_grad(on, dz.data() + dz_at, z.data() + z_at, targets, s, 0.25F);
            on.wait();
            EXPECT_TRUE(on.ok());
            std::vector<float> expected(dz_at, kBeside);
            expected.insert(expected.end(), due.begin(), due.end());
            expected.insert(expected.end(), 4, kBeside);
            EXPECT_EQ(dz, expected) << z_at << " " << dz_at;
        }
}

INSTANTIATE_TEST_SUITE_P(orders, StreamedLoss,
                         testing::Values(emulated::Order::forward, emulated::Order::backward,
                                         emulated::Order::scattered));

}  // namespace
