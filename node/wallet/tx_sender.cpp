// SPDX-License-Identifier: Apache-2.0
// One transaction after the other: estimate, sign, send, follow until its nonce is used.
#include "node/wallet/tx_sender.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "node/wallet/coins.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/outbox.hpp"

namespace trainyard::node::wallet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kGasMargin = 3'000'000;
constexpr uint64_t kGasOfTransfer = 21'000;
constexpr uint64_t kPatiencesWhenFull = 4;
constexpr int kPollsPerCare = 4;  ///< nonce and head are asked for less often than the receipt

bool says(const WalletError& error, std::string_view words) {
    return error.text.find(words) != std::string::npos;
}

/// A node that answered so has not taken it; otherwise nobody knows.
bool is_refusal(const WalletError& error) {
    return error.code == WalletErrorCode::rpc || error.code == WalletErrorCode::reverted;
}

std::string gwei(const Uint256& wei) {
    return coins(wei * Uint256(kWeiInGwei)) + " Gwei";
}

std::string name_of(const Tx& tx) {
    return "transaction " + to_hex0x(hash_tx(tx).bytes);
}

bool is_for(const Tx& tx, const SendRequest& request) {
    return tx.to == request.to && tx.value == request.value && tx.data == request.data;
}

std::string outbox_path(const SenderOptions& options, const Address& who) {
    return options.folder.empty() ? "" : options.folder + "/outbox-" + to_hex0x(who.bytes);
}

}  // namespace

struct TxSender::Impl {
    Impl(TxChain& c, const SecretKey& k, SenderOptions o)
        : chain(c),
          key(k),
          address(address_of(k).value_or(Address{})),
          options(std::move(o)),
          outbox(outbox_path(options, address)) {}

    TxChain& chain;
    const SecretKey key;
    const Address address;
    const SenderOptions options;
    std::mutex mutex;  // guards all below
    std::optional<uint64_t> chain_id;
    Outbox outbox;
    uint64_t signed_at = 0;    ///< block of the last version
    uint64_t waits_since = 0;  ///< block when it was last sent
    int lost_looks = 0;        ///< at a used nonce without a receipt, one after the other

    std::atomic<uint64_t> raised{0};
    std::atomic<bool> is_stuck{false};

    void say(const std::string& text) const {
        if (options.say) options.say(text);
    }

    void say_stuck(const std::string& text) {
        if (!is_stuck.exchange(true)) say(text);
    }

    /// A node says that money is missing, but not where and how much.
    WalletError with_balance(WalletError error, const Uint256& value) {
        if (!says(error, "insufficient funds")) return error;
        const auto balance = chain.balance(address);
        if (balance)
            error.text += ": " + to_hex0x(address.bytes) + " has " + in_coins(*balance) +
                          " and is to send " + coins(value) + " and fees";
        return error;
    }

    /// Once: the chain, and what an earlier process left.
    Answer<Done> open() {
        if (chain_id) return Done{};
        const auto id = chain.chain_id();
        if (!id) return unexpected(id.error());
        const auto head = chain.block("latest");
        if (!head) return unexpected(head.error());
        const auto genesis = chain.block("0x0");
        const bool is_pruned =
            !genesis && (genesis.error().code == WalletErrorCode::malformed ||  // null
                         genesis.error().code == WalletErrorCode::rpc);
        if (!genesis && !is_pruned) return unexpected(genesis.error());
        if (!options.folder.empty())
            if (auto made = make_folder(options.folder); !made) return unexpected(made.error());
        outbox.load(genesis ? genesis->hash : Hash{}, address);
        if (!outbox.empty()) {
            say("follows " + name_of(outbox.newest()) + ", which was on its way at the last end");
            (void)chain.send_raw(encode_tx(outbox.newest()));
            signed_at = waits_since = head->number;
        }
        chain_id = *id;
        return Done{};
    }

