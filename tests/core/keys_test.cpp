// SPDX-License-Identifier: Apache-2.0
// Keys, signatures and the VRF: known answers, agreement of both sides, and tampering.
#include "core/keys.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard {
namespace {

const Uint256 kOrder{0xffffffffffffffff, 0xfffffffffffffffe, 0xbaaedce6af48a03b,
                     0xbfd25e8cd0364141};

SecretKey key_of(const Uint256& scalar) {
    return *fixed_from<SecretKey>(to_hash(scalar));
}

TEST(keys, one_has_the_generator_as_its_point) {
    // SEC 2, section 2.4.1; the address is that of every wallet for key 1.
    EXPECT_EQ(to_hex(*public_key(key_of(1))),
              "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    EXPECT_EQ(to_hex(*address_of(key_of(1))), "7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    EXPECT_EQ(address_of(*public_key(key_of(1))), *address_of(key_of(1)));
}

TEST(keys, rejects_secrets_out_of_range) {
    for (const Uint256& scalar : {Uint256(0), kOrder, kOrder + 1, Uint256::max()}) {
        EXPECT_FALSE(is_valid_secret(key_of(scalar)));
        EXPECT_EQ(public_key(key_of(scalar)), std::nullopt);
        EXPECT_EQ(address_of(key_of(scalar)), std::nullopt);
    }
    EXPECT_TRUE(is_valid_secret(key_of(kOrder - 1)));
}

TEST(keys, rejects_points_that_are_none) {
    PublicKey no_point = *public_key(key_of(1));
    no_point[0] = 0x04;
    EXPECT_EQ(address_of(no_point), Address{});
    PublicKey beyond_field;
    beyond_field.bytes.fill(0xff);
    beyond_field[0] = 2;
    EXPECT_EQ(address_of(beyond_field), Address{});
    EXPECT_FALSE(verify(no_point, {}, {}));
    EXPECT_EQ(ecdh_x(key_of(5), no_point), std::nullopt);
}

TEST(keys, a_signature_verifies_and_names_its_signer) {
    for (uint64_t i = 1; i < 30; ++i) {
        const SecretKey key = key_of(kOrder - i);
        const Hash digest = keccak256(to_hash(i));
        const RecoverableSig sig = sign(key, digest);
        EXPECT_EQ(sign(key, digest), sig);
        EXPECT_TRUE(verify(*public_key(key), digest, sig.rs));
        EXPECT_EQ(recover_key(digest, sig), public_key(key));
        EXPECT_EQ(recover(digest, sig), address_of(key));
        EXPECT_FALSE(verify(*public_key(key_of(i + 1)), digest, sig.rs));
        EXPECT_FALSE(verify(*public_key(key), keccak256({}), sig.rs));
        EXPECT_NE(recover(keccak256({}), sig), address_of(key));
    }
}

TEST(keys, rejects_high_s_when_verifying_but_recovers_from_it) {
    const SecretKey key = key_of(77);
    const Hash digest = keccak256({});
    RecoverableSig sig = sign(key, digest);
    const Hash high = to_hash(kOrder - from_be(BytesView(sig.rs).subspan(32)));
    std::copy(high.begin(), high.end(), sig.rs.begin() + 32);
    sig.y_parity ^= 1;
    EXPECT_FALSE(verify(*public_key(key), digest, sig.rs));
    EXPECT_EQ(recover(digest, sig), address_of(key));
}

TEST(keys, rejects_signatures_with_values_out_of_range) {
    RecoverableSig sig = sign(key_of(77), keccak256({}));
    for (const uint8_t parity : {2, 3, 27, 255}) {
        sig.y_parity = parity;
        EXPECT_EQ(recover(keccak256({}), sig), std::nullopt);
    }
    EXPECT_EQ(recover({}, RecoverableSig{}), std::nullopt);
    RecoverableSig large;
    large.rs.bytes.fill(0xff);
    EXPECT_EQ(recover({}, large), std::nullopt);
}

TEST(keys, both_sides_of_ecdh_agree) {
    const SecretKey a = key_of(1234567), b = key_of(kOrder - 99);
    EXPECT_EQ(ecdh_x(a, *public_key(b)), ecdh_x(b, *public_key(a)));
    EXPECT_NE(ecdh_x(a, *public_key(b)), ecdh_x(a, *public_key(a)));
    const PublicKey point = *public_key(b);
    EXPECT_EQ(*ecdh_x(key_of(1), point), *fixed_from<Hash>(BytesView(point).subspan(1)));
}

TEST(vrf, proves_verifies_and_is_the_same_every_time) {
    std::set<Hash> outputs;
    for (uint64_t i = 1; i < 40; ++i) {
        const SecretKey key = key_of(i % 5 + 1);
        const Bytes alpha(i, uint8_t(i));
        const vrf::Proof proof = vrf::prove(key, alpha);
        EXPECT_EQ(vrf::prove(key, alpha), proof);
        const auto beta = vrf::verify(*public_key(key), alpha, proof);
        ASSERT_TRUE(beta);
        EXPECT_TRUE(outputs.insert(*beta).second);
    }
    EXPECT_TRUE(vrf::verify(*public_key(key_of(9)), {}, vrf::prove(key_of(9), {})));
}

TEST(vrf, gives_the_proofs_of_a_separate_implementation) {
    // Computed by a Python program written from RFC 9381 on plain integers, which also reproduces
    // the P-256 example of the RFC (appendix B.1, "sample") when given that curve and suite.
    struct Known {
        std::string_view alpha, proof, beta;
    };
    const Known known[] = {
        {"sample",
         "0338ec99b5d0f94ebcc2c704c04af3de8b4289df8798e5fb9f920d7f5d77ac03d7"
         "718b9677d1c9348649ac2ec4f7ecbe51"
         "9b30dd10c4eb5efc21dd5944709f2f3b7e97a25f6f095334593502d05103bc5b",
         "d466c22e14dc3b7fd169668dd3ee9ac6351429a24aebc5e8af61a0f0de89b65a"},
        {"test",
         "020ead2dc62f604a6ae2003b6c3012cf7ce2988dedf7606110e66edd5bb7f4b17b"
         "ec303fd0bff5bfdff67ff6e4b6d4775d"
         "9efbe999f4d2467b61ab58659b6385c1a6c55fe84d1bb56c70152856a641364f",
         "20b81616f3a3a4c51986e61f3b8e8e80d84f7fa0e05933bd0317150a5a250c09"},
        {"",
         "03ea3a3f2fadddc36eb70d8c81797a92621cbaaecfd03cbf5916a990073181a29a"
         "8be98ee0c5eaa88c3040325b123ea1d9"
         "c4e99d19296d337aeaaec94549387700801cfc3320dc17995c8e31d10af6f690",
         "dcc8f9f13ecef09eab19c58beddf5d1e644eb072af29e6139b7ec89786b4153f"},
    };
    const auto key = *fixed_from_hex<SecretKey>(
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    for (const Known& k : known) {
        const vrf::Proof proof = vrf::prove(key, as_bytes(k.alpha));
        EXPECT_EQ(to_hex(proof), k.proof);
        EXPECT_EQ(to_hex(vrf::verify(*public_key(key), as_bytes(k.alpha), proof).value()), k.beta);
    }
}

TEST(vrf, rejects_every_flipped_bit_of_the_proof) {
    const SecretKey key = key_of(42);
    const vrf::Proof proof = vrf::prove(key, as_bytes("alpha"));
    for (size_t bit = 0; bit < 8 * proof.size(); ++bit) {
        vrf::Proof other = proof;
        other[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
        ASSERT_EQ(vrf::verify(*public_key(key), as_bytes("alpha"), other), std::nullopt) << bit;
    }
}

TEST(vrf, rejects_another_key_another_alpha_and_a_key_that_is_no_point) {
    const SecretKey key = key_of(42);
    const vrf::Proof proof = vrf::prove(key, as_bytes("alpha"));
    EXPECT_TRUE(vrf::verify(*public_key(key), as_bytes("alpha"), proof));
    EXPECT_FALSE(vrf::verify(*public_key(key_of(43)), as_bytes("alpha"), proof));
    EXPECT_FALSE(vrf::verify(*public_key(key), as_bytes("alphb"), proof));
    EXPECT_FALSE(vrf::verify(PublicKey{}, as_bytes("alpha"), proof));
    EXPECT_FALSE(vrf::verify(*public_key(key), as_bytes("alpha"), vrf::Proof{}));
}

TEST(vrf, rejects_a_scalar_that_is_not_reduced) {
    // s + n would be a second proof of the same output, were it accepted; s < n - 2^128 is rare,
    // so that s + n overflows 256 bits and the border itself is tried instead.
    const SecretKey key = key_of(42);
    vrf::Proof proof = vrf::prove(key, {});
    const Hash order = to_hash(kOrder);
    std::copy(order.begin(), order.end(), proof.begin() + 49);
    EXPECT_FALSE(vrf::verify(*public_key(key), {}, proof));
}

}  // namespace
}  // namespace trainyard
