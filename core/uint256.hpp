// SPDX-License-Identifier: Apache-2.0
// Unsigned 256-bit integers with wrapping arithmetic, as the EVM computes.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/bytes.hpp"

namespace trainyard {

namespace detail {
using Wide = unsigned __int128;

/// a + b + carry, where `carry` (0 or 1) becomes the carry out. One ADC on x86-64.
[[gnu::always_inline]] constexpr uint64_t add_carry(uint64_t a, uint64_t b, unsigned char& carry) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    if (!std::is_constant_evaluated()) {
        unsigned long long sum;
        carry = __builtin_ia32_addcarryx_u64(carry, a, b, &sum);
        return sum;
    }
#endif
    const Wide sum = Wide{a} + b + carry;
    carry = static_cast<unsigned char>(sum >> 64);
    return static_cast<uint64_t>(sum);
}
/// a - b - borrow, the same way.
[[gnu::always_inline]] constexpr uint64_t sub_borrow(uint64_t a, uint64_t b,
                                                     unsigned char& borrow) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    if (!std::is_constant_evaluated()) {
        unsigned long long rest;
        borrow = __builtin_ia32_sbb_u64(borrow, a, b, &rest);
        return rest;
    }
#endif
    const Wide rest = Wide{a} - b - borrow;
    borrow = static_cast<unsigned char>(rest >> 64) & 1;
    return static_cast<uint64_t>(rest);
}
/// The low half of a * b + c + d, which never overflows 128 bits; `high` gets the high half.
[[gnu::always_inline]] constexpr uint64_t multiply_add(uint64_t a, uint64_t b, uint64_t c,
                                                       uint64_t d, uint64_t& high) {
    const Wide t = Wide{a} * b + c + d;
    high = static_cast<uint64_t>(t >> 64);
    return static_cast<uint64_t>(t);
}
}  // namespace detail

struct Uint256 {
    std::array<uint64_t, 4> limbs{};  ///< little-endian

    constexpr Uint256() = default;
    constexpr Uint256(uint64_t low) : limbs{low, 0, 0, 0} {}
    constexpr Uint256(uint64_t l3, uint64_t l2, uint64_t l1, uint64_t l0) : limbs{l0, l1, l2, l3} {}

    static constexpr Uint256 max() { return {~0ull, ~0ull, ~0ull, ~0ull}; }

    [[nodiscard]] constexpr bool is_zero() const {
        return (limbs[0] | limbs[1] | limbs[2] | limbs[3]) == 0;
    }
    [[nodiscard]] constexpr bool fits_u64() const { return (limbs[1] | limbs[2] | limbs[3]) == 0; }
    [[nodiscard]] constexpr uint64_t low() const { return limbs[0]; }
    explicit constexpr operator bool() const { return !is_zero(); }
    explicit constexpr operator uint64_t() const { return limbs[0]; }

    [[nodiscard]] constexpr int bit_length() const {
        for (int i = 3; i >= 0; --i)
            if (limbs[i] != 0) return 64 * i + std::bit_width(limbs[i]);
        return 0;
    }

    constexpr bool operator==(const Uint256&) const = default;
    constexpr std::strong_ordering operator<=>(const Uint256& o) const {
        for (int i = 3; i > 0; --i)
            if (limbs[i] != o.limbs[i]) return limbs[i] <=> o.limbs[i];
        return limbs[0] <=> o.limbs[0];
    }

    friend constexpr bool operator<(const Uint256& a, const Uint256& b) {
        unsigned char borrow = 0;
        for (int i = 0; i < 4; ++i) (void)detail::sub_borrow(a.limbs[i], b.limbs[i], borrow);
        return borrow != 0;
    }

    constexpr Uint256& operator+=(const Uint256& o) { return *this = *this + o; }
    constexpr Uint256& operator-=(const Uint256& o) { return *this = *this - o; }
    constexpr Uint256& operator*=(const Uint256& o) { return *this = *this * o; }

