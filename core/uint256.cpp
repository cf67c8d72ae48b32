// SPDX-License-Identifier: Apache-2.0
// Division (Knuth, The Art of Computer Programming 4.3.1, algorithm D) and text forms of Uint256.
#include "core/uint256.hpp"

#include <span>

#include "core/assert.hpp"

namespace trainyard {
namespace {

using u128 = unsigned __int128;

int significant(std::span<const uint64_t> limbs) {
    int n = static_cast<int>(limbs.size());
    while (n > 0 && limbs[n - 1] == 0) --n;
    return n;
}

struct Digit {
    uint64_t quotient, rest;
};

/// (high | low) / divisor, where high < divisor, so that the quotient fits one limb.
inline Digit divide_two(uint64_t high, uint64_t low, uint64_t divisor) {
#if defined(__x86_64__)
    // The compiler would call a library function that checks what we know.
    Digit d;
    asm("divq %4" : "=a"(d.quotient), "=d"(d.rest) : "a"(low), "d"(high), "r"(divisor) : "cc");
    return d;
#else
    const u128 whole = (static_cast<u128>(high) << 64) | low;
    return {static_cast<uint64_t>(whole / divisor), static_cast<uint64_t>(whole % divisor)};
#endif
}

/// Step D3: a guess that is right or too large by one.
template <int N>
uint64_t guess_digit(const uint64_t* u, const uint64_t* v) {
    uint64_t guess = ~0ull, rest = u[N - 1] + v[N - 1];
    bool is_exact = rest < v[N - 1];  // the rest is beyond one limb: no correction applies
    if (u[N] < v[N - 1]) {
        const Digit d = divide_two(u[N], u[N - 1], v[N - 1]);
        guess = d.quotient, rest = d.rest, is_exact = false;
    }
    while (!is_exact &&
           static_cast<u128>(guess) * v[N - 2] > ((static_cast<u128>(rest) << 64) | u[N - 2])) {
        --guess;
        rest += v[N - 1];
        is_exact = rest < v[N - 1];
    }
    return guess;
}

/// Steps D3 to D6 for one quotient digit: `u` has N + 1 limbs, `v` N >= 2 normalised ones.
template <int N>
inline uint64_t quotient_digit(uint64_t* u, const uint64_t* v) {
    const uint64_t digit = guess_digit<N>(u, v);
    uint64_t high = 0;
    unsigned char borrow = 0;
    for (int i = 0; i < N; ++i)
        u[i] = detail::sub_borrow(u[i], detail::multiply_add(digit, v[i], high, 0, high), borrow);
    u[N] = detail::sub_borrow(u[N], high, borrow);
    if (borrow == 0) [[likely]]
        return digit;
    unsigned char carry = 0;
    for (int i = 0; i < N; ++i) u[i] = detail::add_carry(u[i], v[i], carry);
    u[N] += carry;
    return digit - 1;
}

/// Division by one limb; `a` becomes the remainder.
template <size_t M>
std::array<uint64_t, M> divide_short(std::array<uint64_t, M>& a, int m, uint64_t divisor) {
    std::array<uint64_t, M> q{};
    uint64_t rest = 0;
    for (int i = m - 1; i >= 0; --i) {
        const Digit d = divide_two(rest, a[i], divisor);
        q[i] = d.quotient, rest = d.rest;
    }
    a = {rest};
    return q;
}

/// Division of m significant limbs by N >= 2; `a` becomes the remainder.
template <int N, size_t M>
std::array<uint64_t, M> divide_long(std::array<uint64_t, M>& a, int m,
                                    const std::array<uint64_t, 4>& b) {
    std::array<uint64_t, M> q{};
    const int shift = std::countl_zero(b[N - 1]);
    const auto join = [shift](uint64_t high, uint64_t low) {
        return high << shift | low >> 1 >> (63 - shift);
    };
    std::array<uint64_t, N> v;
    for (int i = N - 1; i > 0; --i) v[i] = join(b[i], b[i - 1]);
    v[0] = b[0] << shift;
    std::array<uint64_t, M + 1> u;
    u[m] = join(0, a[m - 1]);
    for (int i = m - 1; i > 0; --i) u[i] = join(a[i], a[i - 1]);
    u[0] = a[0] << shift;
    for (int j = m - N; j >= 0; --j) q[j] = quotient_digit<N>(&u[j], v.data());
    a = {};
    for (int i = 0; i < N - 1; ++i) a[i] = u[i] >> shift | u[i + 1] << 1 << (63 - shift);
    a[N - 1] = u[N - 1] >> shift;
    return q;
}

/// a (at most 8 limbs, replaced by the remainder) / b (at most 4, not zero).
template <size_t M>
std::array<uint64_t, M> divide(std::array<uint64_t, M>& a, const std::array<uint64_t, 4>& b) {
    const int n = significant(b), m = significant(a);
    if (m < n) return {};
    switch (n) {
        case 1:
            return divide_short(a, m, b[0]);
        case 2:
            return divide_long<2>(a, m, b);
        case 3:
            return divide_long<3>(a, m, b);
        default:
            return divide_long<4>(a, m, b);
    }
}

std::array<uint64_t, 8> full_product(const Uint256& a, const Uint256& b) {
    std::array<uint64_t, 8> r{};
    for (int i = 0; i < 4; ++i) {
        uint64_t high = 0;
        for (int j = 0; j < 4; ++j)
            r[i + j] = detail::multiply_add(a.limbs[i], b.limbs[j], r[i + j], high, high);
        r[i + 4] = high;
    }
    return r;
}

Uint256 from_limbs(const uint64_t* p) {
    return {p[3], p[2], p[1], p[0]};
}

}  // namespace

DivResult divmod(const Uint256& a, const Uint256& b) {
    if (b.is_zero()) return {};
    if (a.fits_u64() && b.fits_u64()) return {a.low() / b.low(), a.low() % b.low()};
    auto rest = a.limbs;
    const auto q = divide(rest, b.limbs);
    return {from_limbs(q.data()), from_limbs(rest.data())};
}

Uint256 addmod(const Uint256& a, const Uint256& b, const Uint256& m) {
    if (m.is_zero()) return {};
    const Uint256 sum = a + b;
    if (m.limbs[3] != 0 && a < m && b < m) return sum < a || !(sum < m) ? sum - m : sum;
    std::array<uint64_t, 5> wide{sum.limbs[0], sum.limbs[1], sum.limbs[2], sum.limbs[3],
                                 sum < a ? 1u : 0u};
    divide(wide, m.limbs);
    return from_limbs(wide.data());
}

Uint256 mulmod(const Uint256& a, const Uint256& b, const Uint256& m) {
    if (m.is_zero()) return {};
    auto wide = full_product(a, b);
    divide(wide, m.limbs);
    return from_limbs(wide.data());
}

std::optional<Uint256> checked_mul(const Uint256& a, const Uint256& b) {
    const auto wide = full_product(a, b);
    if ((wide[4] | wide[5] | wide[6] | wide[7]) != 0) return std::nullopt;
    return from_limbs(wide.data());
}

static_assert(std::endian::native == std::endian::little, "limbs are swapped as they lie");

Hash to_hash(const Uint256& v) {
    Hash h;
    for (size_t i = 0; i < 4; ++i) {
        const uint64_t limb = __builtin_bswap64(v.limbs[3 - i]);
        std::memcpy(&h.bytes[8 * i], &limb, sizeof(limb));
    }
    return h;
}

Uint256 from_hash(const Hash& h) {
    Uint256 v;
    for (size_t i = 0; i < 4; ++i) {
        uint64_t limb;
        std::memcpy(&limb, &h.bytes[8 * i], sizeof(limb));
        v.limbs[3 - i] = __builtin_bswap64(limb);
    }
    return v;
}

Uint256 from_be(BytesView bytes) {
    ASSERT(bytes.size() <= 32);
    Uint256 v;
    for (size_t i = 0; i < bytes.size(); ++i) {
        const size_t place = bytes.size() - 1 - i;
        v.limbs[place / 8] |= static_cast<uint64_t>(bytes[i]) << (8 * (place % 8));
    }
    return v;
}

Bytes to_be_trimmed(const Uint256& v) {
    const Hash h = to_hash(v);
    const auto first = h.begin() + (32 - (v.bit_length() + 7) / 8);
    return {first, h.end()};
}

std::string to_decimal(const Uint256& v) {
    if (v.is_zero()) return "0";
    std::string digits;
    for (Uint256 rest = v; !rest.is_zero();) {
        const auto [q, r] = divmod(rest, 10);
        digits.push_back(static_cast<char>('0' + r.low()));
        rest = q;
    }
    return {digits.rbegin(), digits.rend()};
}

std::string to_quantity(const Uint256& v) {
    if (v.is_zero()) return "0x0";
    const std::string hex = to_hex(to_be_trimmed(v));
    return "0x" + (hex[0] == '0' ? hex.substr(1) : hex);
}

std::optional<Uint256> parse_uint256(std::string_view text) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) text.remove_prefix(2);
    if (text.empty()) return std::nullopt;
    Uint256 v;
    for (const char c : text) {
        int digit = -1;
        if (c >= '0' && c <= '9') digit = c - '0';
        if (hex && c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        if (hex && c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        if (digit < 0) return std::nullopt;
        const auto scaled = checked_mul(v, hex ? 16 : 10);
        const auto next =
            scaled ? checked_add(*scaled, static_cast<uint64_t>(digit)) : std::nullopt;
        if (!next) return std::nullopt;
        v = *next;
    }
    return v;
}

}  // namespace trainyard
