// SPDX-License-Identifier: Apache-2.0
// BN254: group orders, the endomorphism, the pairing, and what its precompiles refuse.
#include "vm/precompiles/bn254/curve.hpp"

#include <gtest/gtest.h>

#include "tests/vm/precompiles/random.hpp"
#include "vm/precompiles.hpp"
#include "vm/precompiles/bn254/twist.hpp"

namespace trainyard::vm::bn254 {
namespace {

Fp fp(uint64_t n) {
    return Fp::from_int(n);
}
const G1 kG1 = {fp(1), fp(2)};

/// The point that EIP-197 calls P2.
G2 generator2() {
    const auto hex = [](std::string_view digits) {
        const auto bytes = from_hex(digits).value();
        return Fp::decode(bytes.data()).value();
    };
    return {{hex("1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"),
             hex("198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2")},
            {hex("12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"),
             hex("090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b")}};
}

void put(Bytes& to, const Fp& x) {
    to.resize(to.size() + 32);
    x.encode(&to[to.size() - 32]);
}
Bytes bytes_of(const G1& p) {
    Bytes r;
    put(r, p.x), put(r, p.y);
    return r;
}
Bytes bytes_of(const G2& q) {
    Bytes r;
    put(r, q.x.im), put(r, q.x.re), put(r, q.y.im), put(r, q.y.re);
    return r;
}
Bytes operator+(Bytes a, const Bytes& b) {
    append(a, b);
    return a;
}

CallResult run(uint8_t number, const Bytes& input, int64_t gas = 10'000'000,
               Revision revision = Revision::osaka) {
    Address address;
    address[19] = number;
    return run_precompile(address, revision, input, gas);
}
bool fails(uint8_t number, const Bytes& input) {
    return run(number, input).status == Status::precompile_failure;
}

TEST(bn254, generators_have_order_r) {
    EXPECT_TRUE(is_on_curve(kG1));
    EXPECT_TRUE(is_on_twist(generator2()));
    EXPECT_TRUE((kGroupOrder * kG1).is_infinity());
    EXPECT_TRUE((kGroupOrder * generator2()).is_infinity());
}

TEST(bn254, multiplying_by_halves_equals_multiplying_bit_by_bit) {
    Random random(2);
    Scalar before = kGroupOrder, all = {~0ull, ~0ull, ~0ull, ~0ull};
    before[0] -= 1;
    std::vector<Scalar> numbers = {{}, {1}, {2}, before, kGroupOrder, all};
    for (int i = 0; i < 50; ++i) numbers.push_back(random.limbs<4>());
    const G1 p = random.point(fp(3));
    for (const auto& n : numbers) ASSERT_TRUE(multiply(p, n) == n * p);
    EXPECT_TRUE(multiply(G1(), all).is_infinity());
}

TEST(bn254, membership_in_the_group_equals_having_order_r) {
    Random random(3);
    for (int i = 0; i < 5; ++i) {
        const G2 q = random.point_of_twist(kTwistB);
        EXPECT_EQ(is_in_group(q), (kGroupOrder * q).is_infinity());
        EXPECT_TRUE(is_in_group((random.limbs<4>() * generator2()).to_affine()));
    }
    EXPECT_TRUE(is_in_group(G2()));
}

TEST(bn254, pairing_is_bilinear_and_not_degenerate) {
    Random random(4);
    const auto a = random.limbs<4>(), b = random.limbs<4>();
    const G1 ap = (a * kG1).to_affine(), abp = (b * ap).to_affine();
    const G2 q = generator2(), bq = (b * q).to_affine();
    const Pair one[] = {{kG1, q}}, both[] = {{ap, bq}}, first[] = {{abp, q}};
    const Pair cancelling[] = {{ap, bq}, {-abp, q}, {G1(), q}, {kG1, G2()}};
    EXPECT_EQ(pairing_product(both), pairing_product(first));
    EXPECT_EQ(pairing_product(cancelling), Fp12::one());
    EXPECT_EQ(pairing_product({}), Fp12::one());
    EXPECT_NE(pairing_product(one), Fp12::one());
    EXPECT_NE(pairing_product(one), pairing_product(both));
}

TEST(bn254, precompiles_cost_less_from_istanbul_on) {
    const Bytes pair = bytes_of(kG1) + bytes_of(generator2());
    EXPECT_EQ(run(6, {}, 500, Revision::byzantium).gas_left, 0);
    EXPECT_EQ(run(6, {}, 150, Revision::istanbul).gas_left, 0);
    EXPECT_EQ(run(7, {}, 40000, Revision::petersburg).gas_left, 0);
    EXPECT_EQ(run(7, {}, 6000).gas_left, 0);
    EXPECT_EQ(run(8, pair, 180000, Revision::byzantium).gas_left, 0);
    EXPECT_EQ(run(8, pair, 79000).gas_left, 0);
    EXPECT_EQ(run(8, pair, 78999).status, Status::out_of_gas);
    Address add;
    add[19] = 6;
    EXPECT_FALSE(is_precompile(add, Revision::spurious_dragon));
}

TEST(bn254, precompiles_read_zeros_where_input_ends) {
    EXPECT_EQ(run(6, bytes_of(kG1)).output, bytes_of(kG1));
    EXPECT_EQ(run(6, {}).output, Bytes(64));
    EXPECT_EQ(run(7, bytes_of(kG1) + Bytes{1}).output,
              bytes_of(multiply(kG1, {0, 0, 0, uint64_t{1} << 56}).to_affine()));
    EXPECT_EQ(run(6, bytes_of(kG1) + bytes_of(-kG1) + Bytes(7, 9)).output, Bytes(64));
}

TEST(bn254, pairing_of_nothing_is_one) {
    Bytes one(32);
    one[31] = 1;
    EXPECT_EQ(run(8, {}).output, one);
    EXPECT_EQ(run(8, bytes_of(G1()) + bytes_of(generator2())).output, one);
    EXPECT_EQ(run(8, bytes_of(kG1) + bytes_of(generator2())).output, Bytes(32));
}

TEST(bn254, rejects_points_off_the_curve) {
    const Bytes bad = bytes_of(G1{fp(1), fp(3)});
    EXPECT_TRUE(fails(6, bad));
    EXPECT_TRUE(fails(6, bytes_of(kG1) + bad));
    EXPECT_TRUE(fails(7, bad));
    EXPECT_TRUE(fails(8, bad + bytes_of(generator2())));
    EXPECT_TRUE(fails(8, bytes_of(kG1) + bytes_of(G2{Fp2::one(), Fp2::one()})));
}

TEST(bn254, rejects_coordinates_that_are_not_below_p) {
    Bytes p(64);  // (p, 0), which would be infinity
    field::store_big_endian(p.data(), Fp::kM.p);
    EXPECT_TRUE(fails(6, p));
    EXPECT_TRUE(fails(7, p));
    EXPECT_TRUE(fails(8, bytes_of(kG1) + Bytes(64) + p));
}

TEST(bn254, rejects_twist_points_outside_the_group) {
    Random random(5);
    EXPECT_TRUE(fails(8, bytes_of(G1()) + bytes_of(random.point_of_twist(kTwistB))));
}

TEST(bn254, rejects_pairing_input_that_is_no_list_of_pairs) {
    EXPECT_TRUE(fails(8, Bytes(191)));
    EXPECT_TRUE(fails(8, Bytes(193)));
}

}  // namespace
}  // namespace trainyard::vm::bn254
