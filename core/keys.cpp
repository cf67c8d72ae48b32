// SPDX-License-Identifier: Apache-2.0
// ECDSA, recovery and ECDH through libsecp256k1.
#include "core/keys.hpp"

#include "core/secp256k1.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"

#include <secp256k1_ecdh.h>
#include <secp256k1_recovery.h>

#include <unistd.h>

namespace trainyard {
namespace {

/// Blinds the secret scalar operations once; no result depends on it.
const secp256k1_context* make_context() {
    secp256k1_context* context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    std::array<uint8_t, 32> seed;
    ASSERT(context != nullptr && getentropy(seed.data(), seed.size()) == 0);
    ASSERT(secp256k1_context_randomize(context, seed.data()) == 1);
    return context;
}

int copy_x(unsigned char* out, const unsigned char* x, const unsigned char*, void*) {
    std::copy(x, x + 32, out);
    return 1;
}

}  // namespace

const secp256k1_context* curve_context() {
    static const secp256k1_context* const context = make_context();
    return context;
}

std::optional<secp256k1_pubkey> parse_point(const PublicKey& key) {
    secp256k1_pubkey point;
    if (secp256k1_ec_pubkey_parse(curve_context(), &point, key.data(), key.size()) != 1)
        return std::nullopt;
    return point;
}

PublicKey compress(const secp256k1_pubkey& point) {
    PublicKey key;
    size_t size = key.size();
    secp256k1_ec_pubkey_serialize(curve_context(), key.data(), &size, &point,
                                  SECP256K1_EC_COMPRESSED);
    return key;
}

namespace {

FixedBytes<64> coordinates_of(const secp256k1_pubkey& point) {
    std::array<uint8_t, 65> whole;
    size_t size = whole.size();
    secp256k1_ec_pubkey_serialize(curve_context(), whole.data(), &size, &point,
                                  SECP256K1_EC_UNCOMPRESSED);
    return *fixed_from<FixedBytes<64>>(BytesView(whole).subspan(1));
}

Address address_of_point(const secp256k1_pubkey& point) {
    const Hash digest = keccak256(coordinates_of(point).bytes);
    Address address;
    std::copy(digest.begin() + 12, digest.end(), address.bytes.begin());
    return address;
}

std::optional<secp256k1_pubkey> point_of(const SecretKey& key) {
    secp256k1_pubkey point;
    if (secp256k1_ec_pubkey_create(curve_context(), &point, key.data()) != 1) return std::nullopt;
    return point;
}

std::optional<secp256k1_pubkey> recover_point(const Hash& digest, const RecoverableSig& sig) {
    if (sig.y_parity > 1) return std::nullopt;
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey point;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(curve_context(), &parsed, sig.rs.data(),
                                                            sig.y_parity) != 1 ||
        secp256k1_ecdsa_recover(curve_context(), &point, &parsed, digest.data()) != 1)
        return std::nullopt;
    return point;
}

}  // namespace

bool is_valid_secret(const SecretKey& key) {
    return secp256k1_ec_seckey_verify(curve_context(), key.data()) == 1;
}

std::optional<PublicKey> public_key(const SecretKey& key) {
    const auto point = point_of(key);
    return point ? std::optional(compress(*point)) : std::nullopt;
}

std::optional<FixedBytes<64>> whole_point(const PublicKey& key) {
    const auto point = parse_point(key);
    return point ? std::optional(coordinates_of(*point)) : std::nullopt;
}

Address address_of(const PublicKey& key) {
    const auto point = parse_point(key);
    return point ? address_of_point(*point) : Address{};
}

std::optional<Address> address_of(const SecretKey& key) {
    const auto point = point_of(key);
    return point ? std::optional(address_of_point(*point)) : std::nullopt;
}

RecoverableSig sign(const SecretKey& key, const Hash& digest) {
    secp256k1_ecdsa_recoverable_signature sig;
    ASSERT(secp256k1_ecdsa_sign_recoverable(curve_context(), &sig, digest.data(), key.data(),
                                            nullptr, nullptr) == 1);
    RecoverableSig out;
    int parity = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(curve_context(), out.rs.data(), &parity,
                                                            &sig);
    // Parities 2 and 3 mean r >= n, which no known nonce gives (chance 2^-127).
    ASSERT(parity < 2);
    out.y_parity = static_cast<uint8_t>(parity);
    return out;
}

bool verify(const PublicKey& key, const Hash& digest, const CompactSig& sig) {
    secp256k1_ecdsa_signature parsed;
    const auto point = parse_point(key);
    return point &&
           secp256k1_ecdsa_signature_parse_compact(curve_context(), &parsed, sig.data()) == 1 &&
           secp256k1_ecdsa_verify(curve_context(), &parsed, digest.data(), &*point) == 1;
}

std::optional<PublicKey> recover_key(const Hash& digest, const RecoverableSig& sig) {
    const auto point = recover_point(digest, sig);
    return point ? std::optional(compress(*point)) : std::nullopt;
}

std::optional<Address> recover(const Hash& digest, const RecoverableSig& sig) {
    const auto point = recover_point(digest, sig);
    return point ? std::optional(address_of_point(*point)) : std::nullopt;
}

std::optional<Hash> ecdh_x(const SecretKey& key, const PublicKey& other) {
    const auto point = parse_point(other);
    Hash x;
    if (!point ||
        secp256k1_ecdh(curve_context(), x.data(), &*point, key.data(), copy_x, nullptr) != 1)
        return std::nullopt;
    return x;
}

}  // namespace trainyard
