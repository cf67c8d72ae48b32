// SPDX-License-Identifier: Apache-2.0
// Checked products: right ones pass, one wrong bit is told, and steps are done again.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/operator_cases.hpp"
#include "training/self_test.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

struct WayOfProducts {
    cuda::Products products;
    cuda::ProductBlocks blocks = cuda::ProductBlocks::all;
};

class Checksums : public testing::TestWithParam<WayOfProducts> {
protected:
    void SetUp() override {
        emulated::set_faults({});
        emulated::set_hopper(needs_hopper());
    }
    void TearDown() override {
        emulated::set_faults({});
        emulated::set_hopper(false);
        EXPECT_EQ(emulated::bytes_in_use(), 0U);
    }
    [[nodiscard]] static bool needs_hopper() {
        return GetParam().products != cuda::Products::int8 &&
               GetParam().products != cuda::Products::bf16;
    }
    [[nodiscard]] static std::unique_ptr<Backend> make(cuda::Checksums checksums) {
        return make(GetParam().products, checksums);
    }
    /// With the same kernels, but for the checks.
    [[nodiscard]] static std::unique_ptr<Backend> make_unchecked() {
        const bool alternates = GetParam().products == cuda::Products::alternating;
        return make(alternates ? cuda::Products::pairs : GetParam().products,
                    cuda::Checksums::never);
    }

private:
    [[nodiscard]] static std::unique_ptr<Backend> make(cuda::Products products,
                                                       cuda::Checksums checksums) {
        return cuda::make_cuda_backend(0, nullptr, products, GetParam().blocks, 1, checksums);
    }
};

/// Of each kernel, with rows and columns behind the last, cut contractions, and many tiles.
const std::vector<LinearShape> kShapes = {{130, 129, 257}, {100, 1200, 130}, {33, 300, 70}};

TEST_P(Checksums, find_nothing_in_right_products) {
    const auto backend = make(cuda::Checksums::always);
    for (const LinearShape& s : kShapes)
        for (const auto& c : {linear_case(s), linear_grad_case(s)}) {
            const auto same = check_case(*backend, c);
            EXPECT_TRUE(same) << same.error();
        }
    const auto with_infs = with_extremes(linear_grad_case(kShapes.back()), 5, 400);
    EXPECT_TRUE(check_extremes(*backend, with_infs));
    EXPECT_TRUE(self_test(*backend));
    EXPECT_EQ(backend->wrong_products(), 0U);
}

/// In its first instruction that multiplies, which always counts, and in others, whose sums may lie
/// behind the last row or column.
TEST_P(Checksums, find_one_wrong_bit_wherever_it_is) {
    const auto checked = make(cuda::Checksums::always), plain = make_unchecked();
    uint64_t found = 0, wrong = 0;
    for (const LinearShape& s : kShapes)
        for (const auto& c : {linear_case(s), linear_grad_case(s)}) {
            emulated::set_faults({});
            ASSERT_TRUE(check_case(*checked, c));
            const size_t count = emulated::products();
            for (const size_t at : {size_t{0}, count / 2, count - 1}) {
                emulated::set_faults({.first_wrong_product = at});
                const bool is_wrong = !check_case(*plain, c);
                emulated::set_faults({.first_wrong_product = at});
                const auto told = run_case(*checked, c);
                wrong += is_wrong ? 1 : 0;
                EXPECT_TRUE(is_wrong || at > 0);
                EXPECT_TRUE(!told || !is_wrong) << c.name << ", " << at << " of " << count;
                if (!told) {
                    EXPECT_EQ(told.error(), BackendError::wrong_product);
                    EXPECT_EQ(checked->wrong_products(), ++found);
                }
                EXPECT_TRUE(check_case(*checked, c)) << "what was wrong before is forgotten";
            }
        }
    EXPECT_GT(wrong, 2 * kShapes.size()) << "the first of each case, and others";
}

INSTANTIATE_TEST_SUITE_P(
    ways, Checksums,
    testing::Values(WayOfProducts{cuda::Products::int8}, WayOfProducts{cuda::Products::bf16},
                    WayOfProducts{cuda::Products::warpgroup}, WayOfProducts{cuda::Products::bulk},
                    WayOfProducts{cuda::Products::bulk, cuda::ProductBlocks::few},
                    WayOfProducts{cuda::Products::pairs},
                    WayOfProducts{cuda::Products::pairs, cuda::ProductBlocks::few},
                    WayOfProducts{cuda::Products::alternating}),
    [](const auto& way) {
        const bool is_few = way.param.blocks == cuda::ProductBlocks::few;
        return std::string(cuda::to_text(way.param.products)) + (is_few ? "_few" : "");
    });

