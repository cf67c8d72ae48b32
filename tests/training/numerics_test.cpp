// SPDX-License-Identifier: Apache-2.0
// Known answers of the functions, of Philox and of the float mode guard.
#include <cmath>

#include "tests/training/fixture.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/quantise.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace trainyard::training {
namespace {

TEST(functions, stay_within_two_ulp_of_the_double_results) {
    for (int i = -800; i <= 800; ++i) {
        const float x = static_cast<float>(i) * 0.01F;
        EXPECT_NEAR(exp(x), std::exp(static_cast<double>(x)), 2.5e-7 * std::exp(x));
        EXPECT_NEAR(tanh(x), std::tanh(static_cast<double>(x)), 2.5e-7);
        if (x > 0) {
            EXPECT_NEAR(log(x), std::log(static_cast<double>(x)), 6e-7);
        }
    }
}

TEST(functions, make_no_number_of_a_nan) {
    for (const uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7fffffffU, 0x7f800001U}) {
        const float nan = as_float(bits);
        for (const float y : {exp(nan), log(nan), tanh(nan)}) EXPECT_TRUE(std::isnan(y)) << bits;
    }
}

TEST(philox, gives_the_published_answer_for_zeros) {
    // Random123, kat_vectors: philox4x32 10 rounds, all zero.
    const PhiloxBlock due{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0), due);
}

TEST(quantise, keeps_to_127_and_rounds_ties_to_even) {
    const Scale s = scale_of(bits_of(127.0F));
    EXPECT_EQ(quantise_nearest(127.0F, s.inv), 127);
    EXPECT_EQ(quantise_nearest(-127.0F, s.inv), -127);
    EXPECT_EQ(quantise_nearest(2.5F, s.inv), 2);
    EXPECT_EQ(quantise_nearest(3.5F, s.inv), 4);
    EXPECT_EQ(scale_of(0x0d7fffff).s, 0.0F);
    EXPECT_NE(scale_of(0x0d800000).s, 0.0F);
}

TEST(quantise, stochastic_rounding_meets_the_mean) {
    int sum = 0;
    for (uint32_t word = 0; word < 65536; ++word) sum += quantise_stochastic(2.25F, 1.0F, word);
    EXPECT_EQ(sum, 65536 * 9 / 4);
}

#if defined(__x86_64__)
TEST(float_mode, guard_undoes_flush_to_zero_and_restores_it) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    EXPECT_FALSE(is_float_mode_exact());
    {
        const FloatModeGuard guard;
        EXPECT_TRUE(is_float_mode_exact());
    }
    EXPECT_FALSE(is_float_mode_exact());
    _mm_setcsr(before);
    EXPECT_TRUE(is_float_mode_exact());
}

TEST(float_mode, a_caller_with_flush_to_zero_gets_the_same_bits) {
    const std::vector<float> x(64, 1e-39F), y = noise(64, 3, 1e-39F);
    std::vector<float> clean(64), dirty(64);
    for (const auto& b : fast_backends()) {
        b->add(clean.data(), x.data(), y.data(), 64);
        const unsigned before = _mm_getcsr();
        _mm_setcsr(before | 0x8040);
        b->add(dirty.data(), x.data(), y.data(), 64);
        _mm_setcsr(before);
        EXPECT_TRUE(bits_equal(dirty, clean)) << b->name();
    }
}
#endif

}  // namespace
}  // namespace trainyard::training
