// SPDX-License-Identifier: Apache-2.0
// Rows of logits that the shared memory of a block has room for.
#include <algorithm>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "cuda/operators.cuh"
#include "cuda/products.cuh"
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
            cuda::cross_entropy_both(on, nullptr, dz.data() + dz_at, z.data() + z_at, targets, s,
                                     0.25F);
            on.wait();
            EXPECT_TRUE(on.ok());
            std::vector<float> expected(dz_at, kBeside);
            expected.insert(expected.end(), due.begin(), due.end());
            expected.insert(expected.end(), 4, kBeside);
            EXPECT_EQ(dz, expected) << z_at << " " << dz_at;
        }
}

/// Logits where the target's is the largest of all in every third row, and the smallest in the
/// next.
std::vector<float> certain_logits(MatrixShape s, const std::vector<float>& random,
                                  const uint32_t* targets) {
    std::vector<float> out = random;
    for (uint32_t row = 0; row < s.rows; ++row)
        if (row % 3 < 2) out[size_t{row} * s.cols + targets[row]] = row % 3 == 0 ? 40.0F : -90.0F;
    return out;
}

/// Of rows and columns, row maxima first.
std::vector<uint32_t> read_maxima(cuda::Context& on, const cuda::Maxima& at, MatrixShape s) {
    std::vector<uint32_t> out(s.rows + s.cols);
    on.download(out.data(), at.rows, s.rows * sizeof(uint32_t));
    on.download(out.data() + s.rows, at.cols, s.cols * sizeof(uint32_t));
    return out;
}

/// What a pass over the gradient finds, for rows that begin anywhere, and over what scratch memory
/// had before.
TEST_P(StreamedLoss, leaves_the_maxima_of_its_gradient) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    for (const MatrixShape s : {MatrixShape{6, 4097},
                                {5, 4100},
                                {9, 4102},
                                {7, 8191},
                                {4, 8193},
                                {2, 50257},
                                {1540, 4099}}) {
        const auto c = training::cross_entropy_case(s);
        const auto* const targets = reinterpret_cast<const uint32_t*>(c.inputs[1].data());
        const size_t count = size_t{s.rows} * s.cols;
        const auto logits = certain_logits(s, c.inputs[0], targets);
        cuda::Context on(0);
        for (const size_t at : {0, 1, 3, 4}) {
            std::vector<float> z(count + at), dz(count + at), losses(s.rows);
            std::copy(logits.begin(), logits.end(), z.data() + at);
            // The last turn is of a sum that is none.
            if (at == 4) z[at + count / 2] = kInf;
            const cuda::Waiting loss{.kind = cuda::Waiting::Kind::loss,
                                     .y = dz.data() + at,
                                     .count = count,
                                     .a = z.data() + at,
                                     .s = s,
                                     .losses = losses.data(),
                                     .targets = targets,
                                     .inv_n = 0.25F / static_cast<float>(at + 1)};
            ASSERT_TRUE(cuda::leaves_maxima(on, loss, s.cols));
            on.begin();
            const cuda::Maxima left = cuda::take_maxima(on, 1, s.rows, s.cols);
            cuda::launch_with_maxima(on, loss, s.cols, left);
            const cuda::Maxima found = cuda::take_maxima(on, 1, s.rows, s.cols);
            cuda::find_maxima(on, 1, {loss.y, s.rows, s.cols, s.cols, {}}, found);
            EXPECT_EQ(read_maxima(on, left, s), read_maxima(on, found, s)) << s.cols << " " << at;
            EXPECT_TRUE(on.ok());
        }
    }
}

/// Rows of one chunk or of too many, a gradient that lies otherwise than the logits, rows of
/// another length.
TEST_P(StreamedLoss, says_where_it_leaves_no_maxima) {
    const cuda::Context on(0);
    alignas(16) float memory[8];
    const auto leaves = [&](uint32_t cols, uint32_t as, float* dz) {
        return cuda::leaves_maxima(on,
                                   {.kind = cuda::Waiting::Kind::loss,
                                    .y = dz,
                                    .count = size_t{2} * cols,
                                    .a = memory,
                                    .s = {2, cols}},
                                   as);
    };
    EXPECT_TRUE(leaves(4098, 4098, memory));
    EXPECT_TRUE(leaves(57341, 57341, memory + 4));
    EXPECT_FALSE(leaves(57342, 57342, memory));
    EXPECT_FALSE(leaves(4096, 4096, memory));
    EXPECT_FALSE(leaves(4098, 4098, memory + 1));
    EXPECT_FALSE(leaves(4098, 2049, memory));
    emulated::set_hopper(false);
    const cuda::Context small(0);
    EXPECT_FALSE(cuda::loss_leaves_maxima(
        small, {.kind = cuda::Waiting::Kind::loss, .y = memory, .a = memory, .s = {2, 50257}}));
}

INSTANTIATE_TEST_SUITE_P(orders, StreamedLoss,
                         testing::Values(emulated::Order::forward, emulated::Order::backward,
                                         emulated::Order::scattered));

}  // namespace
