// SPDX-License-Identifier: Apache-2.0
// Uint256 against a bit-by-bit model, on random and on extreme operands.
#include "core/uint256.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace trainyard {
namespace {

/// 512 bits, lowest first; everything below is school arithmetic on single bits.
using Bits = std::vector<bool>;

Bits bits_of(const Uint256& v, size_t width = 512) {
    Bits out(width);
    for (size_t i = 0; i < 256; ++i) out[i] = (v.limbs[i / 64] >> (i % 64)) & 1;
    return out;
}

Uint256 low_half(const Bits& bits) {
    Uint256 v;
    for (size_t i = 0; i < 256; ++i)
        if (bits[i]) v.limbs[i / 64] |= 1ull << (i % 64);
    return v;
}

Bits add(const Bits& a, const Bits& b) {
    Bits out(a.size());
    int carry = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        carry += a[i] + b[i];
        out[i] = carry & 1;
        carry >>= 1;
    }
    return out;
}

Bits shifted(const Bits& a, size_t n) {
    Bits out(a.size());
    for (size_t i = n; i < a.size(); ++i) out[i] = a[i - n];
    return out;
}

Bits multiply(const Bits& a, const Bits& b) {
    Bits out(a.size());
    for (size_t i = 0; i < b.size(); ++i)
        if (b[i]) out = add(out, shifted(a, i));
    return out;
}

bool less(const Bits& a, const Bits& b) {
    for (size_t i = a.size(); i-- > 0;)
        if (a[i] != b[i]) return b[i];
    return false;
}

Bits negated(Bits a) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = !a[i];
    Bits one(a.size());
    one[0] = true;
    return add(a, one);
}

/// Long division; (quotient, remainder).
std::pair<Bits, Bits> divide(const Bits& a, const Bits& b) {
    Bits quotient(a.size()), rest(a.size());
    for (size_t i = a.size(); i-- > 0;) {
        rest = shifted(rest, 1);
        rest[0] = a[i];
        if (less(rest, b)) continue;
        rest = add(rest, negated(b));
        quotient[i] = true;
    }
    return {quotient, rest};
}

/// Every limb is zero, one, all ones, the top bit, or random: where carries and guesses go wrong.
Uint256 random_value(std::mt19937_64& random) {
    Uint256 v;
    for (uint64_t& limb : v.limbs) {
        const uint64_t choices[] = {0, 1, ~0ull, 1ull << 63, random(), random() >> (random() % 64)};
        limb = choices[random() % std::size(choices)];
    }
    return v;
}

TEST(uint256, add_subtract_and_multiply_equal_the_model) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 500; ++i) {
        const Uint256 a = random_value(random), b = random_value(random);
        const Bits sum = add(bits_of(a), bits_of(b)), product = multiply(bits_of(a), bits_of(b));
        ASSERT_EQ(a + b, low_half(sum));
        ASSERT_EQ(a - b, low_half(add(bits_of(a), negated(bits_of(b)))));
        ASSERT_EQ(a * b, low_half(product));
        ASSERT_EQ(checked_add(a, b), sum[256] ? std::nullopt : std::optional(a + b));
        ASSERT_EQ(checked_sub(a, b),
                  less(bits_of(a), bits_of(b)) ? std::nullopt : std::optional(a - b));
        const bool fits = !less(bits_of(Uint256::max()), product);
        ASSERT_EQ(checked_mul(a, b), fits ? std::optional(a * b) : std::nullopt);
    }
}

TEST(uint256, division_equals_the_model) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 1500; ++i) {
        const Uint256 a = random_value(random), b = random_value(random);
        if (b.is_zero()) continue;
        const auto [quotient, rest] = divide(bits_of(a, 260), bits_of(b, 260));
        ASSERT_EQ(a / b, low_half(quotient)) << to_decimal(a) << " / " << to_decimal(b);
        ASSERT_EQ(a % b, low_half(rest)) << to_decimal(a) << " % " << to_decimal(b);
    }
}

