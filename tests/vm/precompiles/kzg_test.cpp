// SPDX-License-Identifier: Apache-2.0
// KZG proofs of polynomials that can be committed to by hand, and input that must be refused.
#include "vm/precompiles/bls12381/kzg.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "vm/precompiles.hpp"
#include "vm/precompiles/bls12381/curve.hpp"

namespace trainyard::vm::bls12381 {
namespace {

Bytes hex(std::string_view digits) {
    return from_hex(digits).value();
}
Bytes number(uint8_t n) {
    Bytes r(32);
    r[31] = n;
    return r;
}
Bytes infinity() {
    Bytes r(48);
    r[0] = 0xc0;
    return r;
}
/// The generator of G1, compressed (its y is the smaller one).
Bytes generator() {
    return hex(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb"
        "22c6bb");
}
/// tau times the generator, from the ceremony (trusted_setup_4096.json, g1_monomial[1]).
Bytes tau() {
    return hex(
        "ad3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5"
        "a04c81");
}

CallResult evaluate(const Bytes& commitment, const Bytes& z, const Bytes& y, const Bytes& proof) {
    Address address;
    address[19] = 0x0a;
    Hash versioned_hash = sha256(commitment);
    versioned_hash[0] = 1;
    Bytes input(versioned_hash.begin(), versioned_hash.end());
    for (const Bytes* part : {&z, &y, &commitment, &proof}) append(input, *part);
    return run_precompile(address, Revision::cancun, input, 50000);
}

TEST(kzg, a_constant_has_its_value_everywhere) {
    EXPECT_EQ(verify_kzg_proof(generator(), number(7), number(1), infinity()), true);
    EXPECT_EQ(verify_kzg_proof(generator(), number(7), number(2), infinity()), false);
    EXPECT_EQ(verify_kzg_proof(infinity(), number(7), number(0), infinity()), true);
}

TEST(kzg, the_polynomial_x_has_the_value_z_at_z) {  // (x - z) / (x - z) = 1, so the proof is G
    EXPECT_EQ(verify_kzg_proof(tau(), number(7), number(7), generator()), true);
    EXPECT_EQ(verify_kzg_proof(tau(), number(7), number(8), generator()), false);
    EXPECT_EQ(verify_kzg_proof(tau(), number(7), number(7), infinity()), false);
}

TEST(kzg, point_evaluation_gives_the_blob_size_and_the_group_order) {
    const auto result = evaluate(tau(), number(9), number(9), generator());
    EXPECT_EQ(result.status, Status::success);
    EXPECT_EQ(result.gas_left, 0);
    EXPECT_EQ(to_hex(result.output),
              "0000000000000000000000000000000000000000000000000000000000001000"
              "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
}

TEST(kzg, rejects_a_wrong_proof_hash_or_length) {
    EXPECT_EQ(evaluate(tau(), number(9), number(8), generator()).status,
              Status::precompile_failure);
    Address address;
    address[19] = 0x0a;
    Bytes input(192);
    EXPECT_EQ(run_precompile(address, Revision::cancun, input, 50000).status,
              Status::precompile_failure);
    input.pop_back();
    EXPECT_EQ(run_precompile(address, Revision::cancun, input, 50000).status,
              Status::precompile_failure);
    EXPECT_FALSE(is_precompile(address, Revision::shanghai));
}

TEST(kzg, rejects_numbers_that_are_not_below_r) {
    Bytes r(32);
    field::store_big_endian(r.data(), kGroupOrder);
    EXPECT_EQ(verify_kzg_proof(generator(), r, number(1), infinity()), std::nullopt);
    EXPECT_EQ(verify_kzg_proof(generator(), number(1), r, infinity()), std::nullopt);
    EXPECT_EQ(verify_kzg_proof(generator(), Bytes(31), number(1), infinity()), std::nullopt);
}

TEST(kzg, rejects_points_that_are_not_well_compressed) {
    const auto is_refused = [](const Bytes& point) {
        return !verify_kzg_proof(point, number(7), number(1), infinity()) &&
               !verify_kzg_proof(generator(), number(7), number(1), point);
    };
    Bytes plain = generator(), off = generator(), infinite = infinity(), large(48, 0xff);
    plain[0] &= 0x7f;
    EXPECT_TRUE(is_refused(plain));  // not marked as compressed
    infinite[47] = 1;
    EXPECT_TRUE(is_refused(infinite));  // infinity with an x
    infinite = infinity();
    infinite[0] |= 0x20;
    EXPECT_TRUE(is_refused(infinite));  // infinity with a sign
    large[0] = 0x9f;
    EXPECT_TRUE(is_refused(large));  // x is not below p
    EXPECT_TRUE(is_refused(Bytes(47)));
    Bytes order3(48);  // x = 0, y = 2: on the curve, not in the group
    order3[0] = 0x80;
    EXPECT_TRUE(is_refused(order3));
    off[47] ^= 2;  // no y, or not in the group
    EXPECT_TRUE(is_refused(off));
}

}  // namespace
}  // namespace trainyard::vm::bls12381
