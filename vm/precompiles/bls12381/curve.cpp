// SPDX-License-Identifier: Apache-2.0
// The groups of BLS12-381: membership, and sums of products through the endomorphisms.
#include "vm/precompiles/bls12381/curve.hpp"

#include "vm/precompiles/bls12381/twist.hpp"
#include "vm/precompiles/curve/multiply.hpp"

namespace trainyard::vm::bls12381 {
namespace {

using field::Limbs;

/// (x, y) -> (beta x, y), which multiplies by -z^2 in G1.
G1 phi(const G1& p) {
    return {p.x * field::Tower<Fp>::kFrobenius.gamma_norm[2], p.y};
}

/// n mod r = d_0 + d_1 |z| + d_2 z^2 + d_3 |z|^3. All digits are below |z|, because r < z^4.
Limbs<4> digits_of(Scalar n) {
    while (!field::is_less(n, kGroupOrder)) field::sub_from(n, kGroupOrder);
    Limbs<4> digits{};
    for (auto& digit : digits) digit = field::divide(n, kMinusZ);
    return digits;
}

/// low + high |z|
Limbs<2> join(uint64_t low, uint64_t high) {
    const auto n = static_cast<unsigned __int128>(high) * kMinusZ + low;
    return {static_cast<uint64_t>(n), static_cast<uint64_t>(n >> 64)};
}

}  // namespace

bool is_on_curve(const G1& p) {
    return curve::is_on_curve(p, Fp::from_int(4));
}

bool is_on_twist(const G2& q) {
    return curve::is_on_curve(q, kTwistB);
}

/// phi(p) = -z^2 p holds in the group only.
/// Source: Scott, "A note on group membership tests for G1, G2 and GT", ePrint 2021/1130.
bool is_in_group(const G1& p) {
    return Limbs<1>{kMinusZ} * (Limbs<1>{kMinusZ} * p) == -phi(p);
}

/// psi(q) = z q holds in the group only (same source).
bool is_in_group(const G2& q) {
    return Limbs<1>{kMinusZ} * q == -psi(q);
}

/// n p = (d_0 + d_1 |z|) p - (d_2 + d_3 |z|) phi(p)
Jacobian1 sum_of_products(std::span<const Product<G1>> products) {
    std::vector<curve::Term<Fp, 2>> terms;
    terms.reserve(2 * products.size());
    for (const auto& [p, n] : products) {
        const auto d = digits_of(n);
        terms.push_back({p, join(d[0], d[1])});
        terms.push_back({-phi(p), join(d[2], d[3])});
    }
    return curve::sum_of_products<Fp, 2>(terms);
}

/// n q = d_0 q - d_1 psi(q) + d_2 psi^2(q) - d_3 psi^3(q)
Jacobian2 sum_of_products(std::span<const Product<G2>> products) {
    std::vector<curve::Term<Fp2, 1>> terms;
    terms.reserve(4 * products.size());
    for (const auto& [q, n] : products) {
        G2 image = q;
        for (const uint64_t digit : digits_of(n)) {
            terms.push_back({image, {digit}});
            image = -psi(image);
        }
    }
    return curve::sum_of_products<Fp2, 1>(terms);
}

}  // namespace trainyard::vm::bls12381
