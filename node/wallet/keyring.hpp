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
[[nodiscard]] Result<ValidatorKeys, WalletError> load_validator_keys(const std::string& folder);

}  // namespace trainyard::node::wallet
