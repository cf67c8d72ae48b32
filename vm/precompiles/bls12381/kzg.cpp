// SPDX-License-Identifier: Apache-2.0
// KZG proofs by one pairing check in which both points of G2 are constants.
#include "vm/precompiles/bls12381/kzg.hpp"

#include "vm/precompiles/bls12381/curve.hpp"

namespace trainyard::vm::bls12381 {
namespace {

/// tau times the generator, where nobody knows tau.
/// Source: Ethereum's KZG ceremony, trusted_setup_4096.json, g2_monomial[1].
constexpr G2 kTauG2 = {{fp("185cbfee53492714734429b7b38608e23926c911cceceac9"
                           "a36851477ba4c60b087041de621000edc98edada20c1def2"),
                        fp("15bfd7dd8cdeb128843bc287230af38926187075cbfbefa8"
                           "1009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72")},
                       {fp("014353bdb96b626dd7d5ee8599d1fca2131569490e28de18"
                           "e82451a496a9c9794ce26d105941f383ee689bfbbb832a99"),
                        fp("1666c54b0a32529503432fcae0181b4bef79de09fc63671f"
                           "da5ed1ba9bfa07899495346f3d7ac9cd23048ef30d0a154f")}};

struct FixedLines {
    Lines tau = make_lines(kTauG2);
    Lines minus_generator = make_lines(-kGenerator2);
};

std::optional<Scalar> read_scalar(BytesView bytes) {
    if (bytes.size() != 32) return std::nullopt;
    const Scalar n = field::load_big_endian<4>(bytes.data());
    if (!field::is_less(n, kGroupOrder)) return std::nullopt;
    return n;
}

/// x above p / 2 counts as the larger of x and -x.
bool is_larger(const Fp& x) {
    return field::is_less((-x).to_number(), x.to_number());
}

/// The form of ZCash: bit 7 compressed, bit 6 infinity, bit 5 the larger y, then x.
std::optional<G1> decompress(BytesView bytes) {
    if (bytes.size() != 48) return std::nullopt;
    const uint8_t flags = bytes[0] >> 5;
    std::array<uint8_t, 48> x_bytes;
    std::copy(bytes.begin(), bytes.end(), x_bytes.begin());
    x_bytes[0] &= 0x1f;
    const auto x = Fp::decode(x_bytes.data());
    if ((flags & 4) == 0 || !x) return std::nullopt;
    if ((flags & 2) != 0) return flags == 6 && x->is_zero() ? std::optional(G1()) : std::nullopt;
    const auto y = (x->squared() * *x + Fp::from_int(4)).root();
    if (!y) return std::nullopt;
    const G1 p = {*x, is_larger(*y) == ((flags & 1) != 0) ? *y : -*y};
    if (!is_in_group(p)) return std::nullopt;
    return p;
}

}  // namespace

/// e(C - y G1, -G2) e(proof, (tau - z) G2) = 1 is e(C - y G1 + z proof, -G2) e(proof, tau G2) = 1.
std::optional<bool> verify_kzg_proof(BytesView commitment, BytesView z, BytesView y,
                                     BytesView proof) {
    static const FixedLines kLines;
    const auto z_number = read_scalar(z), y_number = read_scalar(y);
    if (!z_number || !y_number) return std::nullopt;
    const auto c = decompress(commitment);
    if (!c) return std::nullopt;
    const auto q = decompress(proof);
    if (!q) return std::nullopt;
    const Product<G1> products[] = {{-kGenerator1, *y_number}, {*q, *z_number}};
    const G1 left = (sum_of_products(products) + *c).to_affine();
    const FixedPair pairs[] = {{left, &kLines.minus_generator}, {*q, &kLines.tau}};
    return pairing_product(pairs) == Fp12::one();
}

}  // namespace trainyard::vm::bls12381
