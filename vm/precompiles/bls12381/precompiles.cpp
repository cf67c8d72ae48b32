// SPDX-License-Identifier: Apache-2.0
// Precompiles 0x0a (point evaluation, EIP-4844) and 0x0b to 0x11 (BLS12-381, EIP-2537).
//
// In EIP-2537 a coordinate is 64 bytes, most significant first, below p; one of Fp2 is its real
// part, then its imaginary part. All zeros is the point at infinity.
#include "vm/precompiles.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "vm/precompiles/bls12381/curve.hpp"
#include "vm/precompiles/bls12381/kzg.hpp"

namespace trainyard::vm::precompile {
namespace {

using namespace trainyard::vm::bls12381;

constexpr size_t kFpSize = 64, kG1Size = 128, kG2Size = 256, kScalarSize = 32;
constexpr size_t kPairSize = kG1Size + kG2Size;

/// Thousandths of the price of one product that each of k products costs; the last stands for more.
constexpr uint16_t kDiscounts1[128] = {
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665,
    661,  658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615,
    613,  611, 609, 608, 606, 604, 603, 601, 599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585,
    584,  582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563,
    562,  561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545,
    544,  543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529,
    528,  528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519};
constexpr uint16_t kDiscounts2[128] = {
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699,
    693,  688,  683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629,
    627,  624,  622, 620, 618, 615, 613, 611, 609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592,
    590,  589,  587, 586, 584, 583, 582, 580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567,
    566,  565,  563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548,
    547,  546,  545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533,
    532,  532,  531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524};

int64_t msm_gas(size_t k, int64_t one, const uint16_t (&discounts)[128]) {
    if (k == 0) return 0;
    return static_cast<int64_t>(k) * one * discounts[std::min<size_t>(k, 128) - 1] / 1000;
}

std::optional<Fp> read_fp(const uint8_t* bytes) {
    if (std::any_of(bytes, bytes + 16, [](uint8_t b) { return b != 0; })) return std::nullopt;
    return Fp::decode(bytes + 16);
}

std::optional<Fp2> read_fp2(const uint8_t* bytes) {
    const auto re = read_fp(bytes), im = read_fp(bytes + kFpSize);
    if (!re || !im) return std::nullopt;
    return Fp2{*re, *im};
}

/// On the curve, perhaps not in the group.
std::optional<G1> read_g1(const uint8_t* bytes) {
    const auto x = read_fp(bytes), y = read_fp(bytes + kFpSize);
    if (!x || !y) return std::nullopt;
    const G1 p{*x, *y};
    if (!is_on_curve(p)) return std::nullopt;
    return p;
}
std::optional<G2> read_g2(const uint8_t* bytes) {
    const auto x = read_fp2(bytes), y = read_fp2(bytes + 2 * kFpSize);
    if (!x || !y) return std::nullopt;
    const G2 q{*x, *y};
    if (!is_on_twist(q)) return std::nullopt;
    return q;
}

template <class Point>
std::optional<Point> if_in_group(const std::optional<Point>& p) {
    return p && is_in_group(*p) ? p : std::nullopt;
}

Bytes encode(const Jacobian1& p) {
    const G1 affine = p.to_affine();
    Bytes out(kG1Size);
    affine.x.encode(&out[16]);
    affine.y.encode(&out[kFpSize + 16]);
    return out;
}
Bytes encode(const Jacobian2& q) {
    const G2 affine = q.to_affine();
    Bytes out(kG2Size);
    affine.x.re.encode(&out[16]);
    affine.x.im.encode(&out[kFpSize + 16]);
    affine.y.re.encode(&out[2 * kFpSize + 16]);
    affine.y.im.encode(&out[3 * kFpSize + 16]);
    return out;
}

/// One or more of: point | n 32 -> the sum of all n point. Every point is in the group.
template <class Point>
Output run_msm(BytesView input, size_t point_size,
               std::optional<Point> (*read)(const uint8_t* bytes)) {
    const size_t size = point_size + kScalarSize;
    if (input.empty() || input.size() % size != 0) return std::nullopt;
    std::vector<Product<Point>> products;
    products.reserve(input.size() / size);
    for (size_t at = 0; at < input.size(); at += size) {
        const auto p = if_in_group(read(&input[at]));
        if (!p) return std::nullopt;
        products.push_back({*p, field::load_big_endian<4>(&input[at + point_size])});
    }
    return encode(sum_of_products(std::span<const Product<Point>>(products)));
}

}  // namespace

int64_t point_evaluation_gas(BytesView, const Rules&) {
    return 50000;
}

/// versioned hash 32 | z 32 | y 32 | commitment 48 | proof 48 -> 4096 and r, 32 bytes each
Output point_evaluation(BytesView input, const Rules&) {
    if (input.size() != 192) return std::nullopt;
    const BytesView commitment = input.subspan(96, 48);
    Hash versioned_hash = sha256(commitment);
    versioned_hash[0] = 1;
    if (!std::equal(versioned_hash.begin(), versioned_hash.end(), input.begin()))
        return std::nullopt;
    const auto is_right = verify_kzg_proof(commitment, input.subspan(32, 32), input.subspan(64, 32),
                                           input.subspan(144, 48));
    if (!is_right || !*is_right) return std::nullopt;
    Bytes out(64);
    out[30] = 0x10;
    field::store_big_endian(&out[32], kGroupOrder);
    return out;
}

int64_t bls_g1_add_gas(BytesView, const Rules&) {
    return 375;
}

/// p 128 | q 128 -> p + q
Output bls_g1_add(BytesView input, const Rules&) {
    if (input.size() != 2 * kG1Size) return std::nullopt;
    const auto p = read_g1(&input[0]), q = read_g1(&input[kG1Size]);
    if (!p || !q) return std::nullopt;
    return encode(Jacobian1(*p) + *q);
}

int64_t bls_g1_msm_gas(BytesView input, const Rules&) {
    return msm_gas(input.size() / (kG1Size + kScalarSize), 12000, kDiscounts1);
}

Output bls_g1_msm(BytesView input, const Rules&) {
    return run_msm<G1>(input, kG1Size, read_g1);
}

int64_t bls_g2_add_gas(BytesView, const Rules&) {
    return 600;
}

/// p 256 | q 256 -> p + q
Output bls_g2_add(BytesView input, const Rules&) {
    if (input.size() != 2 * kG2Size) return std::nullopt;
    const auto p = read_g2(&input[0]), q = read_g2(&input[kG2Size]);
    if (!p || !q) return std::nullopt;
    return encode(Jacobian2(*p) + *q);
}

int64_t bls_g2_msm_gas(BytesView input, const Rules&) {
    return msm_gas(input.size() / (kG2Size + kScalarSize), 22500, kDiscounts2);
}

Output bls_g2_msm(BytesView input, const Rules&) {
    return run_msm<G2>(input, kG2Size, read_g2);
}

int64_t bls_pairing_gas(BytesView input, const Rules&) {
    return 37700 + 32600 * static_cast<int64_t>(input.size() / kPairSize);
}

/// One or more of: p 128 | q 256 -> 1 if the product of their pairings is 1, else 0, in 32 bytes.
Output bls_pairing(BytesView input, const Rules&) {
    if (input.empty() || input.size() % kPairSize != 0) return std::nullopt;
    std::vector<Pair> pairs;
    pairs.reserve(input.size() / kPairSize);
    for (size_t at = 0; at < input.size(); at += kPairSize) {
        const auto p = if_in_group(read_g1(&input[at]));
        if (!p) return std::nullopt;
        const auto q = if_in_group(read_g2(&input[at + kG1Size]));
        if (!q) return std::nullopt;
        pairs.push_back({*p, *q});
    }
    Bytes out(32);
    out[31] = pairing_product(pairs) == Fp12::one() ? 1 : 0;
    return out;
}

int64_t bls_map_fp_to_g1_gas(BytesView, const Rules&) {
    return 5500;
}

/// u 64 -> a point of G1
Output bls_map_fp_to_g1(BytesView input, const Rules&) {
    if (input.size() != kFpSize) return std::nullopt;
    const auto u = read_fp(&input[0]);
    if (!u) return std::nullopt;
    return encode(map_to_group(*u));
}

int64_t bls_map_fp2_to_g2_gas(BytesView, const Rules&) {
    return 23800;
}

/// u 128 -> a point of G2
Output bls_map_fp2_to_g2(BytesView input, const Rules&) {
    if (input.size() != 2 * kFpSize) return std::nullopt;
    const auto u = read_fp2(&input[0]);
    if (!u) return std::nullopt;
    return encode(map_to_group(*u));
}

}  // namespace trainyard::vm::precompile
