// SPDX-License-Identifier: Apache-2.0
// One transaction after the other: estimate, sign, send, poll for the receipt.
#include "node/wallet/tx_sender.hpp"

#include <chrono>
#include <mutex>
#include <thread>

#include "core/tx.hpp"
#include "node/wallet/coins.hpp"

namespace trainyard::node::wallet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollEvery = std::chrono::milliseconds(60);
constexpr uint64_t kGweiInWei = 1'000'000'000;
constexpr uint64_t kGasMargin = 3'000'000;

bool says(const WalletError& error, std::string_view words) {
    return error.text.find(words) != std::string::npos;
}

}  // namespace

struct TxSender::Impl {
    EthClient& client;
    SecretKey key;
    Address address;
    std::mutex mutex;
    std::optional<uint64_t> chain_id;

    /// A node says that money is missing, but not where and how much.
    WalletError with_balance(WalletError error, const Uint256& value) {
        if (!says(error, "insufficient funds")) return error;
        const auto balance = client.balance(address);
        if (balance)
            error.text += ": " + to_hex0x(address.bytes) + " has " + coins(*balance) +
                          " coins and is to send " + coins(value) + " and fees";
        return error;
    }

    Answer<Tx> prepare(const SendRequest& request) {
        if (!chain_id) {
            const auto id = client.chain_id();
            if (!id) return unexpected(id.error());
            chain_id = *id;
        }
        Tx tx;
        tx.type = TxType::dynamic_fee;
        tx.chain_id = *chain_id;
        tx.to = request.to;
        tx.value = request.value;
        tx.data = request.data;
        tx.gas_limit = request.gas_limit;
        if (tx.gas_limit == 0) {
            const auto gas =
                client.estimate_gas({address, request.to, request.value, request.data});
            if (!gas) return unexpected(with_balance(gas.error(), request.value));
            // Others act on the same contract in the same block, so that ours may be the call that
            // ends a phase and does more than the one that was estimated. Unused gas costs nothing.
            tx.gas_limit = std::min<uint64_t>(*gas + *gas / 4 + kGasMargin, 1u << 24);  // EIP-7825
        }
        const auto head = client.block("latest");
        if (!head) return unexpected(head.error());
        tx.max_priority_fee_per_gas = kGweiInWei;
        tx.max_fee_per_gas = head->base_fee_wei + head->base_fee_wei + Uint256(kGweiInWei);
        return tx;
    }

    /// Signs and sends; a nonce that someone else used meanwhile is read again.
    Answer<Hash> submit(Tx& tx) {
        for (int attempt = 0;; ++attempt) {
            const auto nonce = client.next_nonce(address);
            if (!nonce) return unexpected(nonce.error());
            tx.nonce = *nonce;
            sign_tx(tx, key);
            auto sent = client.send_raw(encode_tx(tx));
            if (sent) return sent;
            if (says(sent.error(), "already known")) return hash_tx(tx);
            const bool raced = says(sent.error(), "nonce too low") ||
                               says(sent.error(), "replacement transaction underpriced");
            if (!raced || attempt == 3) return sent;
            std::this_thread::sleep_for(kPollEvery);
        }
    }

    Answer<TxReceipt> wait(const Tx& tx, const Hash& hash, uint32_t timeout_ms) {
        const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
        while (Clock::now() < deadline) {
            auto receipt = client.receipt(hash);
            if (receipt && receipt->has_value()) return explain(tx, std::move(**receipt));
            const bool is_final = !receipt && (receipt.error().code == WalletErrorCode::malformed ||
                                               receipt.error().code == WalletErrorCode::closed);
            if (is_final) return unexpected(receipt.error());
            std::this_thread::sleep_for(kPollEvery);
        }
        return unexpected(WalletError{
            WalletErrorCode::timeout,
            "transaction " + to_hex0x(hash.bytes) + " is not in a block yet; it may still come"});
    }

    Answer<TxReceipt> explain(const Tx& tx, TxReceipt receipt) {
        if (receipt.success) return receipt;
        const auto again = client.call({address, tx.to, tx.value, tx.data});
        const std::string why = again ? "it would succeed now" : again.error().text;
        return unexpected(
            WalletError{WalletErrorCode::reverted, "transaction " + to_hex0x(receipt.tx.bytes) +
                                                       " failed in block " +
                                                       std::to_string(receipt.block) + ": " + why});
    }
};

TxSender::TxSender(EthClient& client, const SecretKey& key)
    : impl_(new Impl{client, key, address_of(key).value_or(Address{}), {}, {}}) {}
TxSender::~TxSender() = default;

Address TxSender::address() const {
    return impl_->address;
}

Answer<TxReceipt> TxSender::send(const SendRequest& request, uint32_t timeout_ms) {
    const std::lock_guard lock(impl_->mutex);
    auto tx = impl_->prepare(request);
    if (!tx) return unexpected(tx.error());
    const auto hash = impl_->submit(*tx);
    if (!hash) return unexpected(hash.error());
    return impl_->wait(*tx, *hash, timeout_ms);
}

}  // namespace trainyard::node::wallet