    Answer<Tx> prepare(const SendRequest& request) {
        Tx tx;
        tx.type = TxType::dynamic_fee;
        tx.chain_id = *chain_id;
        tx.to = request.to;
        tx.value = request.value;
        tx.data = request.data;
        tx.gas_limit = request.gas_limit;
        if (tx.gas_limit == 0) {
            const auto gas = chain.estimate_gas({address, request.to, request.value, request.data});
            if (!gas) return unexpected(with_balance(gas.error(), request.value));
            // Others act on the same contract in the same block, so that ours may be the call that
            // ends a phase and does more than the one that was estimated. Unused gas costs nothing.
            tx.gas_limit = std::min<uint64_t>(*gas + *gas / 4 + kGasMargin, 1u << 24);  // EIP-7825
        }
        const auto head = chain.block("latest");
        if (!head) return unexpected(head.error());
        const auto fees = first_fees(head->base_fee_wei, options.fee_max_wei);
        if (!fees) {
            const WalletError dear{WalletErrorCode::too_dear,
                                   "gas costs " + gwei(head->base_fee_wei) + ", the bound is " +
                                       gwei(options.fee_max_wei) + ": nothing is sent"};
            say_stuck(dear.text);
            return unexpected(dear);
        }
        is_stuck = false;
        tx.max_priority_fee_per_gas = fees->tip_max;
        tx.max_fee_per_gas = fees->fee_max;
        signed_at = waits_since = head->number;
        return tx;
    }

    /// Notes the version, then sends it. Error: it is nowhere, and not noted any more.
    Answer<Done> post(Tx& tx) {
        sign_tx(tx, key);
        if (auto kept = outbox.add(tx); !kept) return unexpected(kept.error());
        const auto sent = chain.send_raw(encode_tx(tx));
        if (sent || !is_refusal(sent.error()) || says(sent.error(), "already known")) return Done{};
        outbox.drop_newest();
        return unexpected(sent.error());
    }

    /// A nonce that someone else used meanwhile is read again.
    Answer<Done> submit(Tx& tx) {
        for (int attempt = 0;; ++attempt) {
            const auto nonce = chain.next_nonce(address);
            if (!nonce) return unexpected(nonce.error());
            tx.nonce = *nonce;
            const auto posted = post(tx);
            if (posted) return posted;
            const bool raced = says(posted.error(), "nonce too low") ||
                               says(posted.error(), "replacement transaction underpriced");
            if (!raced || attempt == 3) return posted;
            pause();
        }
    }

    void pause() const { std::this_thread::sleep_for(std::chrono::milliseconds(options.poll_ms)); }

    /// The receipt of whichever version came into a block; nullopt: none has.
    Answer<std::optional<TxReceipt>> find_receipt() {
        const auto& all = outbox.versions();
        for (auto tx = all.rbegin(); tx != all.rend(); ++tx) {
            auto receipt = chain.receipt(hash_tx(*tx));
            if (!receipt || receipt->has_value()) return receipt;
        }
        return std::optional<TxReceipt>{};
    }

    /// Until a version of what is on its way is in a block, or none can be any more.
    Answer<TxReceipt> follow(Clock::time_point deadline) {
        for (int polls = 1;; ++polls) {
            const bool cares = polls % kPollsPerCare == 0;
            // Before the receipts: a nonce that is used now was used by one that has its receipt.
            const auto used = cares ? chain.nonce(address)
                                    : unexpected(WalletError{WalletErrorCode::not_found, ""});
            auto receipt = find_receipt();
            if (receipt && receipt->has_value()) {
                forget();
                return std::move(**receipt);
            }
            const bool is_final = !receipt && (receipt.error().code == WalletErrorCode::malformed ||
                                               receipt.error().code == WalletErrorCode::closed);
            if (is_final) return unexpected(receipt.error());
            if (receipt && used && is_lost(*used)) return unexpected(lost());
            if (receipt && used) care(*used);
            if (Clock::now() >= deadline) break;
            pause();
        }
        return unexpected(
            WalletError{WalletErrorCode::timeout,
                        name_of(outbox.newest()) + " is not in a block yet; it may still come"});
    }

    void forget() {
        outbox.clear();
        lost_looks = 0;
        is_stuck = false;
    }

    bool is_lost(uint64_t used) {
        lost_looks = used > outbox.newest().nonce ? lost_looks + 1 : 0;
        return lost_looks >= 2;
    }

    WalletError lost() {
        const WalletError out{WalletErrorCode::too_late,
                              "another transaction of this account took the place of " +
                                  name_of(outbox.newest()) + ": is its key used elsewhere too?"};
        forget();
        return out;
    }

