// SPDX-License-Identifier: Apache-2.0
// Web3 secret storage, version 3: a private key encrypted under a password.
#pragma once

#include <string>
#include <string_view>

#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/wallet/error.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::wallet {

/// Reads scrypt and PBKDF2 keystores with AES-128-CTR.
///
/// Errors: malformed (says which field), unsupported (another version, cipher or derivation, or a
/// cost above our limits), wrong_password.
[[nodiscard]] Result<SecretKey, WalletError> open_keystore(std::string_view json,
                                                           std::string_view password);

/// Writes a scrypt keystore with fresh salt, IV and UUID. Precondition: a valid key and cost.
[[nodiscard]] std::string make_keystore(const SecretKey& key, std::string_view password,
                                        const ScryptCost& cost);

}  // namespace trainyard::node::wallet
