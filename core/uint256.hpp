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

#include "core/bytes.hpp"

namespace trainyard {

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

    constexpr Uint256& operator+=(const Uint256& o) { return *this = *this + o; }
    constexpr Uint256& operator-=(const Uint256& o) { return *this = *this - o; }
    constexpr Uint256& operator*=(const Uint256& o) { return *this = *this * o; }

    friend constexpr Uint256 operator+(const Uint256& a, const Uint256& b) {
        Uint256 r;
        unsigned __int128 carry = 0;
        for (int i = 0; i < 4; ++i) {
            carry += static_cast<unsigned __int128>(a.limbs[i]) + b.limbs[i];
            r.limbs[i] = static_cast<uint64_t>(carry);
            carry >>= 64;
        }
        return r;
    }
    friend constexpr Uint256 operator-(const Uint256& a, const Uint256& b) {
        Uint256 r;
        uint64_t borrow = 0;
        for (int i = 0; i < 4; ++i) {
            const auto d = static_cast<unsigned __int128>(a.limbs[i]) - b.limbs[i] - borrow;
            r.limbs[i] = static_cast<uint64_t>(d);
            borrow = static_cast<uint64_t>(d >> 64) & 1;
        }
        return r;
    }
    friend constexpr Uint256 operator*(const Uint256& a, const Uint256& b) {
        Uint256 r;
        for (int i = 0; i < 4; ++i) {
            uint64_t carry = 0;
            for (int j = 0; i + j < 4; ++j) {
                const auto t = static_cast<unsigned __int128>(a.limbs[i]) * b.limbs[j] +
                               r.limbs[i + j] + carry;
                r.limbs[i + j] = static_cast<uint64_t>(t);
                carry = static_cast<uint64_t>(t >> 64);
            }
        }
        return r;
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
        Uint256 r;
        if (n >= 256) return r;
        const unsigned words = n / 64, bits = n % 64;
        for (unsigned i = 4; i-- > words;) {
            r.limbs[i] = a.limbs[i - words] << bits;
            if (bits != 0 && i > words) r.limbs[i] |= a.limbs[i - words - 1] >> (64 - bits);
        }
        return r;
    }
    friend constexpr Uint256 operator>>(const Uint256& a, unsigned n) {
        Uint256 r;
        if (n >= 256) return r;
        const unsigned words = n / 64, bits = n % 64;
        for (unsigned i = 0; i + words < 4; ++i) {
            r.limbs[i] = a.limbs[i + words] >> bits;
            if (bits != 0 && i + words + 1 < 4) r.limbs[i] |= a.limbs[i + words + 1] << (64 - bits);
        }
        return r;
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
