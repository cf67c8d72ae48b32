// SPDX-License-Identifier: Apache-2.0
// The ECVRF of RFC 9381, section 5, over secp256k1 with SHA-256 and try-and-increment.
#include "core/keys.hpp"

#include "core/secp256k1.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"

#include <openssl/crypto.h>
#include <secp256k1_ecdh.h>

namespace trainyard::vrf {
namespace {

constexpr uint8_t kSuite = 0xfe;  ///< RFC 9381 reserves 0xF0..0xFF for suites of one's own
constexpr size_t kGammaSize = 33, kChallengeSize = 16;

using Scalar = std::array<uint8_t, 32>;

/// H(suite | domain | parts | 00)
Hash tagged(uint8_t domain, std::initializer_list<BytesView> parts) {
    const std::array<uint8_t, 2> front{kSuite, domain};
    const uint8_t back = 0;
    Sha256 hash;
    hash.update(front);
    for (const BytesView part : parts) hash.update(part);
    return hash.update({&back, 1}).finish();
}

/// Section 5.4.1.1; half of all candidates are points, so that 256 failures do not happen.
std::optional<secp256k1_pubkey> encode_to_curve(const PublicKey& key, BytesView alpha) {
    for (int counter = 0; counter < 256; ++counter) {
        const auto last = static_cast<uint8_t>(counter);
        const Hash x = tagged(0x01, {key.bytes, alpha, {&last, 1}});
        PublicKey candidate;
        candidate[0] = 0x02;
        std::copy(x.begin(), x.end(), candidate.bytes.begin() + 1);
        if (auto point = parse_point(candidate)) return point;
    }
    return std::nullopt;
}

int copy_compressed(unsigned char* out, const unsigned char* x, const unsigned char* y, void*) {
    out[0] = static_cast<unsigned char>(0x02 | (y[31] & 1));
    std::copy(x, x + 32, out + 1);
    return 1;
}

/// scalar * point in constant time, which secp256k1_ec_pubkey_tweak_mul is not.
PublicKey secret_multiple(const secp256k1_pubkey& point, const uint8_t* scalar) {
    PublicKey out;
    ASSERT(secp256k1_ecdh(curve_context(), out.data(), &point, scalar, copy_compressed, nullptr) ==
           1);
    return out;
}

/// Section 5.4.2.1: the nonce of RFC 6979 for the message point_to_string(H).
SecretKey nonce_of(const SecretKey& key, const PublicKey& h) {
    const Hash digest = sha256(h.bytes);
    SecretKey nonce;
    for (unsigned attempt = 0;; ++attempt) {
        ASSERT(secp256k1_nonce_function_rfc6979(nonce.data(), digest.data(), key.data(), nullptr,
                                                nullptr, attempt) == 1);
        if (is_valid_secret(nonce)) return nonce;
    }
}

/// Section 5.4.3, as a scalar of 32 bytes whose first 16 are zero.
Scalar challenge(const PublicKey& y, const PublicKey& h, const PublicKey& gamma, const PublicKey& u,
                 const PublicKey& v) {
    const Hash digest = tagged(0x02, {y.bytes, h.bytes, gamma.bytes, u.bytes, v.bytes});
    Scalar c{};
    std::copy(digest.begin(), digest.begin() + kChallengeSize, c.begin() + kChallengeSize);
    return c;
}

Hash output_of(const PublicKey& gamma) {
    return tagged(0x03, {gamma.bytes});
}

/// s * B - c * Y
std::optional<PublicKey> make_u(secp256k1_pubkey y, const Scalar& c, const Scalar& s) {
    const auto* context = curve_context();
    if (secp256k1_ec_pubkey_tweak_mul(context, &y, c.data()) != 1 ||
        secp256k1_ec_pubkey_negate(context, &y) != 1 ||
        secp256k1_ec_pubkey_tweak_add(context, &y, s.data()) != 1)
        return std::nullopt;
    return compress(y);
}

/// s * H - c * gamma
std::optional<PublicKey> make_v(secp256k1_pubkey h, secp256k1_pubkey gamma, const Scalar& c,
                                const Scalar& s) {
    const auto* context = curve_context();
    if (secp256k1_ec_pubkey_tweak_mul(context, &h, s.data()) != 1 ||
        secp256k1_ec_pubkey_tweak_mul(context, &gamma, c.data()) != 1 ||
        secp256k1_ec_pubkey_negate(context, &gamma) != 1)
        return std::nullopt;
    const std::array<const secp256k1_pubkey*, 2> terms{&h, &gamma};
    secp256k1_pubkey sum;
    if (secp256k1_ec_pubkey_combine(context, &sum, terms.data(), terms.size()) != 1)
        return std::nullopt;
    return compress(sum);
}

}  // namespace

Proof prove(const SecretKey& key, BytesView alpha) {
    const auto y = public_key(key);
    ASSERT(y.has_value());
    const auto h = encode_to_curve(*y, alpha);
    ASSERT(h.has_value());
    const PublicKey gamma = secret_multiple(*h, key.data());
    SecretKey nonce = nonce_of(key, compress(*h));
    const auto u = public_key(nonce);
    const PublicKey v = secret_multiple(*h, nonce.data());
    const Scalar c = challenge(*y, compress(*h), gamma, *u, v);
    SecretKey s = key;
    ASSERT(secp256k1_ec_seckey_tweak_mul(curve_context(), s.data(), c.data()) == 1);
    ASSERT(secp256k1_ec_seckey_tweak_add(curve_context(), s.data(), nonce.data()) == 1);
    OPENSSL_cleanse(nonce.data(), nonce.size());  // with s and c it would give the key away
    Proof proof;
    auto out = std::copy(gamma.begin(), gamma.end(), proof.bytes.begin());
    out = std::copy(c.begin() + kChallengeSize, c.end(), out);
    std::copy(s.begin(), s.end(), out);
    return proof;
}

std::optional<Hash> verify(const PublicKey& key, BytesView alpha, const Proof& proof) {
    const BytesView parts(proof.bytes);
    const auto gamma_text = *fixed_from<PublicKey>(parts.first(kGammaSize));
    Scalar c{}, s{};
    std::copy_n(parts.begin() + kGammaSize, kChallengeSize, c.begin() + kChallengeSize);
    std::copy_n(parts.begin() + kGammaSize + kChallengeSize, s.size(), s.begin());
    const auto y = parse_point(key), gamma = parse_point(gamma_text);
    if (!y || !gamma) return std::nullopt;
    const auto h = encode_to_curve(key, alpha);
    if (!h) return std::nullopt;
    const auto u = make_u(*y, c, s), v = make_v(*h, *gamma, c, s);
    if (!u || !v || challenge(key, compress(*h), gamma_text, *u, *v) != c) return std::nullopt;
    return output_of(gamma_text);
}

}  // namespace trainyard::vrf
