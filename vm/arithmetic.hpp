// SPDX-License-Identifier: Apache-2.0
// What the EVM computes beyond core's Uint256: signed forms, exponents, bytes, and words in memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::vm {

/// 32 bytes big-endian.
[[nodiscard]] inline Uint256 load_word(const uint8_t* from) {
    uint64_t limbs[4];
    std::memcpy(limbs, from, sizeof(limbs));
    return {__builtin_bswap64(limbs[0]), __builtin_bswap64(limbs[1]), __builtin_bswap64(limbs[2]),
            __builtin_bswap64(limbs[3])};
}
inline void store_word(uint8_t* to, const Uint256& v) {
    const uint64_t limbs[4] = {__builtin_bswap64(v.limbs[3]), __builtin_bswap64(v.limbs[2]),
                               __builtin_bswap64(v.limbs[1]), __builtin_bswap64(v.limbs[0])};
    std::memcpy(to, limbs, sizeof(limbs));
}
[[nodiscard]] inline Hash word_hash(const Uint256& v) {
    Hash h;
    store_word(h.data(), v);
    return h;
}
[[nodiscard]] inline Uint256 hash_word(const Hash& h) {
    return load_word(h.data());
}
[[nodiscard]] inline Address word_address(const Uint256& v) {
    const auto high = __builtin_bswap32(static_cast<uint32_t>(v.limbs[2]));
    const uint64_t middle = __builtin_bswap64(v.limbs[1]), low = __builtin_bswap64(v.limbs[0]);
    Address a;
    std::memcpy(a.data(), &high, sizeof(high));
    std::memcpy(a.data() + 4, &middle, sizeof(middle));
    std::memcpy(a.data() + 12, &low, sizeof(low));
    return a;
}
[[nodiscard]] inline Uint256 address_word(const Address& a) {
    uint32_t high;
    uint64_t middle, low;
    std::memcpy(&high, a.data(), sizeof(high));
    std::memcpy(&middle, a.data() + 4, sizeof(middle));
    std::memcpy(&low, a.data() + 12, sizeof(low));
    return {0, __builtin_bswap32(high), __builtin_bswap64(middle), __builtin_bswap64(low)};
}

[[nodiscard]] inline bool is_negative(const Uint256& v) {
    return (v.limbs[3] >> 63) != 0;
}
[[nodiscard]] inline Uint256 negate(const Uint256& v) {
    return Uint256{} - v;
}
[[nodiscard]] inline bool signed_less(const Uint256& a, const Uint256& b) {
    return is_negative(a) == is_negative(b) ? a < b : is_negative(a);
}

[[nodiscard]] inline Uint256 sdiv(const Uint256& a, const Uint256& b) {
    const Uint256 q =
        divmod(is_negative(a) ? negate(a) : a, is_negative(b) ? negate(b) : b).quotient;
    return is_negative(a) != is_negative(b) ? negate(q) : q;
}
[[nodiscard]] inline Uint256 smod(const Uint256& a, const Uint256& b) {
    const Uint256 r =
        divmod(is_negative(a) ? negate(a) : a, is_negative(b) ? negate(b) : b).remainder;
    return is_negative(a) ? negate(r) : r;
}
[[nodiscard]] inline Uint256 power(Uint256 base, const Uint256& exponent) {
    // A power of two, as compilers of contracts write shifts.
    if (std::has_single_bit(base.limbs[0]) && base.fits_u64() && exponent.fits_u64()) {
        const auto log = static_cast<uint64_t>(std::countr_zero(base.limbs[0]));
        return Uint256(1) << static_cast<unsigned>(std::min<uint64_t>(exponent.low(), 256) * log);
    }
    Uint256 result = 1;
    const int bits = exponent.bit_length();
    for (int i = 0; i < bits; ++i) {
        if ((exponent.limbs[i / 64] >> (i % 64) & 1) != 0) result *= base;
        base *= base;
    }
    return result;
}
/// Extends the sign of the lowest `index` + 1 bytes.
[[nodiscard]] inline Uint256 sign_extend(const Uint256& index, const Uint256& v) {
    if (!index.fits_u64() || index.low() >= 31) return v;
    const auto unused = static_cast<unsigned>(248 - 8 * index.low());
    const Uint256 shifted = v << unused;
    const Uint256 logical = shifted >> unused;
    return is_negative(shifted) ? logical | ~(Uint256::max() >> unused) : logical;
}
/// Byte `index` counted from the most significant; zero beyond the 32nd.
[[nodiscard]] inline Uint256 byte_of(const Uint256& index, const Uint256& v) {
    if (!index.fits_u64() || index.low() >= 32) return {};
    const auto place = 31 - index.low();
    return v.limbs[place / 8] >> (8 * (place % 8)) & 0xff;
}
[[nodiscard]] inline unsigned shift_amount(const Uint256& v) {
    return v.fits_u64() && v.low() < 256 ? static_cast<unsigned>(v.low()) : 256;
}
[[nodiscard]] inline Uint256 arithmetic_shift_right(const Uint256& v, unsigned n) {
    if (!is_negative(v)) return v >> n;
    if (n >= 256) return Uint256::max();
    return (v >> n) | ~(Uint256::max() >> n);
}

}  // namespace trainyard::vm
