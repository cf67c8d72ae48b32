// SPDX-License-Identifier: Apache-2.0
// The transactions that wait for a block: queues by sender and nonce, prices, limits. Pure.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "consensus/params.hpp"
#include "consensus/rules/tx.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/seeded_hasher.hpp"
#include "core/tx.hpp"

namespace trainyard::node::mempool {

/// A checked transaction; never changes.
struct Pooled {
    Tx tx;
    Hash hash;
    Address sender;
    size_t size_bytes = 0;
    Uint256 max_cost_wei;
    uint64_t arrival = 0;              ///< earlier goes first among equals
    std::vector<Address> authorities;  ///< whose accounts it may delegate (EIP-7702)
};
using PooledPtr = std::shared_ptr<const Pooled>;

struct Limits {
    size_t txs_max = 8192;
    size_t bytes_max = 64ull << 20;
    size_t txs_per_sender_max = 64;
    uint64_t nonce_gap_max = 1024;  ///< how far ahead of the account a nonce may be
    size_t tx_size_bytes_max = 128 << 10;
    uint64_t price_bump_percent = 10;  ///< a replacement pays so much more, in both fees
    Uint256 tip_min_wei = Uint256(1);
};

enum class PoolError : uint8_t {
    invalid,  ///< a rule of the ledger; `rule` says which
    already_known,
    underpriced,  ///< tip below the minimum, or the pool is full of better ones
    replacement_underpriced,
    sender_full,
    pool_full,
    oversized,
    gas_above_block_limit,
    insufficient_funds,  ///< with what the sender has queued already
    delegated_full,      ///< others can drain a delegated account: one transaction at a time
    delegated_gap,       ///< and none that has to wait for another
    authority_in_use,    ///< it would delegate an account with several transactions here
};
struct PoolRefusal {
    PoolError error = PoolError::invalid;
    std::optional<consensus::TxInvalid> rule;
    std::string detail;  ///< numbers behind the words
};
/// In the words that Ethereum's tools look for.
[[nodiscard]] std::string to_text(const PoolRefusal& refusal);
/// Whether the same transaction may be taken once the head is another one.
[[nodiscard]] bool may_pass(const PoolRefusal& refusal);

/// A sender's account at the head.
struct HeadAccount : consensus::SenderState {
    bool is_delegated = false;
};

/// What the next block will be like.
struct HeadEnv {
    consensus::ForkAt fork;
    Uint256 base_fee;
    uint64_t gas_limit = 0;
};

/// Invariants: the map and the index hold the same transactions; no two of one sender share a
/// nonce; no nonce is below its account's; a delegated account has at most one. "Pending" are those
/// that follow the account's nonce without a gap, the rest is queued.
class PoolState {
public:
    using Lookup = std::function<HeadAccount(const Address&)>;
    using Check = Result<Done, PoolRefusal>;

    PoolState(const consensus::ChainConfig& config, const Limits& limits);

    struct Added {
        PooledPtr tx;
        std::vector<PooledPtr> now_pending;  ///< this one and those it set free, by nonce
    };
    /// A transaction with its signers recovered.
    struct Signed {
        const Tx& tx;
        Hash hash;
        Address sender;
        std::vector<Address> authorities = {};
    };
    /// `state` is the sender's account at the head.
    [[nodiscard]] Result<Added, PoolRefusal> add(Signed tx, const HeadAccount& state);
    /// The part of it that needs no authorities, which are dear to recover. Changes nothing.
    [[nodiscard]] Check check(const Tx& tx, const Address& sender, const HeadAccount& state) const;

    /// A new head: forgets what was mined or can no longer be paid. `touched` limits the accounts
    /// that are looked up; null means all. Gives what became pending.
    [[nodiscard]] std::vector<PooledPtr> on_head(const HeadEnv& env, const Lookup& lookup,
                                                 const std::vector<Address>* touched);

    /// Pending transactions that can pay `base_fee`, best tip first, each sender's in nonce order.
    /// All of them: what they say to use at most tells nothing of how many fit into a block.
    [[nodiscard]] std::vector<PooledPtr> best(const Uint256& base_fee) const;

    [[nodiscard]] PooledPtr find(const Hash& hash) const;
    /// The nonce after the pending transactions; nullopt: nothing of this sender is here.
    [[nodiscard]] std::optional<uint64_t> pending_nonce(const Address& sender) const;
    [[nodiscard]] size_t size() const { return by_hash_.size(); }
    [[nodiscard]] size_t bytes() const { return bytes_; }
    [[nodiscard]] size_t pending_count() const;
    /// What had to go although it may be mined one day, since this was asked last.
    [[nodiscard]] std::vector<Hash> take_dropped() { return std::exchange(dropped_, {}); }
    /// Visits all transactions by sender and nonce.
    void visit(const std::function<void(const Pooled&, bool pending)>& each) const;

private:
    struct Account {
        uint64_t nonce = 0;
        Uint256 balance;
        std::map<uint64_t, PooledPtr> txs;
        [[nodiscard]] uint64_t next_gap() const;  ///< first nonce that is missing
    };
    [[nodiscard]] Check check_alone(const Tx& tx, const HeadAccount& state) const;
    [[nodiscard]] Account account_now(const Address& who, const HeadAccount& state) const;
    [[nodiscard]] Check check_place(const Tx& tx, const Account& account) const;
    [[nodiscard]] Check check_delegation(const Pooled& tx, const Account& account,
                                         bool is_delegated) const;
    /// Who asks for a place.
    struct Newcomer {
        Address sender;
        Uint256 tip;
        size_t size_bytes = 0;
        bool is_pending = false;
    };
    [[nodiscard]] bool has_room_for(const Newcomer& who) const;
    [[nodiscard]] Result<PooledPtr, PoolRefusal> find_victim(const Newcomer& who) const;
    [[nodiscard]] Check make_room(const Newcomer& who);
    [[nodiscard]] PooledPtr cheapest_queued(const Address& but_of) const;
    void insert(Account& account, const PooledPtr& tx);
    void erase(const PooledPtr& tx);
    void drop(const PooledPtr& tx);
    void refresh(const Address& who, const HeadAccount& state, std::vector<PooledPtr>& now_pending);

    const consensus::ChainConfig config_;
    const Limits limits_;
    HeadEnv env_;
    uint64_t arrivals_ = 0;
    size_t bytes_ = 0;
    std::map<Address, Account> accounts_;
    std::unordered_map<Hash, PooledPtr, SeededHasher> by_hash_;
    std::map<Address, size_t> authorizing_;  ///< transactions that would delegate this account
    std::vector<Hash> dropped_;
    /// All transactions by price, for eviction: tip (capped by the fee cap), then the later first.
    struct Price {
        Uint256 tip;
        uint64_t arrival = 0;
        auto operator<=>(const Price&) const = default;
    };
    std::map<Price, PooledPtr> by_price_;
    [[nodiscard]] static Price price_of(const Pooled& tx);
};

}  // namespace trainyard::node::mempool