    /// Raises the fees of one that waits for too long, if it is its turn: soon where gas costs more
    /// than it offers, late where blocks are full, as a tip is paid and a fee cap is not.
    void care(uint64_t used) {
        const auto head = chain.block("latest");
        if (!head || head->number < waits_since + options.patience_blocks) return;
        waits_since = head->number;
        if (used < outbox.newest().nonce) return close_gap(used, *head);
        Tx next = outbox.newest();
        const bool is_outpriced =
            head->base_fee_wei + next.max_priority_fee_per_gas > next.max_fee_per_gas;
        const uint64_t late = kPatiencesWhenFull * options.patience_blocks;
        if (!is_outpriced && head->number < signed_at + late)
            return void(chain.send_raw(encode_tx(next)));  // pools forget
        const auto fees = raised_fees({next.max_priority_fee_per_gas, next.max_fee_per_gas},
                                      head->base_fee_wei, options.fee_max_wei);
        if (!fees) {
            say_stuck(name_of(next) + " waits: it offers " + gwei(next.max_fee_per_gas) +
                      " for a gas, which is all that the bound allows, and gas costs " +
                      gwei(head->base_fee_wei) + "; raise the bound, or wait");
            return void(chain.send_raw(encode_tx(next)));
        }
        next.max_priority_fee_per_gas = fees->tip_max;
        next.max_fee_per_gas = fees->fee_max;
        const auto posted = post(next);
        if (!posted) {
            say("the fees of " + name_of(outbox.newest()) +
                " cannot be raised: " + posted.error().text);
            return void(chain.send_raw(encode_tx(outbox.newest())));
        }
        is_stuck = false;
        ++raised;
        say(name_of(next) + " offers up to " + gwei(next.max_fee_per_gas) +
            " for a gas now, in place of one that waited for " +
            std::to_string(head->number - std::exchange(signed_at, head->number)) + " blocks");
    }

    /// One before ours, of which this process knows nothing, was dropped by the pool, and would be
    /// waited for in vain: a transfer of nothing to ourselves takes its place.
    void close_gap(uint64_t used, const BlockSummary& head) {
        const auto next = chain.next_nonce(address);
        const auto fees = first_fees(head.base_fee_wei, options.fee_max_wei);
        if (!next || *next != used || !fees) return;
        Tx filler;
        filler.type = TxType::dynamic_fee;
        filler.chain_id = *chain_id;
        filler.nonce = used;
        filler.to = address;
        filler.gas_limit = kGasOfTransfer;
        filler.max_priority_fee_per_gas = fees->tip_max;
        filler.max_fee_per_gas = fees->fee_max;
        sign_tx(filler, key);
        if (!chain.send_raw(encode_tx(filler))) return;
        say("nonce " + std::to_string(used) + " was never used: " + name_of(filler) + " fills it");
        (void)chain.send_raw(encode_tx(outbox.newest()));
    }

    Answer<TxReceipt> explain(const SendRequest& request, TxReceipt receipt) {
        if (receipt.success) return receipt;
        const auto again = chain.call({address, request.to, request.value, request.data});
        const std::string why = again ? "it would succeed now" : again.error().text;
        return unexpected(
            WalletError{WalletErrorCode::reverted, "transaction " + to_hex0x(receipt.tx.bytes) +
                                                       " failed in block " +
                                                       std::to_string(receipt.block) + ": " + why});
    }

    Answer<TxReceipt> follow_for(const SendRequest& request, Clock::time_point deadline) {
        auto receipt = follow(deadline);
        if (!receipt) return receipt;
        return explain(request, std::move(*receipt));
    }
};

TxSender::TxSender(TxChain& chain, const SecretKey& key, SenderOptions options)
    : impl_(new Impl(chain, key, std::move(options))) {}
TxSender::~TxSender() = default;

Address TxSender::address() const {
    return impl_->address;
}

SenderStatus TxSender::status() const {
    return {impl_->raised, impl_->is_stuck};
}

Answer<TxReceipt> TxSender::send(const SendRequest& request, uint32_t timeout_ms) {
    const std::lock_guard lock(impl_->mutex);
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
    if (auto opened = impl_->open(); !opened) return unexpected(opened.error());
    if (!impl_->outbox.empty()) {
        if (is_for(impl_->outbox.newest(), request)) return impl_->follow_for(request, deadline);
        const auto before = impl_->follow(deadline);
        if (!impl_->outbox.empty()) return unexpected(before.error());
    }
    auto tx = impl_->prepare(request);
    if (!tx) return unexpected(tx.error());
    if (auto sent = impl_->submit(*tx); !sent) return unexpected(sent.error());
    return impl_->follow_for(request, deadline);
}

}  // namespace trainyard::node::wallet
