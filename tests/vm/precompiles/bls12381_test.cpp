// SPDX-License-Identifier: Apache-2.0
// BLS12-381: group orders, sums of products, the maps, the pairing, and what its precompiles
// refuse.
#include "vm/precompiles/bls12381/curve.hpp"

#include <gtest/gtest.h>

#include "tests/vm/precompiles/random.hpp"
#include "vm/precompiles.hpp"
#include "vm/precompiles/bls12381/twist.hpp"

namespace trainyard::vm::bls12381 {
namespace {

enum Number : uint8_t {
    g1_add = 0x0b,
    g1_msm,
    g2_add,
    g2_msm,
    pairing,
    map_fp_to_g1,
    map_fp2_to_g2,
};

void put(Bytes& to, const Fp& x) {
    to.resize(to.size() + 64);
    x.encode(&to[to.size() - 48]);
}
Bytes bytes_of(const G1& p) {
    Bytes r;
    put(r, p.x), put(r, p.y);
    return r;
}
Bytes bytes_of(const G2& q) {
    Bytes r;
    put(r, q.x.re), put(r, q.x.im), put(r, q.y.re), put(r, q.y.im);
    return r;
}
Bytes operator+(Bytes a, const Bytes& b) {
    append(a, b);
    return a;
}

CallResult run(uint8_t number, const Bytes& input, int64_t gas = 100'000'000,
               Revision revision = Revision::osaka) {
    Address address;
    address[19] = number;
    return run_precompile(address, revision, input, gas);
}
bool fails(uint8_t number, const Bytes& input) {
    return run(number, input).status == Status::precompile_failure;
}

/// Points (i + 1) G and numbers of all sizes.
template <class Point>
std::vector<Product<Point>> products_for(const Point& generator, size_t count) {
    Random random(count);
    std::vector<Product<Point>> products;
    curve::Jacobian point(generator);
    for (size_t i = 0; i < count; ++i) {
        auto n = random.limbs<4>();
        if (i % 3 == 1) n = {n[0] % 3};
        if (i % 5 == 2) n = {~0ull, ~0ull, ~0ull, ~0ull};
        products.push_back({point.to_affine(), n});
        point = point + generator;
    }
    return products;
}

template <class Point>
void expect_sums_equal_plain_ones(const Point& generator, std::initializer_list<size_t> counts) {
    for (const size_t count : counts) {
        const auto products = products_for(generator, count);
        curve::Jacobian plain(Point{});
        for (const auto& [p, n] : products) plain = plain + n * p;
        EXPECT_TRUE(sum_of_products(std::span<const Product<Point>>(products)) == plain) << count;
    }
}

TEST(bls12381, generators_have_order_r) {
    EXPECT_TRUE(is_on_curve(kGenerator1));
    EXPECT_TRUE(is_on_twist(kGenerator2));
    EXPECT_TRUE((kGroupOrder * kGenerator1).is_infinity());
    EXPECT_TRUE((kGroupOrder * kGenerator2).is_infinity());
}

TEST(bls12381, membership_in_the_groups_equals_having_order_r) {
    Random random(7);
    for (int i = 0; i < 5; ++i) {
        const G1 p = random.point(Fp::from_int(4));
        const G2 q = random.point_of_twist(kTwistB);
        EXPECT_EQ(is_in_group(p), (kGroupOrder * p).is_infinity());
        EXPECT_EQ(is_in_group(q), (kGroupOrder * q).is_infinity());
        EXPECT_TRUE(is_in_group((random.limbs<4>() * kGenerator1).to_affine()));
        EXPECT_TRUE(is_in_group((random.limbs<4>() * kGenerator2).to_affine()));
    }
    EXPECT_TRUE(is_in_group(G1()));
    EXPECT_TRUE(is_in_group(G2()));
}

TEST(bls12381, membership_does_not_hold_for_points_of_small_order) {
    const G1 order3 = {Fp(), Fp::from_int(2)};  // y^2 = 4
    EXPECT_TRUE((field::Limbs<1>{3} * order3).is_infinity());
    EXPECT_FALSE(is_in_group(order3));
}

TEST(bls12381, sums_of_products_equal_plain_ones) {
    expect_sums_equal_plain_ones(kGenerator1, {0, 1, 2, 5, 16, 17, 40});
    expect_sums_equal_plain_ones(kGenerator2, {0, 1, 2, 8, 9, 20});
}

TEST(bls12381, sums_survive_equal_and_opposite_points) {
    Random random(8);
    const auto n = random.limbs<4>();
    std::vector<Product<G1>> products(30, {kGenerator1, n});
    products.insert(products.end(), 30, {-kGenerator1, n});
    EXPECT_TRUE(sum_of_products(std::span<const Product<G1>>(products)).is_infinity());
    products.resize(2);
    EXPECT_TRUE(sum_of_products(std::span<const Product<G1>>(products)) ==
                (n * kGenerator1).doubled());
}

TEST(bls12381, maps_reach_the_groups_and_keep_signs) {
    Random random(9);
    for (int i = 0; i < 8; ++i) {
        const auto u = i == 0 ? Fp() : random.fp<Fp>();
        const G1 p = map_to_group(u).to_affine();
        EXPECT_TRUE(is_on_curve(p) && (kGroupOrder * p).is_infinity() && !p.is_infinity());
        const auto v = i == 0 ? Fp2() : random.fp2<Fp>();
        const G2 q = map_to_group(v).to_affine();
        EXPECT_TRUE(is_on_twist(q) && (kGroupOrder * q).is_infinity() && !q.is_infinity());
        if (i == 0) continue;
        EXPECT_EQ(map_to_group(-u).to_affine(), -p);
        EXPECT_EQ(map_to_group(-v).to_affine(), -q);
    }
}

TEST(bls12381, pairing_is_bilinear_and_not_degenerate) {
    Random random(10);
    const auto a = random.limbs<4>(), b = random.limbs<4>();
    const G1 ap = (a * kGenerator1).to_affine(), abp = (b * ap).to_affine();
    const G2 q = kGenerator2, bq = (b * q).to_affine();
    const Pair one[] = {{kGenerator1, q}}, both[] = {{ap, bq}}, first[] = {{abp, q}};
    const Pair cancelling[] = {{ap, bq}, {-abp, q}, {G1(), q}, {kGenerator1, G2()}};
    EXPECT_EQ(pairing_product(both), pairing_product(first));
    EXPECT_EQ(pairing_product(cancelling), Fp12::one());
    EXPECT_NE(pairing_product(one), Fp12::one());
    EXPECT_NE(pairing_product(one), pairing_product(both));
}

TEST(bls12381, lines_made_before_give_the_same_pairing) {
    const Lines lines = make_lines(kGenerator2);
    const FixedPair fixed[] = {{kGenerator1, &lines}, {G1(), &lines}};
    const Pair moving[] = {{kGenerator1, kGenerator2}};
    EXPECT_EQ(pairing_product(fixed), pairing_product(moving));
}

TEST(bls12381, precompiles_cost_what_the_eip_says) {
    const Bytes product1(160), product2(288);
    EXPECT_EQ(run(g1_add, Bytes(256), 375).gas_left, 0);
    EXPECT_EQ(run(g1_msm, product1, 12000).gas_left, 0);
    EXPECT_EQ(run(g1_msm, Bytes(200 * 160), 200 * 12000 * 519 / 1000).gas_left, 0);
    EXPECT_EQ(run(g2_add, Bytes(512), 600).gas_left, 0);
    EXPECT_EQ(run(g2_msm, product2, 22500).gas_left, 0);
    EXPECT_EQ(run(g2_msm, Bytes(129 * 288), 129 * 22500 * 524 / 1000).gas_left, 0);
    EXPECT_EQ(run(pairing, Bytes(2 * 384), 102900).gas_left, 0);
    EXPECT_EQ(run(map_fp_to_g1, Bytes(64), 5500).gas_left, 0);
    EXPECT_EQ(run(map_fp2_to_g2, Bytes(128), 23800).gas_left, 0);
    Address first, last;
    first[19] = g1_add, last[19] = map_fp2_to_g2;
    EXPECT_FALSE(is_precompile(first, Revision::cancun));
    EXPECT_TRUE(is_precompile(last, Revision::prague));
}

TEST(bls12381, adding_does_not_ask_for_the_group) {
    Random random(11);
    const G1 p = random.point(Fp::from_int(4));
    const G2 q = random.point_of_twist(kTwistB);
    EXPECT_EQ(run(g1_add, bytes_of(p) + bytes_of(p)).output,
              bytes_of(Jacobian1(p).doubled().to_affine()));
    EXPECT_EQ(run(g2_add, bytes_of(q) + bytes_of(-q)).output, Bytes(256));
}

TEST(bls12381, rejects_points_outside_the_group) {
    Random random(12);
    const Bytes p = bytes_of(random.point(Fp::from_int(4)));
    const Bytes q = bytes_of(random.point_of_twist(kTwistB));
    EXPECT_TRUE(fails(g1_msm, p + Bytes(32)));
    EXPECT_TRUE(fails(g2_msm, q + Bytes(32)));
    EXPECT_TRUE(fails(pairing, p + Bytes(256)));
    EXPECT_TRUE(fails(pairing, Bytes(128) + q));
}

TEST(bls12381, rejects_points_off_the_curve) {
    const Bytes p = bytes_of(G1{Fp::one(), Fp::one()}), q = bytes_of(G2{Fp2::one(), Fp2::one()});
    EXPECT_TRUE(fails(g1_add, p + Bytes(128)));
    EXPECT_TRUE(fails(g1_add, Bytes(128) + p));
    EXPECT_TRUE(fails(g1_msm, p + Bytes(32)));
    EXPECT_TRUE(fails(g2_add, q + Bytes(256)));
    EXPECT_TRUE(fails(g2_msm, q + Bytes(32)));
    EXPECT_TRUE(fails(pairing, p + bytes_of(kGenerator2)));
    EXPECT_TRUE(fails(pairing, bytes_of(kGenerator1) + q));
}

TEST(bls12381, rejects_coordinates_that_are_not_below_p) {
    Bytes p(64);
    field::store_big_endian(&p[16], Fp::kM.p);
    Bytes padded(64);
    padded[15] = 1;
    for (const Bytes& bad : {p, padded}) {
        EXPECT_TRUE(fails(g1_add, bad + Bytes(192)));
        EXPECT_TRUE(fails(g2_add, Bytes(64) + bad + Bytes(384)));
        EXPECT_TRUE(fails(map_fp_to_g1, bad));
        EXPECT_TRUE(fails(map_fp2_to_g2, Bytes(64) + bad));
    }
}

TEST(bls12381, rejects_input_of_another_length) {
    for (uint8_t number = g1_add; number <= map_fp2_to_g2; ++number) {
        EXPECT_TRUE(fails(number, {})) << int{number};
        EXPECT_TRUE(fails(number, Bytes(1))) << int{number};
        EXPECT_TRUE(fails(number, Bytes(385))) << int{number};
    }
}

}  // namespace
}  // namespace trainyard::vm::bls12381
