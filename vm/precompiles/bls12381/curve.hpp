// SPDX-License-Identifier: Apache-2.0
// BLS12-381: y^2 = x^3 + 4 over Fp, its twist y^2 = x^3 + 4 (1 + u) over Fp2, and its pairing.
//
// Sources: EIP-2537; draft-irtf-cfrg-pairing-friendly-curves-11, section 4.2.1. z = -kMinusZ,
// p = (z - 1)^2 (z^4 - z^2 + 1) / 3 + z, r = z^4 - z^2 + 1.
#pragma once

#include <span>

#include "vm/precompiles/curve/pairing.hpp"
#include "vm/precompiles/curve/point.hpp"

namespace trainyard::vm::bls12381 {

struct FieldParams {
    static constexpr auto kModulus = field::from_hex_digits<6>(
        "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf"
        "6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab");
    static constexpr uint64_t kXi = 1;
};
using Fp = field::PrimeField<FieldParams>;
using Fp2 = field::Fp2<Fp>;
using Fp12 = field::Fp12<Fp>;
using G1 = curve::Affine<Fp>;
using G2 = curve::Affine<Fp2>;
using Jacobian1 = curve::Jacobian<Fp>;
using Jacobian2 = curve::Jacobian<Fp2>;
using Scalar = field::Limbs<4>;

inline constexpr uint64_t kMinusZ = 0xd201000000010000;
inline constexpr Scalar kGroupOrder =
    field::from_hex_digits<4>("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");

/// A constant as papers print it, in hexadecimal.
consteval Fp fp(std::string_view digits) {
    return Fp::from_number(field::from_hex_digits<6>(digits));
}

inline constexpr G1 kGenerator1 = {fp("17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905"
                                      "a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"),
                                   fp("08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af6"
                                      "00db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1")};
inline constexpr G2 kGenerator2 = {{fp("024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02"
                                       "b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"),
                                    fp("13e02b6052719f607dacd3a088274f65596bd0d09920b61a"
                                       "b5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e")},
                                   {fp("0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a7"
                                       "6d429a695160d12c923ac9cc3baca289e193548608b82801"),
                                    fp("0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af"
                                       "267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be")}};

[[nodiscard]] bool is_on_curve(const G1& p);
[[nodiscard]] bool is_on_twist(const G2& q);

/// True if the point, which is on its curve, is of order r or infinity.
[[nodiscard]] bool is_in_group(const G1& p);
[[nodiscard]] bool is_in_group(const G2& q);

/// n p of a sum; n is any number below 2^256, p in the group.
template <class Point>
struct Product {
    Point p;
    Scalar n;
};
[[nodiscard]] Jacobian1 sum_of_products(std::span<const Product<G1>> products);
[[nodiscard]] Jacobian2 sum_of_products(std::span<const Product<G2>> products);

/// Maps a field element to a point of the group (EIP-2537; RFC 9380, sections 6.6.3, 8.8.1, 8.8.2).
[[nodiscard]] Jacobian1 map_to_group(const Fp& u);
[[nodiscard]] Jacobian2 map_to_group(const Fp2& u);

struct Pair {
    G1 p;
    G2 q;
};
/// e(p_1, q_1) ... e(p_k, q_k), up to a power that is prime to r. All points are in their groups.
/// Pairs with infinity count as 1.
[[nodiscard]] Fp12 pairing_product(std::span<const Pair> pairs);

/// The lines that the pairing meets on the way from a point of G2 that is used again and again.
using Lines = std::vector<curve::Line<Fp>>;
[[nodiscard]] Lines make_lines(const G2& q);

struct FixedPair {
    G1 p;
    const Lines* lines;
};
[[nodiscard]] Fp12 pairing_product(std::span<const FixedPair> pairs);

}  // namespace trainyard::vm::bls12381

template <>
const trainyard::vm::field::Frobenius<trainyard::vm::bls12381::Fp>
    trainyard::vm::field::Tower<trainyard::vm::bls12381::Fp>::kFrobenius;
