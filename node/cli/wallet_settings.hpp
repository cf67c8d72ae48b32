// SPDX-License-Identifier: Apache-2.0
// A running chain as wallets and client libraries are told of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace trainyard::node::cli {

struct ChainForWallets {
    uint64_t chain_id = 0;
    std::string name, symbol;  ///< of the chain; of its coin, which has 18 decimals
    std::vector<std::string> urls;
    bool has_multicall = false;
};

/// What a wallet would refuse, in words: an empty or long name, a symbol that is not of 2 to 6
/// letters or digits, a URL that is not http(s).
[[nodiscard]] Result<Done, std::string> check_for_wallets(const ChainForWallets& chain);
/// The argument of `ethereum.request` that adds the chain to a wallet. Source: EIP-3085.
[[nodiscard]] std::string add_chain_request(const ChainForWallets& chain);
/// A module for viem that exports the chain as `trainyard`.
[[nodiscard]] std::string viem_module(const ChainForWallets& chain);
/// Wallets take URLs with TLS, and this machine's without.
[[nodiscard]] bool is_for_wallets(const std::string& url);

}  // namespace trainyard::node::cli
