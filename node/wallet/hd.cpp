// SPDX-License-Identifier: Apache-2.0
// BIP-39 and BIP-32 over secp256k1.
#include "node/wallet/hd.hpp"

#include "core/uint256.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::wallet {
namespace {

/// The order of the group of secp256k1 (SEC 2, section 2.4.1).
const Uint256 kOrder{0xffffffffffffffffull, 0xfffffffffffffffeull, 0xbaaedce6af48a03bull,
                     0xbfd25e8cd0364141ull};

struct ExtendedKey {
    SecretKey key;
    Hash chain;
};

std::optional<ExtendedKey> split(const FixedBytes<64>& digest, const Uint256& add) {
    const Uint256 left = from_be(BytesView(digest.bytes).first(32));
    if (left >= kOrder) return std::nullopt;
    const Uint256 sum = addmod(left, add, kOrder);
    if (sum.is_zero()) return std::nullopt;
    ExtendedKey out;
    out.key.bytes = to_hash(sum).bytes;
    std::copy(digest.begin() + 32, digest.end(), out.chain.bytes.begin());
    return out;
}

std::optional<ExtendedKey> child(const ExtendedKey& parent, uint32_t index) {
    Bytes data;
    if (index & kHardened) {
        data.push_back(0);
        append(data, parent.key.bytes);
    } else {
        const auto point = public_key(parent.key);
        if (!point) return std::nullopt;
        append(data, point->bytes);
    }
    for (int shift = 24; shift >= 0; shift -= 8)
        data.push_back(static_cast<uint8_t>(index >> shift));
    return split(hmac_sha512(parent.chain.bytes, data), from_be(parent.key.bytes));
}

}  // namespace

FixedBytes<64> mnemonic_seed(std::string_view phrase, std::string_view passphrase) {
    const std::string salt = "mnemonic" + std::string(passphrase);
    return pbkdf2_sha512(phrase, as_bytes(salt), 2048);
}

std::optional<SecretKey> derive_key(BytesView seed, const std::vector<uint32_t>& path) {
    auto key = split(hmac_sha512(as_bytes("Bitcoin seed"), seed), Uint256{});
    for (const uint32_t index : path) {
        if (!key) return std::nullopt;
        key = child(*key, index);
    }
    if (!key) return std::nullopt;
    return key->key;
}

std::optional<SecretKey> account_key(std::string_view phrase, uint32_t index) {
    return derive_key(mnemonic_seed(phrase, "").bytes,
                      {44 | kHardened, 60 | kHardened, 0 | kHardened, 0, index});
}

}  // namespace trainyard::node::wallet