TEST(checksums, are_made_where_memory_has_no_ecc) {
    emulated::set_faults({});
    EXPECT_EQ(cuda::make_cuda_backend(0)->name(), "cuda emulated (int8)");
    emulated::set_faults({.has_ecc = false});
    EXPECT_EQ(cuda::make_cuda_backend(0)->name(), "cuda emulated (int8, checksums)");
    EXPECT_FALSE(cuda::cuda_devices().front().has_ecc);
    emulated::set_faults({});
}

constexpr uint32_t kSteps = 3;

/// A run of gpt on a device without ECC.
class CheckedRun : public testing::Test {
protected:
    void SetUp() override { emulated::set_faults({.has_ecc = false}); }
    void TearDown() override { emulated::set_faults({}); }

    [[nodiscard]] Hash root() const { return *state_root(*live, program_id(program)); }
    [[nodiscard]] Hash due(uint32_t steps) const {
        return tests::state_root_on(program, *make_reference_backend(), data, steps);
    }

    Program program = tests::make_run({.steps = kSteps});
    Bytes data = tests::make_text(tests::kTextBytes);
    std::unique_ptr<Backend> backend = cuda::make_cuda_backend(
        0, nullptr, cuda::Products::int8, cuda::ProductBlocks::all, 1, cuda::Checksums::always);
    Result<Engine, EngineError> engine = Engine::make(program, *backend, data);
    ModelState state = make_initial_state(program, Hash{}, data);
    Result<LiveState, EngineError> live = LiveState::load(*backend, program, state);
};

/// In the first step operators are launched one by one, in the others from graphs.
TEST_F(CheckedRun, does_a_step_again_where_a_product_is_wrong) {
    for (uint32_t i = 0; i < kSteps; ++i) {
        emulated::set_faults({.first_wrong_product = 0});
        auto step = run_step(*engine, *live, data);
        ASSERT_TRUE(step) << to_text(step.error());
        EXPECT_EQ(step->wrong_products, 1U);
        engine->recycle(std::move(step->gradients));
        emulated::set_faults({});
    }
    EXPECT_EQ(root(), due(kSteps));
}

TEST_F(CheckedRun, gives_up_a_machine_that_errs_again_and_again_and_keeps_the_state) {
    for (uint32_t i = 0; i + 1 < kSteps; ++i) {
        auto step = run_step(*engine, *live, data);
        ASSERT_TRUE(step);
        EXPECT_EQ(step->wrong_products, 0U);
        engine->recycle(std::move(step->gradients));
    }
    emulated::set_faults({.first_wrong_product = 0, .wrong_products = SIZE_MAX});
    EXPECT_EQ(run_step(*engine, *live, data).error(), EngineError::wrong_product);
    emulated::set_faults({});
    EXPECT_EQ(backend->wrong_products(), 3U);
    EXPECT_EQ(state.step, kSteps - 1);
    EXPECT_EQ(root(), due(kSteps - 1));
}

TEST_F(CheckedRun, computes_a_micro_batch_and_a_loss_again_where_a_product_is_wrong) {
    ASSERT_TRUE(engine->load_weights(state.w));
    auto right = run_micro_batch(*engine, data, Hash{}, 0, 1);
    emulated::set_faults({.first_wrong_product = 0});
    auto again = run_micro_batch(*engine, data, Hash{}, 0, 1);
    ASSERT_TRUE(right && again);
    EXPECT_EQ(again->loss_bits, right->loss_bits);
    EXPECT_EQ(backend->wrong_products(), 1U);
    const auto batch = make_batch(program, data, batch_records(program, Hash{}, 0, 0));
    ASSERT_TRUE(batch);
    emulated::set_faults({});
    const auto loss = engine->forward_loss(*batch);
    emulated::set_faults({.first_wrong_product = 0});
    EXPECT_EQ(*engine->forward_loss(*batch), *loss);
    EXPECT_EQ(backend->wrong_products(), 2U);
}

}  // namespace