TEST(uint256, modular_sums_and_products_equal_the_model) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 300; ++i) {
        const Uint256 a = random_value(random), b = random_value(random), m = random_value(random);
        if (m.is_zero()) continue;
        const Bits sum = add(bits_of(a), bits_of(b)), product = multiply(bits_of(a), bits_of(b));
        ASSERT_EQ(addmod(a, b, m), low_half(divide(sum, bits_of(m)).second));
        ASSERT_EQ(mulmod(a, b, m), low_half(divide(product, bits_of(m)).second));
    }
}

TEST(uint256, division_identity_holds_on_many_more_values) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 300'000; ++i) {
        const Uint256 a = random_value(random), b = random_value(random);
        const auto [quotient, rest] = divmod(a, b);
        if (b.is_zero()) {
            ASSERT_TRUE(quotient.is_zero() && rest.is_zero());
            continue;
        }
        ASSERT_LT(rest, b);
        const auto product = checked_mul(quotient, b);
        ASSERT_TRUE(product);
        ASSERT_EQ(checked_add(*product, rest), a);
    }
}

TEST(uint256, by_zero_is_zero) {
    EXPECT_EQ(Uint256(5) / 0, 0);
    EXPECT_EQ(Uint256(5) % 0, 0);
    EXPECT_EQ(addmod(1, 2, 0), 0);
    EXPECT_EQ(mulmod(1, 2, 0), 0);
    EXPECT_EQ(mulmod(Uint256::max(), Uint256::max(), 1), 0);
    EXPECT_EQ(addmod(Uint256::max(), Uint256::max(), Uint256::max()), 0);
}

TEST(uint256, shifts_equal_the_model) {
    std::mt19937_64 random(5);
    for (unsigned n = 0; n < 300; ++n) {
        const Uint256 a = random_value(random);
        Bits right(512);
        for (size_t i = n; i < 512; ++i) right[i - n] = bits_of(a)[i];
        ASSERT_EQ(a << n, low_half(shifted(bits_of(a), n))) << n;
        ASSERT_EQ(a >> n, low_half(right)) << n;
    }
}

TEST(uint256, order_and_bit_length_equal_the_model) {
    std::mt19937_64 random(6);
    for (int i = 0; i < 1000; ++i) {
        const Uint256 a = random_value(random), b = random_value(random);
        ASSERT_EQ(a < b, less(bits_of(a), bits_of(b)));
        int length = 0;
        for (int bit = 0; bit < 256; ++bit)
            if (bits_of(a)[static_cast<size_t>(bit)]) length = bit + 1;
        ASSERT_EQ(a.bit_length(), length);
    }
}

TEST(uint256, bytes_and_text_survive_the_round_trip) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 1000; ++i) {
        const Uint256 v = random_value(random);
        ASSERT_EQ(from_hash(to_hash(v)), v);
        ASSERT_EQ(from_be(to_be_trimmed(v)), v);
        ASSERT_EQ(parse_uint256(to_decimal(v)), v);
        ASSERT_EQ(parse_uint256(to_quantity(v)), v);
    }
    EXPECT_EQ(to_be_trimmed(0), Bytes{});
    EXPECT_EQ(to_be_trimmed(256), (Bytes{1, 0}));
    EXPECT_EQ(to_quantity(0), "0x0");
    EXPECT_EQ(to_quantity(0x1f), "0x1f");
    EXPECT_EQ(to_quantity(0x100), "0x100");
    EXPECT_EQ(to_decimal(Uint256::max()),
              "115792089237316195423570985008687907853269984665640564039457584007913129639935");
}

TEST(uint256, rejects_text_that_is_no_number_or_too_large) {
    for (const char* text :
         {"", "0x", "-1", "+1", " 1", "1 ", "1a", "0xg", "1.0",
          "115792089237316195423570985008687907853269984665640564039457584007913129639936",
          "0x10000000000000000000000000000000000000000000000000000000000000000"})
        EXPECT_EQ(parse_uint256(text), std::nullopt) << text;
}

}  // namespace
}  // namespace trainyard
