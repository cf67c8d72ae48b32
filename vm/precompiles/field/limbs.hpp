// SPDX-License-Identifier: Apache-2.0
// Numbers of N 64-bit limbs, least significant first: what the prime fields are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trainyard::vm::field {

template <size_t N>
using Limbs = std::array<uint64_t, N>;

/// a += b; gives the carry.
template <size_t N>
constexpr uint64_t add_to(Limbs<N>& a, const Limbs<N>& b) {
    unsigned __int128 carry = 0;
    for (size_t i = 0; i < N; ++i) {
        carry += static_cast<unsigned __int128>(a[i]) + b[i];
        a[i] = static_cast<uint64_t>(carry);
        carry >>= 64;
    }
    return static_cast<uint64_t>(carry);
}

/// a -= b; gives the borrow.
template <size_t N>
constexpr uint64_t sub_from(Limbs<N>& a, const Limbs<N>& b) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < N; ++i) {
        const auto difference = static_cast<unsigned __int128>(a[i]) - b[i] - borrow;
        a[i] = static_cast<uint64_t>(difference);
        borrow = static_cast<uint64_t>(difference >> 64) & 1;
    }
    return borrow;
}

template <size_t N>
constexpr bool is_less(const Limbs<N>& a, const Limbs<N>& b) {
    for (size_t i = N; i-- > 0;)
        if (a[i] != b[i]) return a[i] < b[i];
    return false;
}

template <size_t N>
constexpr bool is_zero(const Limbs<N>& a) {
    uint64_t any = 0;
    for (const uint64_t limb : a) any |= limb;
    return any == 0;
}

/// a >>= count, where count < 64.
template <size_t N>
constexpr void shift_right(Limbs<N>& a, unsigned count) {
    if (count == 0) return;
    for (size_t i = 0; i + 1 < N; ++i) a[i] = a[i] >> count | a[i + 1] << (64 - count);
    a[N - 1] >>= count;
}

template <size_t N>
constexpr bool bit_of(const Limbs<N>& a, size_t i) {
    return (a[i / 64] >> (i % 64) & 1) != 0;
}

/// The `width` bits from bit `from` on, where width < 64; bits beyond the number are zero.
template <size_t N>
constexpr uint64_t bits_of(const Limbs<N>& a, size_t from, unsigned width) {
    const size_t limb = from / 64, shift = from % 64;
    if (limb >= N) return 0;
    uint64_t bits = a[limb] >> shift;
    if (shift != 0 && limb + 1 < N) bits |= a[limb + 1] << (64 - shift);
    return bits & ((uint64_t{1} << width) - 1);
}

/// The product of numbers of any lengths.
template <size_t N, size_t M>
constexpr Limbs<N + M> multiply(const Limbs<N>& a, const Limbs<M>& b) {
    Limbs<N + M> r{};
    for (size_t i = 0; i < N; ++i) {
        uint64_t carry = 0;
        for (size_t j = 0; j < M; ++j) {
            const auto t = static_cast<unsigned __int128>(a[i]) * b[j] + r[i + j] + carry;
            r[i + j] = static_cast<uint64_t>(t);
            carry = static_cast<uint64_t>(t >> 64);
        }
        r[i + M] = carry;
    }
    return r;
}

/// a /= divisor; gives the remainder.
template <size_t N>
constexpr uint64_t divide(Limbs<N>& a, uint64_t divisor) {
    unsigned __int128 rest = 0;
    for (size_t i = N; i-- > 0;) {
        rest = rest << 64 | a[i];
        a[i] = static_cast<uint64_t>(rest / divisor);
        rest %= divisor;
    }
    return static_cast<uint64_t>(rest);
}

/// 8 N bytes, most significant first.
template <size_t N>
constexpr Limbs<N> load_big_endian(const uint8_t* bytes) {
    Limbs<N> r{};
    for (size_t i = 0; i < 8 * N; ++i)
        r[N - 1 - i / 8] = r[N - 1 - i / 8] << 8 | static_cast<uint64_t>(bytes[i]);
    return r;
}

template <size_t N>
constexpr void store_big_endian(uint8_t* bytes, const Limbs<N>& a) {
    for (size_t i = 0; i < 8 * N; ++i)
        bytes[i] = static_cast<uint8_t>(a[N - 1 - i / 8] >> (56 - 8 * (i % 8)));
}

/// A constant as papers print it, in hexadecimal.
template <size_t N>
consteval Limbs<N> from_hex_digits(std::string_view digits) {
    Limbs<N> r{};
    for (const char c : digits) {
        for (size_t i = N - 1; i > 0; --i) r[i] = r[i] << 4 | r[i - 1] >> 60;
        r[0] = r[0] << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return r;
}

}  // namespace trainyard::vm::field
