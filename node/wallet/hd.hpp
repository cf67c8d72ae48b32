// SPDX-License-Identifier: Apache-2.0
// Keys from a mnemonic phrase: BIP-39 seeds and BIP-32 derivation along BIP-44 paths.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/keys.hpp"

namespace trainyard::node::wallet {

/// The usual phrase of development chains; its keys are public, so they hold nothing of worth.
inline constexpr std::string_view kDevMnemonic =
    "test test test test test test test test test test test junk";
inline constexpr uint32_t kHardened = 0x80000000u;

/// The 64-byte seed of a phrase of ASCII words (BIP-39, "From mnemonic to seed"). The words are not
/// checked against a list: any phrase has a seed.
[[nodiscard]] FixedBytes<64> mnemonic_seed(std::string_view phrase, std::string_view passphrase);

/// The private key at `path` from the master key of `seed` (BIP-32); nullopt for the one in 2^127
/// paths that has no key.
[[nodiscard]] std::optional<SecretKey> derive_key(BytesView seed,
                                                  const std::vector<uint32_t>& path);

/// m/44'/60'/0'/0/index, the path that wallets use for Ethereum accounts.
[[nodiscard]] std::optional<SecretKey> account_key(std::string_view phrase, uint32_t index);

}  // namespace trainyard::node::wallet
