// SPDX-License-Identifier: Apache-2.0
// Randomness for keys and salts, and the key derivations of keystores and mnemonics.
#pragma once

#include <optional>
#include <string_view>

#include "core/bytes.hpp"
#include "core/keys.hpp"

namespace trainyard::node::wallet {

/// Fills with bytes of the operating system's generator; stops the program if there are none.
void fill_random(std::span<uint8_t> out);
template <class T>
[[nodiscard]] T random_fixed() {
    T out;
    fill_random(out.bytes);
    return out;
}
[[nodiscard]] SecretKey random_secret();

struct ScryptCost {
    uint64_t n = 1u << 17;  ///< a power of two
    uint64_t r = 8;
    uint64_t p = 1;
    /// What a keystore of someone else may ask of us: at most 1 GiB and 16 lanes.
    [[nodiscard]] bool is_acceptable() const;
};

/// nullopt when the cost is refused by the library.
[[nodiscard]] std::optional<Bytes> scrypt(std::string_view password, BytesView salt,
                                          const ScryptCost& cost, size_t size_bytes);
[[nodiscard]] Bytes pbkdf2_sha256(std::string_view password, BytesView salt, uint32_t rounds,
                                  size_t size_bytes);
[[nodiscard]] FixedBytes<64> pbkdf2_sha512(std::string_view password, BytesView salt,
                                           uint32_t rounds);
[[nodiscard]] FixedBytes<64> hmac_sha512(BytesView key, BytesView data);
/// AES-128 in counter mode; the same call encrypts and decrypts. Precondition: a key of 16 bytes.
[[nodiscard]] Bytes aes128_ctr(BytesView key, const FixedBytes<16>& iv, BytesView data);

}  // namespace trainyard::node::wallet
