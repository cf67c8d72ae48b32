// SPDX-License-Identifier: Apache-2.0
// Attention's checked products: right ones pass, one wrong bit is told wherever it is.
#include <cmath>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/operator_cases.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

std::unique_ptr<Backend> make(cuda::Checksums checksums) {
    return cuda::make_cuda_backend(0, nullptr, cuda::Products::int8, cuda::ProductBlocks::all, 1,
                                   checksums);
}

class AttentionChecks : public testing::Test {
protected:
    void SetUp() override { emulated::set_faults({}); }
    void TearDown() override { emulated::set_faults({}); }

    std::unique_ptr<Backend> checked = make(cuda::Checksums::always);
    std::unique_ptr<Backend> plain = make(cuda::Checksums::never);
};

/// Each kernel, with rows behind the last, warps without any, tiles in front of and behind the
/// diagonal, and heads of parts of a slice, whole ones and several.
const std::vector<AttentionShape> kShapes = {
    {2, 1, 37, 20}, {1, 2, 70, 64}, {1, 1, 66, 96}, {1, 1, 70, 260}};

std::vector<OperatorCase> cases() {
    std::vector<OperatorCase> out;
    for (const AttentionShape& s : kShapes)
        for (const bool causal : {true, false})
            out.push_back(attention_case({s.b, s.h, s.t, s.hd, causal}));
    return out;
}

TEST_F(AttentionChecks, find_nothing_in_right_products) {
    for (const OperatorCase& c : cases()) {
        const auto same = check_case(*checked, c);
        EXPECT_TRUE(same) << same.error();
        const auto same_with_infs = check_extremes(*checked, with_extremes(c, 5, 400));
        EXPECT_TRUE(same_with_infs) << same_with_infs.error();
    }
    for (const AttentionShape& s : {AttentionShape{1, 1, 1, 1}, {1, 1, 140, 16}, {1, 1, 3, 1032}}) {
        const auto same = check_case(*checked, attention_case(s));
        EXPECT_TRUE(same) << same.error();
    }
    EXPECT_EQ(checked->wrong_products(), 0U);
}

/// As in scales_a_row_by_its_largest_weight_after_rounding: the last product of the forward pass is
/// made again for another scale.
TEST_F(AttentionChecks, find_nothing_where_a_product_is_made_again) {
    const AttentionShape shape{2, 3, 70, 1, false};
    OperatorCase c = attention_case(shape);
    for (size_t n = 0; n < size_t{shape.b} * shape.t; ++n)
        for (size_t h = 0; h < shape.h; ++h) {
            float* const row = c.inputs[0].data() + n * 3 * shape.h + h;
            row[0] = 1.5F;
            row[2 * shape.h] = std::exp(-1.5F * row[shape.h]);
        }
    const auto count = [&] {
        emulated::set_faults({});
        EXPECT_TRUE(run_case(*checked, c));
        return emulated::products();
    };
    const size_t with_others = count();
    EXPECT_TRUE(check_case(*checked, c));
    c.inputs[0] = attention_case(shape).inputs[0];
    EXPECT_LT(count(), with_others) << "nothing was made again";
    EXPECT_EQ(checked->wrong_products(), 0U);
}

/// Every wrong sum is told, also one that a mask or the end of the matrix leaves out.
TEST_F(AttentionChecks, find_one_wrong_bit_wherever_it_is) {
    constexpr size_t kPlaces = 7;
    uint64_t found = 0, wrong = 0;
    for (const OperatorCase& c : cases()) {
        emulated::set_faults({});
        ASSERT_TRUE(run_case(*checked, c));
        const size_t count = emulated::products();
        for (size_t i = 0; i < kPlaces; ++i) {
            const size_t at = i * (count - 1) / (kPlaces - 1);
            emulated::set_faults({.first_wrong_product = at});
            const auto told = run_case(*checked, c);
            ASSERT_FALSE(told) << c.name << ", " << at << " of " << count;
            EXPECT_EQ(told.error(), BackendError::wrong_product);
            EXPECT_EQ(checked->wrong_products(), ++found);
        }
        emulated::set_faults({});
        const auto right = run_case(*plain, c);
        ASSERT_TRUE(right);
        const size_t plain_count = emulated::products();
        for (size_t i = 0; i < kPlaces; ++i) {
            const size_t at = i * (plain_count - 1) / (kPlaces - 1);
            emulated::set_faults({.first_wrong_product = at});
            const auto silent = run_case(*plain, c);
            ASSERT_TRUE(silent) << "nothing is checked here";
            wrong += *silent != *right ? 1 : 0;
        }
        emulated::set_faults({});
        EXPECT_TRUE(check_case(*checked, c)) << "what was wrong before is forgotten";
    }
    EXPECT_GT(wrong, found / 4) << "others are masked, or change no maximum";
}

/// Half of the products of a gpt's step are attention's. The first step tells how many there are. A
/// wrong sum of another product may lie behind its last row or column, where it counts for nothing.
TEST_F(AttentionChecks, have_a_step_made_again_wherever_a_product_is_wrong) {
    constexpr uint32_t kPlaces = 5, kSteps = kPlaces + 1;
    const Program program = tests::make_run({.steps = kSteps});
    const Bytes data = tests::make_text(tests::kTextBytes);
    auto engine = Engine::make(program, *checked, data);
    ModelState state = make_initial_state(program, Hash{}, data);
    auto live = LiveState::load(*checked, program, state);
    ASSERT_TRUE(engine && live);
    size_t count = 0;
    uint64_t told = 0;
    for (uint32_t i = 0; i < kSteps; ++i) {
        const size_t place = i == 0 ? SIZE_MAX : count * (2 * i - 1) / (2 * kPlaces);
        emulated::set_faults({.first_wrong_product = place});
        auto step = run_step(*engine, *live, data);
        ASSERT_TRUE(step) << to_text(step.error());
        EXPECT_LE(step->wrong_products, i == 0 ? 0U : 1U);
        told += step->wrong_products;
        engine->recycle(std::move(step->gradients));
        if (i == 0) count = emulated::products();
    }
    emulated::set_faults({});
    EXPECT_GE(told, kPlaces - 1);
    EXPECT_EQ(*state_root(*live, program_id(program)),
              tests::state_root_on(program, *make_reference_backend(), data, kSteps));
}

}  // namespace
