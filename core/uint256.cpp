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

/// Steps D3 to D6 for one quotient digit: `u` has n + 1 limbs, `v` n >= 2 normalised ones.
uint64_t quotient_digit(uint64_t* u, const uint64_t* v, int n) {
    const u128 top = (static_cast<u128>(u[n]) << 64) | u[n - 1];
    u128 guess = u[n] >= v[n - 1] ? ~0ull : top / v[n - 1];
    u128 rest = top - guess * v[n - 1];
    while ((rest >> 64) == 0 && guess * v[n - 2] > ((rest << 64) | u[n - 2])) {
        --guess;
        rest += v[n - 1];
    }
    const auto digit = static_cast<uint64_t>(guess);
    u128 carry = 0;
    uint64_t borrow = 0;
    for (int i = 0; i <= n; ++i) {
        carry += static_cast<u128>(digit) * (i < n ? v[i] : 0);
        const auto d = static_cast<u128>(u[i]) - static_cast<uint64_t>(carry) - borrow;
        u[i] = static_cast<uint64_t>(d);
        borrow = static_cast<uint64_t>(d >> 64) & 1;
        carry >>= 64;
    }
    if (borrow == 0) return digit;
    carry = 0;
    for (int i = 0; i <= n; ++i) {
        carry += static_cast<u128>(u[i]) + (i < n ? v[i] : 0);
        u[i] = static_cast<uint64_t>(carry);
        carry >>= 64;
    }
    return digit - 1;
}

/// a (at most 8 limbs, replaced by the remainder) / b (at most 4, not zero).
template <size_t N>
std::array<uint64_t, N> divide(std::array<uint64_t, N>& a, const std::array<uint64_t, 4>& b) {
    std::array<uint64_t, N> q{};
    const int n = significant(b), m = significant(a);
    if (m < n) return q;
    if (n == 1) {
        u128 rest = 0;
        for (int i = m - 1; i >= 0; --i) {
            rest = (rest << 64) | a[i];
            q[i] = static_cast<uint64_t>(rest / b[0]);
            rest %= b[0];
            a[i] = 0;
        }
        a[0] = static_cast<uint64_t>(rest);
        return q;
    }
    const int shift = std::countl_zero(b[n - 1]);
    std::array<uint64_t, 4> v{};
    std::array<uint64_t, N + 1> u{};
    const auto high = [&](uint64_t x) { return shift == 0 ? 0 : x >> (64 - shift); };
    for (int i = n - 1; i >= 0; --i) v[i] = (b[i] << shift) | (i > 0 ? high(b[i - 1]) : 0);
    u[m] = high(a[m - 1]);
    for (int i = m - 1; i >= 0; --i) u[i] = (a[i] << shift) | (i > 0 ? high(a[i - 1]) : 0);
    for (int j = m - n; j >= 0; --j) q[j] = quotient_digit(&u[j], v.data(), n);
    a = {};
    for (int i = 0; i < n; ++i)
        a[i] = (u[i] >> shift) | (shift == 0 ? 0 : u[i + 1] << (64 - shift));
    return q;
}

std::array<uint64_t, 8> full_product(const Uint256& a, const Uint256& b) {
    std::array<uint64_t, 8> r{};
    for (int i = 0; i < 4; ++i) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; ++j) {
            const auto t = static_cast<u128>(a.limbs[i]) * b.limbs[j] + r[i + j] + carry;
            r[i + j] = static_cast<uint64_t>(t);
            carry = static_cast<uint64_t>(t >> 64);
        }
        r[i + 4] = carry;
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

Hash to_hash(const Uint256& v) {
    Hash h;
    for (int i = 0; i < 32; ++i)
        h.bytes[31 - i] = static_cast<uint8_t>(v.limbs[i / 8] >> (8 * (i % 8)));
    return h;
}

Uint256 from_hash(const Hash& h) {
    return from_be(h.bytes);
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