    friend constexpr Uint256 operator+(const Uint256& a, const Uint256& b) {
        unsigned char carry = 0;
        const uint64_t r0 = detail::add_carry(a.limbs[0], b.limbs[0], carry);
        const uint64_t r1 = detail::add_carry(a.limbs[1], b.limbs[1], carry);
        const uint64_t r2 = detail::add_carry(a.limbs[2], b.limbs[2], carry);
        return {detail::add_carry(a.limbs[3], b.limbs[3], carry), r2, r1, r0};
    }
    friend constexpr Uint256 operator-(const Uint256& a, const Uint256& b) {
        unsigned char borrow = 0;
        const uint64_t r0 = detail::sub_borrow(a.limbs[0], b.limbs[0], borrow);
        const uint64_t r1 = detail::sub_borrow(a.limbs[1], b.limbs[1], borrow);
        const uint64_t r2 = detail::sub_borrow(a.limbs[2], b.limbs[2], borrow);
        return {detail::sub_borrow(a.limbs[3], b.limbs[3], borrow), r2, r1, r0};
    }
    /// The lower 256 bits: row by row, with the products above them left out.
    friend constexpr Uint256 operator*(const Uint256& a, const Uint256& b) {
        const auto& x = a.limbs;
        const auto& y = b.limbs;
        uint64_t c = 0;
        const uint64_t r0 = detail::multiply_add(x[0], y[0], 0, 0, c);
        uint64_t r1 = detail::multiply_add(x[0], y[1], c, 0, c);
        uint64_t r2 = detail::multiply_add(x[0], y[2], c, 0, c);
        uint64_t r3 = x[0] * y[3] + c;
        r1 = detail::multiply_add(x[1], y[0], r1, 0, c);
        r2 = detail::multiply_add(x[1], y[1], r2, c, c);
        r3 += x[1] * y[2] + c;
        r2 = detail::multiply_add(x[2], y[0], r2, 0, c);
        r3 += x[2] * y[1] + c + x[3] * y[0];
        return {r3, r2, r1, r0};
    }
    friend constexpr Uint256 operator&(const Uint256& a, const Uint256& b) {
        return {a.limbs[3] & b.limbs[3], a.limbs[2] & b.limbs[2], a.limbs[1] & b.limbs[1],
                a.limbs[0] & b.limbs[0]};
    }
    friend constexpr Uint256 operator|(const Uint256& a, const Uint256& b) {
        return {a.limbs[3] | b.limbs[3], a.limbs[2] | b.limbs[2], a.limbs[1] | b.limbs[1],
                a.limbs[0] | b.limbs[0]};
    }
    friend constexpr Uint256 operator^(const Uint256& a, const Uint256& b) {
        return {a.limbs[3] ^ b.limbs[3], a.limbs[2] ^ b.limbs[2], a.limbs[1] ^ b.limbs[1],
                a.limbs[0] ^ b.limbs[0]};
    }
    constexpr Uint256 operator~() const { return {~limbs[3], ~limbs[2], ~limbs[1], ~limbs[0]}; }
    /// Shifts by 256 or more give zero.
    friend constexpr Uint256 operator<<(const Uint256& a, unsigned n) {
        const auto& x = a.limbs;
        const unsigned bits = n % 64;
        // A shift by 64 is undefined, so what crosses a limb is shifted in two steps.
        const auto join = [bits](uint64_t high, uint64_t low) {
            return high << bits | low >> 1 >> (63 - bits);
        };
        switch (n / 64) {
            case 0:
                return {join(x[3], x[2]), join(x[2], x[1]), join(x[1], x[0]), x[0] << bits};
            case 1:
                return {join(x[2], x[1]), join(x[1], x[0]), x[0] << bits, 0};
            case 2:
                return {join(x[1], x[0]), x[0] << bits, 0, 0};
            case 3:
                return {x[0] << bits, 0, 0, 0};
            default:
                return {};
        }
    }
    friend constexpr Uint256 operator>>(const Uint256& a, unsigned n) {
        const auto& x = a.limbs;
        const unsigned bits = n % 64;
        const auto join = [bits](uint64_t high, uint64_t low) {
            return low >> bits | high << 1 << (63 - bits);
        };
        switch (n / 64) {
            case 0:
                return {x[3] >> bits, join(x[3], x[2]), join(x[2], x[1]), join(x[1], x[0])};
            case 1:
                return {0, x[3] >> bits, join(x[3], x[2]), join(x[2], x[1])};
            case 2:
                return {0, 0, x[3] >> bits, join(x[3], x[2])};
            case 3:
                return {0, 0, 0, x[3] >> bits};
            default:
                return {};
        }
    }
};

struct DivResult {
    Uint256 quotient, remainder;
};

/// Division by zero gives zero and zero, as DIV and MOD do.
[[nodiscard]] DivResult divmod(const Uint256& a, const Uint256& b);
inline Uint256 operator/(const Uint256& a, const Uint256& b) {
    return divmod(a, b).quotient;
}
inline Uint256 operator%(const Uint256& a, const Uint256& b) {
    return divmod(a, b).remainder;
}

/// (a + b) mod m and (a * b) mod m without losing the high half; zero if m is zero.
[[nodiscard]] Uint256 addmod(const Uint256& a, const Uint256& b, const Uint256& m);
[[nodiscard]] Uint256 mulmod(const Uint256& a, const Uint256& b, const Uint256& m);

/// nullopt where the true result does not fit.
[[nodiscard]] inline std::optional<Uint256> checked_add(const Uint256& a, const Uint256& b) {
    const Uint256 r = a + b;
    return r < a ? std::nullopt : std::optional(r);
}
[[nodiscard]] inline std::optional<Uint256> checked_sub(const Uint256& a, const Uint256& b) {
    return a < b ? std::nullopt : std::optional(a - b);
}
[[nodiscard]] std::optional<Uint256> checked_mul(const Uint256& a, const Uint256& b);

[[nodiscard]] Hash to_hash(const Uint256& v);  ///< 32 bytes big-endian
[[nodiscard]] Uint256 from_hash(const Hash& h);
[[nodiscard]] Uint256 from_be(BytesView bytes);       ///< at most 32 bytes, big-endian
[[nodiscard]] Bytes to_be_trimmed(const Uint256& v);  ///< without leading zeros; zero is empty

[[nodiscard]] std::string to_decimal(const Uint256& v);
[[nodiscard]] std::string to_quantity(const Uint256& v);  ///< "0x0", "0x1f": JSON-RPC quantity
/// Decimal digits or 0x-prefixed hexadecimal; nullopt on anything else or above 2^256 - 1.
[[nodiscard]] std::optional<Uint256> parse_uint256(std::string_view text);

}  // namespace trainyard
