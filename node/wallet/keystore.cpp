// SPDX-License-Identifier: Apache-2.0
// The JSON of version-3 keystores and its checks.
#include "node/wallet/keystore.hpp"

#include "core/hash.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::wallet {
namespace {

using boost::json::value;

WalletError bad(std::string field) {
    return {WalletErrorCode::malformed,
            "keystore: '" + field + "' is missing or not of the right form"};
}

WalletError unsupported(std::string what) {
    return {WalletErrorCode::unsupported, "keystore: " + what};
}

Result<Bytes, WalletError> derive_scrypt(const value& params, BytesView salt,
                                         std::string_view password) {
    const auto n = number_member(params, "n"), r = number_member(params, "r"),
               p = number_member(params, "p");
    if (!n || !r || !p) return unexpected(bad("kdfparams.n, r, p"));
    const ScryptCost cost{*n, *r, *p};
    const auto key = scrypt(password, salt, cost, 32);
    if (!key)
        return unexpected(unsupported(
            "scrypt cost out of bounds (n a power of two, 128*n*r at most 1 GiB, p at most 16)"));
    return *key;
}

Result<Bytes, WalletError> derive_pbkdf2(const value& params, BytesView salt,
                                         std::string_view password) {
    const auto rounds = number_member(params, "c");
    const auto prf = text_member(params, "prf");
    if (!rounds || !prf) return unexpected(bad("kdfparams.c, prf"));
    if (*prf != "hmac-sha256") return unexpected(unsupported("prf '" + *prf + "' is not known"));
    if (*rounds == 0 || *rounds > 10'000'000)
        return unexpected(unsupported("pbkdf2 rounds must be 1 to 10000000"));
    return pbkdf2_sha256(password, salt, static_cast<uint32_t>(*rounds), 32);
}

Result<Bytes, WalletError> derive(const value& crypto, std::string_view password) {
    const auto kdf = text_member(crypto, "kdf");
    const auto* params = member(crypto, "kdfparams");
    if (!kdf || params == nullptr) return unexpected(bad("crypto.kdf, kdfparams"));
    const auto salt = hex_member(*params, "salt");
    const auto size = number_member(*params, "dklen");
    if (!salt || salt->size() > 1024) return unexpected(bad("kdfparams.salt"));
    if (!size || *size != 32) return unexpected(unsupported("dklen must be 32"));
    if (*kdf == "scrypt") return derive_scrypt(*params, *salt, password);
    if (*kdf == "pbkdf2") return derive_pbkdf2(*params, *salt, password);
    return unexpected(unsupported("key derivation '" + *kdf + "' is not known"));
}

Hash mac_of(BytesView derived, BytesView ciphertext) {
    Bytes data(derived.begin() + 16, derived.begin() + 32);
    append(data, ciphertext);
    return keccak256(data);
}

struct Sealed {
    const value* crypto = nullptr;
    Bytes ciphertext;
    FixedBytes<16> iv;
    Hash mac;
};

Result<Sealed, WalletError> read_sealed(const value& root) {
    if (number_member(root, "version") != 3) return unexpected(unsupported("version is not 3"));
    const auto* crypto = member(root, "crypto");
    if (crypto == nullptr) crypto = member(root, "Crypto");  // geth's early files
    if (crypto == nullptr) return unexpected(bad("crypto"));
    const auto cipher = text_member(*crypto, "cipher");
    if (!cipher) return unexpected(bad("crypto.cipher"));
    if (*cipher != "aes-128-ctr")
        return unexpected(unsupported("cipher '" + *cipher + "' is not known"));
    const auto ciphertext = hex_member(*crypto, "ciphertext");
    if (!ciphertext || ciphertext->size() != 32) return unexpected(bad("crypto.ciphertext"));
    const auto* cipher_params = member(*crypto, "cipherparams");
    const auto iv_text = cipher_params ? hex_member(*cipher_params, "iv") : std::nullopt;
    const auto iv = iv_text ? fixed_from<FixedBytes<16>>(*iv_text) : std::nullopt;
    if (!iv) return unexpected(bad("crypto.cipherparams.iv"));
    const auto mac_text = hex_member(*crypto, "mac");
    const auto mac = mac_text ? fixed_from<Hash>(*mac_text) : std::nullopt;
    if (!mac) return unexpected(bad("crypto.mac"));
    return Sealed{crypto, *ciphertext, *iv, *mac};
}

std::string make_uuid() {
    auto id = random_fixed<FixedBytes<16>>();
    id[6] = static_cast<uint8_t>((id[6] & 0x0f) | 0x40);  // RFC 4122: version 4, variant 1
    id[8] = static_cast<uint8_t>((id[8] & 0x3f) | 0x80);
    std::string text = to_hex(id.bytes);
    for (const size_t at : {20u, 16u, 12u, 8u}) text.insert(at, 1, '-');
    return text;
}

}  // namespace

Result<SecretKey, WalletError> open_keystore(std::string_view json, std::string_view password) {
    if (json.size() > 65536)
        return unexpected(WalletError{WalletErrorCode::malformed, "keystore: more than 64 KiB"});
    const auto root = parse_json(json);
    if (!root || !root->is_object())
        return unexpected(WalletError{WalletErrorCode::malformed, "keystore: not a JSON object"});
    const auto sealed = read_sealed(*root);
    if (!sealed) return unexpected(sealed.error());
    const auto derived = derive(*sealed->crypto, password);
    if (!derived) return unexpected(derived.error());
    if (mac_of(*derived, sealed->ciphertext) != sealed->mac)
        return unexpected(WalletError{WalletErrorCode::wrong_password,
                                      "keystore: wrong password (the check value differs)"});
    const auto plain = aes128_ctr(BytesView(*derived).first(16), sealed->iv, sealed->ciphertext);
    const auto key = fixed_from<SecretKey>(plain);
    if (!key || !is_valid_secret(*key))
        return unexpected(WalletError{WalletErrorCode::malformed,
                                      "keystore: what it holds is not a secp256k1 key"});
    const auto named = hex_member(*root, "address");
    const auto address = address_of(*key);
    if (named && address && !named->empty() && *named != Bytes(address->begin(), address->end()))
        return unexpected(bad("address"));
    return *key;
}

std::string make_keystore(const SecretKey& key, std::string_view password, const ScryptCost& cost) {
    const auto salt = random_fixed<FixedBytes<32>>();
    const auto iv = random_fixed<FixedBytes<16>>();
    const auto derived = scrypt(password, salt.bytes, cost, 32);
    ASSERT(derived.has_value());
    const auto ciphertext = aes128_ctr(BytesView(*derived).first(16), iv, key.bytes);
    const auto address = address_of(key);
    ASSERT(address.has_value());
    const value root = {{"address", to_hex(address->bytes)},
                        {"crypto",
                         {{"cipher", "aes-128-ctr"},
                          {"cipherparams", {{"iv", to_hex(iv.bytes)}}},
                          {"ciphertext", to_hex(ciphertext)},
                          {"kdf", "scrypt"},
                          {"kdfparams",
                           {{"dklen", 32},
                            {"n", cost.n},
                            {"p", cost.p},
                            {"r", cost.r},
                            {"salt", to_hex(salt.bytes)}}},
                          {"mac", to_hex(mac_of(*derived, ciphertext).bytes)}}},
                        {"id", make_uuid()},
                        {"version", 3}};
    return boost::json::serialize(root) + "\n";
}

}  // namespace trainyard::node::wallet
