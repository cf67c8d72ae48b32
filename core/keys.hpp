// SPDX-License-Identifier: Apache-2.0
// secp256k1 keys: recoverable ECDSA for transactions and votes, ECDH, and the RFC 9381 VRF.
#pragma once

#include <optional>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard {

using PublicKey = FixedBytes<33, struct PublicKeyTag>;    ///< compressed point
using SecretKey = FixedBytes<32, struct SecretKeyTag>;    ///< scalar in [1, n)
using CompactSig = FixedBytes<64, struct CompactSigTag>;  ///< r | s, s in the lower half

struct RecoverableSig {
    CompactSig rs;
    uint8_t y_parity = 0;
    bool operator==(const RecoverableSig&) const = default;
};

[[nodiscard]] bool is_valid_secret(const SecretKey& key);
[[nodiscard]] std::optional<PublicKey> public_key(const SecretKey& key);
/// x | y, for those who cannot take roots; nullopt where the key is no point of the curve.
[[nodiscard]] std::optional<FixedBytes<64>> whole_point(const PublicKey& key);
/// The zero address where the key is no point of the curve.
[[nodiscard]] Address address_of(const PublicKey& key);
[[nodiscard]] std::optional<Address> address_of(const SecretKey& key);

/// RFC 6979 nonces, so the same key and digest give the same signature. Precondition: a valid key.
[[nodiscard]] RecoverableSig sign(const SecretKey& key, const Hash& digest);
[[nodiscard]] bool verify(const PublicKey& key, const Hash& digest, const CompactSig& sig);

/// The signer's address or key, also for a high s (the caller decides whether EIP-2 applies).
[[nodiscard]] std::optional<PublicKey> recover_key(const Hash& digest, const RecoverableSig& sig);
[[nodiscard]] std::optional<Address> recover(const Hash& digest, const RecoverableSig& sig);

/// The shared x coordinate of ECDH, unhashed.
[[nodiscard]] std::optional<Hash> ecdh_x(const SecretKey& key, const PublicKey& other);

namespace vrf {
/// RFC 9381 ECVRF with suite ECVRF-SECP256K1-SHA256-TAI (0xFE): gamma 33 | c 16 | s 32.
using Proof = FixedBytes<81, struct VrfProofTag>;

[[nodiscard]] Proof prove(const SecretKey& key, BytesView alpha);
/// beta, the 32 random bytes, if the proof is right for this key and alpha; nullopt otherwise.
[[nodiscard]] std::optional<Hash> verify(const PublicKey& key, BytesView alpha, const Proof& proof);
}  // namespace vrf

}  // namespace trainyard
