// SPDX-License-Identifier: Apache-2.0
// A validator's four keys in a folder of keystores with a password file.
#pragma once

#include <string>

#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/wallet/error.hpp"

namespace trainyard::node::wallet {

struct ValidatorKeys {
    SecretKey account;    ///< operator account, pays for audit transactions
    SecretKey consensus;  ///< signs votes
    SecretKey vrf;        ///< proves the leader's randomness
    SecretKey p2p;        ///< the identity on the wire
    bool operator==(const ValidatorKeys&) const = default;
};

/// Makes four random keys and writes account.json, consensus.json, vrf.json, p2p.json and
/// `password` (all readable by the owner only). `light`: a cheap scrypt cost, for test networks.
[[nodiscard]] Result<ValidatorKeys, WalletError> create_validator_keys(const std::string& folder,
                                                                       bool light);
/// Which of the four are wanted; the others stay zero and need not be there.
enum class KeyParts : uint8_t {
    all,
    node,      ///< account and p2p: the others are with a signer process
    signer,    ///< consensus, vrf
    identity,  ///< p2p
};
[[nodiscard]] Result<ValidatorKeys, WalletError> load_validator_keys(
    const std::string& folder, KeyParts parts = KeyParts::all);

}  // namespace trainyard::node::wallet
