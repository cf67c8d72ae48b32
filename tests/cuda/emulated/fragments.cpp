// SPDX-License-Identifier: Apache-2.0
// The index maps of the tensor cores' operands, against what the PTX ISA says of them, and where
// functions of one number take another way than the reference.
#include "cuda/fragments.cuh"
#include "cuda/products.cuh"

#include <array>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "training/numerics/quantise.hpp"

namespace {

using namespace trainyard;

TEST(fragments, pair_sums_into_the_left_operand_of_the_next_product) {
    // Sum e of tile n in lane t becomes byte 2 (n mod 2) + e of register a[2 (n / 2)]; the lane's
    // word n / 2 of the other operand has to hold the same term in the same byte.
    for (uint32_t n = 0; n < 4; ++n)
        for (uint32_t t = 0; t < 4; ++t)
            for (uint32_t e = 0; e < 2; ++e)
                EXPECT_EQ(cuda::paired_term(8 * n + 2 * t + e), 8 * t + n / 2 * 4 + n % 2 * 2 + e);
}

TEST(fragments, give_each_sum_of_a_warpgroup_one_place) {
    std::set<std::pair<uint32_t, uint32_t>> places;
    for (uint32_t thread = 0; thread < 128; ++thread)
        for (uint32_t i = 0; i < 128; ++i) {
            const cuda::Place at = cuda::warpgroup_sum(thread, i);
            EXPECT_TRUE(at.row < 64 && at.col < 256);
            places.insert({at.row, at.col});
            // A kernel adds the place of thread 0's sum to that of the thread's first.
            const cuda::Place first = cuda::warpgroup_sum(thread, 0),
                              step = cuda::warpgroup_sum(0, i);
            EXPECT_EQ(at.row, first.row + step.row);
            EXPECT_EQ(at.col, first.col + step.col);
        }
    EXPECT_EQ(places.size(), 64u * 256u);
    // Row 9 of warp 1, lane 6: rows 16 + 1 and 8 more, columns 4 and 5 of the first eight.
    EXPECT_EQ(cuda::warpgroup_sum(32 + 6, 3).row, 25u);
    EXPECT_EQ(cuda::warpgroup_sum(32 + 6, 3).col, 5u);
}

TEST(fragments, swizzle_eight_rows_over_all_banks) {
    std::set<uint32_t> all;
    for (uint32_t part = 0; part < 8; ++part) {
        std::set<uint32_t> banks;
        for (uint32_t row = 0; row < 8; ++row) {
            const uint32_t at = cuda::swizzled(row * 128 + part * 16);
            EXPECT_EQ(at / 128, row);
            banks.insert(at % 128);
            all.insert(at);
        }
        EXPECT_EQ(banks.size(), 8u);
    }
    EXPECT_EQ(all.size(), 64u);
    EXPECT_EQ(cuda::swizzled(3 * 128 + 5 * 16 + 7), 3u * 128 + 6 * 16 + 7);
}

TEST(fragments, lay_slabs_out_as_pieces_that_warpgroups_can_read) {
    cuda::Operand x;
    x.groups = 21, x.k = 384, x.layout = cuda::Layout::slabs;
    std::set<size_t> all;
    for (uint32_t z = 0; z < 2; ++z)
        for (uint32_t group = 0; group < x.groups; ++group)
            for (uint32_t byte = 0; byte < x.k; ++byte) {
                // Groups 8 i and on of a slab begin where group 8 i does, which is not swizzled.
                const uint32_t first = group / 8 * 8, slab = byte / 128 * 128;
                const size_t piece = ((z * 3 + slab / 128) * 21 + first) * 128;
                EXPECT_EQ(x.at(z, first, slab), piece);
                EXPECT_EQ(x.at(z, group, byte) - piece,
                          cuda::swizzled((group - first) * 128 + byte - slab));
                all.insert(x.at(z, group, byte));
            }
    EXPECT_EQ(all.size(), 2U * 21 * 384);
    EXPECT_EQ(*all.rbegin(), 2U * 21 * 384 - 1);
}

TEST(fragments, describe_an_operand_by_its_address_and_the_next_eight_rows) {
    // 63-62: 128-byte swizzle; 45-32: 1024 / 16; 29-16: not used; 13-0: address / 16.
    EXPECT_EQ(cuda::matrix_descriptor(0x2c400), 0x4000004000012c40U);
    EXPECT_EQ(cuda::matrix_descriptor(0x400) + 32 / 16, cuda::matrix_descriptor(0x420));
}

TEST(floats, equal_the_exponential_of_the_reference_from_one_end_to_the_other) {
    size_t count = 0;
    for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 1009, ++count) {
        const float x = cuda::as_float(static_cast<uint32_t>(bits)), got = cuda::exp_of(x);
        if (std::isnan(x)) {
            ASSERT_TRUE(std::isnan(got)) << bits;
            continue;
        }
        ASSERT_EQ(cuda::bits_of(got), training::bits_of(training::exp(x))) << bits;
        if (x <= 0.0F) {
            ASSERT_EQ(cuda::bits_of(cuda::exp_of_falling(x)), cuda::bits_of(got)) << bits;
            ASSERT_EQ(cuda::bits_of(cuda::exp_of_nonpositive(x)), cuda::bits_of(got)) << bits;
        }
    }
    EXPECT_GT(count, 4000000u);
}

int at_random(float x, float inv, uint32_t word) {
    return static_cast<int8_t>(cuda::stochastic_in_byte(x, inv, word) >> 16);
}

TEST(floats, round_at_random_like_the_reference_up_to_both_limits) {
    const auto expect_same = [](float x, float inv, uint32_t word) {
        ASSERT_EQ(static_cast<int8_t>(cuda::nearest_in_byte(x, inv)),
                  cuda::quantise_nearest(x, inv));
        ASSERT_EQ(at_random(x, inv, word), training::quantise_stochastic(x, inv, word))
            << cuda::bits_of(x) << " " << cuda::bits_of(inv) << " " << word;
    };
    for (const uint32_t exponent : {0x0d800000U, 0x3f800000U, 0x7f000000U})
        for (uint32_t i = 0; i < 1U << 18; ++i) {
            const uint32_t random = i * 0x9E3779B1U, amax = exponent | (random >> 9);
            const float inv = cuda::scale_of(amax).inv;
            const uint32_t word = i % 3 == 0 ? 0xffff : random & 0xffff;
            // The largest itself, and others down to zero through the subnormal numbers.
            for (const uint32_t bits : {amax, amax - i % 5, amax - random % amax, i})
                for (const uint32_t sign : {0U, 0x80000000U})
                    expect_same(cuda::as_float(bits | sign), inv, word);
        }
}

/// Of all mantissas, and of the smallest and largest exponents, whose inverse is a normal number.
TEST(floats, quantise_the_largest_of_a_group_to_127_without_a_clamp) {
    for (const uint32_t exponent : {0x0d800000U, 0x3f800000U, 0x7f000000U})
        for (uint32_t mantissa = 0; mantissa < 1U << 23; ++mantissa) {
            const float x = cuda::as_float(exponent | mantissa);
            const float inv = cuda::scale_of(exponent | mantissa).inv;
            ASSERT_EQ(cuda::quantise_nearest(x, inv), 127) << mantissa;
            ASSERT_EQ(cuda::quantise_nearest(-x, inv), -127) << mantissa;
            ASSERT_EQ(at_random(x, inv, 0xffff), 127) << mantissa;
            ASSERT_EQ(at_random(-x, inv, 0), -127) << mantissa;
        }
}

}  // namespace
