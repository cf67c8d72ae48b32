// SPDX-License-Identifier: Apache-2.0
// A chain for one account, whose blocks come when receipts are asked for and whose base fee the
// test sets.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "core/tx.hpp"
#include "node/wallet/eth_client.hpp"

namespace trainyard::node::wallet {

class FakeTxChain final : public TxChain {
public:
    Hash genesis;
    uint64_t number = 100;
    uint64_t base_gwei = 10;
    Uint256 tip_least_wei;  ///< of what there is room for
    uint64_t used = 7;      ///< nonce of the account
    std::map<uint64_t, Tx> pool;
    std::vector<Tx> included;
    std::map<Hash, TxReceipt> receipts;
    std::vector<Tx> taken;               ///< all that the pool ever took
    std::function<void()> before_block;  ///< may be empty
    bool loses_answers = false;  ///< the pool takes, the sender hears of a broken connection
    bool is_pruned = false;
    std::string refusal;  ///< of every transaction; empty: none

    void mine() {
        if (before_block) before_block();
        ++number;
        for (auto tx = pool.find(used); tx != pool.end(); tx = pool.find(used)) {
            if (tx->second.max_fee_per_gas < gwei(base_gwei)) break;
            if (tx->second.max_priority_fee_per_gas < tip_least_wei) break;
            include(tx->second);
            pool.erase(tx);
        }
    }
    void include(const Tx& tx) {
        included.push_back(tx);
        receipts[hash_tx(tx)] = {hash_tx(tx), number, true, 21'000, {}, {}, {}};
        ++used;
    }
    static Uint256 gwei(uint64_t n) { return Uint256(n) * Uint256(1'000'000'000); }

    Answer<uint64_t> chain_id() override { return 747271u; }
    Answer<BlockSummary> block(std::string_view tag) override {
        BlockSummary out{number, {}, {}, 0, gwei(base_gwei)};
        if (tag == "0x0" && is_pruned)
            return unexpected(WalletError{WalletErrorCode::rpc, "pruned history unavailable"});
        if (tag == "0x0") out.number = 0, out.hash = genesis;
        return out;
    }
    Answer<Uint256> balance(const Address&) override { return gwei(1'000'000'000); }
    Answer<uint64_t> nonce(const Address&) override { return used; }
    Answer<uint64_t> next_nonce(const Address&) override {
        uint64_t next = used;
        while (pool.contains(next)) ++next;
        return next;
    }
    Answer<Bytes> call(const CallSpec&) override { return Bytes{}; }
    Answer<uint64_t> estimate_gas(const CallSpec&) override { return 21'000u; }
    Answer<std::optional<TxReceipt>> receipt(const Hash& tx) override {
        mine();
        const auto found = receipts.find(tx);
        if (found == receipts.end()) return std::optional<TxReceipt>{};
        return std::optional(found->second);
    }
    Answer<Hash> send_raw(BytesView signed_tx) override {
        const auto tx = decode_tx(signed_tx);
        const auto refuse = [](std::string why) {
            return unexpected(WalletError{WalletErrorCode::rpc, std::move(why)});
        };
        if (!tx) return refuse("malformed");
        if (!refusal.empty()) return refuse(refusal);
        if (tx->nonce < used) return refuse("nonce too low");
        const auto rival = pool.find(tx->nonce);
        if (rival != pool.end()) {
            if (rival->second == *tx) return refuse("already known");
            const auto is_bumped = [](const Uint256& old, const Uint256& now) {
                return now * Uint256(100) >= old * Uint256(110);
            };
            if (!is_bumped(rival->second.max_fee_per_gas, tx->max_fee_per_gas) ||
                !is_bumped(rival->second.max_priority_fee_per_gas, tx->max_priority_fee_per_gas))
                return refuse("replacement transaction underpriced");
        }
        pool[tx->nonce] = *tx;
        taken.push_back(*tx);
        if (loses_answers)
            return unexpected(WalletError{WalletErrorCode::unreachable, "connection reset"});
        return hash_tx(*tx);
    }
};

}  // namespace trainyard::node::wallet
