// SPDX-License-Identifier: Apache-2.0
// Sends transactions of one account: nonces, EIP-1559 fees, waiting, and reasons of failures.
#pragma once

#include <functional>
#include <string>

#include "core/keys.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/fees.hpp"

namespace trainyard::node::wallet {

struct SendRequest {
    std::optional<Address> to;  ///< absent: create a contract
    Uint256 value;
    Bytes data;
    uint64_t gas_limit = 0;  ///< zero: estimated, with room on top
};

struct SenderOptions {
    /// Where the transaction on its way is kept, to be followed after a restart; empty: nowhere.
    std::string folder;
    Uint256 fee_max_wei = Uint256(kFeeMaxGwei) * Uint256(kWeiInGwei);  ///< for one gas
    uint64_t patience_blocks = 5;  ///< without it, until fees are raised; four times where it pays
    uint32_t poll_ms = 60;
    std::function<void(const std::string& text)> say;  ///< may be empty
};

struct SenderStatus {
    uint64_t raised = 0;    ///< times that fees were raised
    bool is_stuck = false;  ///< fees are as high as allowed, and the chain asks for more
};

/// Thread-safe: one transaction of the account is in flight at a time. One that does not get into a
/// block is signed again under the same nonce with higher fees, so that the next ones need not wait
/// behind it for ever; what was sent is followed until its nonce is used, by later calls too and
/// after a restart, and nothing else is sent before.
class TxSender {
public:
    TxSender(TxChain& chain, const SecretKey& key, SenderOptions options = {});
    ~TxSender();
    TxSender(const TxSender&) = delete;
    TxSender& operator=(const TxSender&) = delete;

    [[nodiscard]] Address address() const;
    /// Sends and waits until it stands in a block. A simulation comes first, so a refusal costs
    /// nothing. A request that is on its way already is not sent twice. Errors: reverted (before or
    /// in the block), rpc, too_dear (nothing was sent), too_late (another machine used the nonce),
    /// timeout (it, or one before it, is still not in a block).
    [[nodiscard]] Answer<TxReceipt> send(const SendRequest& request, uint32_t timeout_ms = 60'000);
    [[nodiscard]] SenderStatus status() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::wallet
