// SPDX-License-Identifier: Apache-2.0
// Precompiles 0x06 to 0x08: addition and multiplication (EIP-196) and the pairing check (EIP-197),
// with the prices of EIP-1108.
//
// A coordinate is 32 bytes, most significant first, below p; one of Fp2 is its imaginary part, then
// its real part. All zeros is the point at infinity.
#include <algorithm>

#include "vm/precompiles.hpp"
#include "vm/precompiles/bn254/curve.hpp"

namespace trainyard::vm::precompile {
namespace {

using namespace trainyard::vm::bn254;

constexpr size_t kPairSize = 192;

bool is_cheaper(const Rules& rules) {
    return is_at_least(rules.revision, Revision::istanbul);  // EIP-1108
}

std::optional<Fp2> read_fp2(const uint8_t* bytes) {
    const auto im = Fp::decode(bytes), re = Fp::decode(bytes + 32);
    if (!im || !re) return std::nullopt;
    return Fp2{*re, *im};
}

std::optional<G1> read_g1(const uint8_t* bytes) {
    const auto x = Fp::decode(bytes), y = Fp::decode(bytes + 32);
    if (!x || !y) return std::nullopt;
    const G1 p{*x, *y};
    if (!is_on_curve(p)) return std::nullopt;
    return p;
}

std::optional<G2> read_g2(const uint8_t* bytes) {
    const auto x = read_fp2(bytes), y = read_fp2(bytes + 64);
    if (!x || !y) return std::nullopt;
    const G2 q{*x, *y};
    if (!is_on_twist(q) || !is_in_group(q)) return std::nullopt;
    return q;
}

Bytes encode(const curve::Jacobian<Fp>& p) {
    const G1 affine = p.to_affine();
    Bytes out(64);
    affine.x.encode(out.data());
    affine.y.encode(out.data() + 32);
    return out;
}

/// The first N bytes, zeros where the input has ended.
template <size_t N>
std::array<uint8_t, N> padded(BytesView input) {
    std::array<uint8_t, N> r{};
    std::copy_n(input.begin(), std::min(input.size(), N), r.begin());
    return r;
}

}  // namespace

int64_t bn254_add_gas(BytesView, const Rules& rules) {
    return is_cheaper(rules) ? 150 : 500;
}

/// p 64 | q 64 -> p + q
Output bn254_add(BytesView input, const Rules&) {
    const auto bytes = padded<128>(input);
    const auto p = read_g1(&bytes[0]), q = read_g1(&bytes[64]);
    if (!p || !q) return std::nullopt;
    return encode(curve::Jacobian<Fp>(*p) + *q);
}

int64_t bn254_mul_gas(BytesView, const Rules& rules) {
    return is_cheaper(rules) ? 6000 : 40000;
}

/// p 64 | n 32 -> n p
Output bn254_mul(BytesView input, const Rules&) {
    const auto bytes = padded<96>(input);
    const auto p = read_g1(&bytes[0]);
    if (!p) return std::nullopt;
    return encode(bn254::multiply(*p, field::load_big_endian<4>(&bytes[64])));
}

int64_t bn254_pairing_gas(BytesView input, const Rules& rules) {
    const auto pairs = static_cast<int64_t>(input.size() / kPairSize);
    return is_cheaper(rules) ? 45000 + 34000 * pairs : 100000 + 80000 * pairs;
}

/// Any number of p 64 | q 128 -> 1 if the product of their pairings is 1, else 0, in 32 bytes.
Output bn254_pairing(BytesView input, const Rules&) {
    if (input.size() % kPairSize != 0) return std::nullopt;
    std::vector<Pair> pairs;
    pairs.reserve(input.size() / kPairSize);
    for (size_t at = 0; at < input.size(); at += kPairSize) {
        const auto p = read_g1(&input[at]);
        if (!p) return std::nullopt;
        const auto q = read_g2(&input[at + 64]);
        if (!q) return std::nullopt;
        pairs.push_back({*p, *q});
    }
    Bytes out(32);
    out[31] = pairing_product(pairs) == Fp12::one() ? 1 : 0;
    return out;
}

}  // namespace trainyard::vm::precompile
