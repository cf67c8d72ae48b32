// SPDX-License-Identifier: Apache-2.0
// Randomness and key derivation through OpenSSL.
#include "node/wallet/secrets.hpp"

#include "core/assert.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <memory>

namespace trainyard::node::wallet {

void fill_random(std::span<uint8_t> out) {
    ASSERT(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

SecretKey random_secret() {
    for (;;) {
        const auto key = random_fixed<SecretKey>();
        if (is_valid_secret(key)) return key;
    }
}

bool ScryptCost::is_acceptable() const {
    const bool power_of_two = n > 1 && (n & (n - 1)) == 0;
    return power_of_two && n <= (1u << 23) && r >= 1 && r <= 64 && p >= 1 && p <= 16 &&
           128 * n * r <= (1ull << 30);
}

std::optional<Bytes> scrypt(std::string_view password, BytesView salt, const ScryptCost& cost,
                            size_t size_bytes) {
    if (!cost.is_acceptable()) return std::nullopt;
    Bytes out(size_bytes);
    const uint64_t memory = (1ull << 30) + (1ull << 26);
    const int ok = EVP_PBE_scrypt(password.data(), password.size(), salt.data(), salt.size(),
                                  cost.n, cost.r, cost.p, memory, out.data(), out.size());
    if (ok != 1) return std::nullopt;
    return out;
}

Bytes pbkdf2_sha256(std::string_view password, BytesView salt, uint32_t rounds, size_t size_bytes) {
    Bytes out(size_bytes);
    ASSERT(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(),
                             static_cast<int>(salt.size()), static_cast<int>(rounds), EVP_sha256(),
                             static_cast<int>(out.size()), out.data()) == 1);
    return out;
}

FixedBytes<64> pbkdf2_sha512(std::string_view password, BytesView salt, uint32_t rounds) {
    FixedBytes<64> out;
    ASSERT(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(),
                             static_cast<int>(salt.size()), static_cast<int>(rounds), EVP_sha512(),
                             64, out.data()) == 1);
    return out;
}

FixedBytes<64> hmac_sha512(BytesView key, BytesView data) {
    FixedBytes<64> out;
    unsigned size = 0;
    ASSERT(HMAC(EVP_sha512(), key.data(), static_cast<int>(key.size()), data.data(), data.size(),
                out.data(), &size) != nullptr);
    return out;
}

Bytes aes128_ctr(BytesView key, const FixedBytes<16>& iv, BytesView data) {
    ASSERT(key.size() == 16);
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
        EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    ASSERT(context != nullptr);
    Bytes out(data.size() + 16);
    int size = 0;
    ASSERT(EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, key.data(), iv.data()) ==
           1);
    ASSERT(EVP_EncryptUpdate(context.get(), out.data(), &size, data.data(),
                             static_cast<int>(data.size())) == 1);
    out.resize(static_cast<size_t>(size));
    return out;
}

}  // namespace trainyard::node::wallet
