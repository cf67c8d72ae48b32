// SPDX-License-Identifier: Apache-2.0
// Sends transactions of one account: nonces, EIP-1559 fees, waiting, and reasons of failures.
#pragma once

#include <functional>

#include "core/keys.hpp"
#include "node/wallet/eth_client.hpp"

namespace trainyard::node::wallet {

struct SendRequest {
    std::optional<Address> to;  ///< absent: create a contract
    Uint256 value;
    Bytes data;
    uint64_t gas_limit = 0;  ///< zero: estimated, with a tenth on top
};

/// Thread-safe: one transaction of the account is in flight at a time.
class TxSender {
public:
    TxSender(EthClient& client, const SecretKey& key);
    ~TxSender();
    TxSender(const TxSender&) = delete;
    TxSender& operator=(const TxSender&) = delete;

    [[nodiscard]] Address address() const;
    /// Sends and waits until it stands in a block. A simulation comes first, so a refusal costs
    /// nothing. Errors: reverted (before or in the block), rpc, timeout (still not in a block).
    [[nodiscard]] Answer<TxReceipt> send(const SendRequest& request, uint32_t timeout_ms = 60'000);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::wallet
