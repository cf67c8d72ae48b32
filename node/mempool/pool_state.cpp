// SPDX-License-Identifier: Apache-2.0
// The rules of the transaction pool.
#include "node/mempool/pool_state.hpp"

#include <algorithm>
#include <queue>

#include "core/assert.hpp"

namespace trainyard::node::mempool {

using consensus::TxInvalid;

namespace {

Unexpected<PoolRefusal> refuse(PoolError error, std::string detail = {}) {
    return Unexpected(PoolRefusal{error, std::nullopt, std::move(detail)});
}
Unexpected<PoolRefusal> refuse(TxInvalid rule, std::string detail = {}) {
    return Unexpected(PoolRefusal{PoolError::invalid, rule, std::move(detail)});
}

std::string_view words_of(PoolError error) {
    switch (error) {
        case PoolError::invalid:
            return "invalid transaction";
        case PoolError::already_known:
            return "already known";
        case PoolError::underpriced:
            return "transaction underpriced";
        case PoolError::replacement_underpriced:
            return "replacement transaction underpriced";
        case PoolError::sender_full:
            return "account limit exceeded";
        case PoolError::pool_full:
            return "txpool is full";
        case PoolError::oversized:
            return "oversized data";
        case PoolError::gas_above_block_limit:
            return "exceeds block gas limit";
        case PoolError::insufficient_funds:
            return "insufficient funds for gas * price + value";
        case PoolError::delegated_full:
            return "in-flight transaction limit reached for delegated accounts";
        case PoolError::delegated_gap:
            return "gapped-nonce tx from delegated accounts";
        case PoolError::authority_in_use:
            return "authority already reserved";
    }
    ASSERT(false);
}

/// At least `percent` more than `old`; a price of zero must grow too.
bool is_bumped(const Uint256& old, const Uint256& fresh, uint64_t percent) {
    const auto scaled_old = checked_mul(old, Uint256(100 + percent));
    const auto scaled_new = checked_mul(fresh, Uint256(100));
    return fresh > old && scaled_old && (!scaled_new || *scaled_new >= *scaled_old);
}

/// What a transaction pays the leader for one gas at this base fee; nullopt: it cannot pay that.
std::optional<Uint256> tip_at(const Tx& tx, const Uint256& base_fee) {
    const auto room = checked_sub(tx.max_fee_per_gas, base_fee);
    if (!room) return std::nullopt;
    return std::min(*room, tx.max_priority_fee_per_gas);
}

}  // namespace

std::string to_text(const PoolRefusal& refusal) {
    std::string text(refusal.rule ? consensus::to_text(*refusal.rule) : words_of(refusal.error));
    if (!refusal.detail.empty()) text += ": " + refusal.detail;
    return text;
}

bool may_pass(const PoolRefusal& refusal) {
    switch (refusal.error) {
        case PoolError::invalid:
            return refusal.rule == TxInvalid::nonce_too_high ||
                   refusal.rule == TxInvalid::insufficient_funds;
        case PoolError::oversized:
            return false;
        default:
            return true;
    }
}

PoolState::PoolState(const consensus::ChainConfig& config, const Limits& limits)
    : config_(config), limits_(limits) {}

uint64_t PoolState::Account::next_gap() const {
    uint64_t next = nonce;
    for (auto it = txs.find(nonce); it != txs.end() && it->first == next; ++it) ++next;
    return next;
}

PoolState::Price PoolState::price_of(const Pooled& tx) {
    return {tx.tx.max_priority_fee_per_gas, ~tx.arrival};
}

PoolState::Check PoolState::check(const Tx& tx, const Address& sender,
                                  const HeadAccount& state) const {
    if (auto done = check_alone(tx, state); !done) return done;
    const Account account = account_now(sender, state);
    if (auto done = check_place(tx, account); !done) return done;
    if (account.txs.count(tx.nonce) != 0) return Done{};
    const Newcomer who{sender, tx.max_priority_fee_per_gas, encode_tx(tx).size(),
                       tx.nonce == account.next_gap()};
    if (has_room_for(who)) return Done{};
    if (const auto victim = find_victim(who); !victim) return Unexpected(victim.error());
    return Done{};
}

/// What the pool holds does not matter here.
PoolState::Check PoolState::check_alone(const Tx& tx, const HeadAccount& state) const {
    const size_t size = encode_tx(tx).size();
    if (size > limits_.tx_size_bytes_max)
        return refuse(PoolError::oversized, "transaction size " + std::to_string(size) +
                                                ", limit " +
                                                std::to_string(limits_.tx_size_bytes_max));
    if (const auto shape = consensus::check_tx_shape(tx, env_.fork, config_); !shape)
        return refuse(shape.error());
    const auto& rules = vm::rules_of(env_.fork.revision);
    if (const auto gas = consensus::check_tx_gas(tx, rules); !gas) return refuse(gas.error());
    if (tx.gas_limit > env_.gas_limit) return refuse(PoolError::gas_above_block_limit);
    if (tx.max_priority_fee_per_gas < limits_.tip_min_wei)
        return refuse(PoolError::underpriced,
                      "gas tip cap " + to_decimal(tx.max_priority_fee_per_gas) +
                          ", minimum needed " + to_decimal(limits_.tip_min_wei));
    const auto numbers =
        "next nonce " + std::to_string(state.nonce) + ", tx nonce " + std::to_string(tx.nonce);
    if (tx.nonce < state.nonce) return refuse(TxInvalid::nonce_too_low, numbers);
    if (tx.nonce - state.nonce > limits_.nonce_gap_max)
        return refuse(TxInvalid::nonce_too_high, numbers);
    auto when_due = state;
    when_due.nonce = tx.nonce;
    if (const auto done = consensus::check_tx_sender(tx, when_due); !done) {
        if (done.error() != TxInvalid::insufficient_funds) return refuse(done.error());
        const auto cost = consensus::max_cost_wei(tx);
        return refuse(done.error(), "balance " + to_decimal(state.balance) + ", tx cost " +
                                        (cost ? to_decimal(*cost) : "beyond 2^256"));
    }
    return Done{};
}

/// As it is at the head, with what it has here.
PoolState::Account PoolState::account_now(const Address& who, const HeadAccount& state) const {
    const auto known = accounts_.find(who);
    Account now = known == accounts_.end() ? Account{} : known->second;
    now.nonce = state.nonce;
    now.balance = state.balance;
    return now;
}

/// What the sender has here already: the same nonce, too many, or all its funds bound.
PoolState::Check PoolState::check_place(const Tx& tx, const Account& account) const {
    const auto same = account.txs.find(tx.nonce);
    const bool replaces = same != account.txs.end();
    if (replaces) {
        const Tx& old = same->second->tx;
        if (!is_bumped(old.max_fee_per_gas, tx.max_fee_per_gas, limits_.price_bump_percent) ||
            !is_bumped(old.max_priority_fee_per_gas, tx.max_priority_fee_per_gas,
                       limits_.price_bump_percent))
            return refuse(PoolError::replacement_underpriced);
    } else if (account.txs.size() >= limits_.txs_per_sender_max) {
        return refuse(PoolError::sender_full, "at most " +
                                                  std::to_string(limits_.txs_per_sender_max) +
                                                  " transactions wait for one sender");
    }
    std::optional<Uint256> sum = consensus::max_cost_wei(tx);
    for (const auto& [nonce, other] : account.txs)
        if (sum && nonce != tx.nonce) sum = checked_add(*sum, other->max_cost_wei);
    if (!sum || *sum > account.balance)
        return refuse(PoolError::insufficient_funds, "balance " + to_decimal(account.balance) +
                                                         ", with what is queued " +
                                                         (sum ? to_decimal(*sum) : "beyond 2^256"));
    return Done{};
}

/// Whoever an account is delegated to can spend its funds, and so invalidate all that it has here
/// for the price of one transaction.
PoolState::Check PoolState::check_delegation(const Pooled& tx, const Account& account,
                                             bool is_delegated) const {
    const bool replaces = account.txs.count(tx.tx.nonce) != 0;
    if ((is_delegated || authorizing_.count(tx.sender) != 0) && !replaces) {
        if (account.next_gap() != account.nonce) return refuse(PoolError::delegated_full);
        if (tx.tx.nonce != account.nonce) return refuse(PoolError::delegated_gap);
    }
    for (const auto& authority : tx.authorities) {
        const auto found = accounts_.find(authority);
        if (found != accounts_.end() && found->second.txs.size() > 1)
            return refuse(PoolError::authority_in_use, to_hex0x(authority.bytes));
    }
    return Done{};
}

/// The last one of a sender that waits behind a missing nonce; null: there is none.
PooledPtr PoolState::cheapest_queued(const Address& but_of) const {
    PooledPtr out;
    for (const auto& [who, account] : accounts_) {
        const auto& [nonce, last] = *account.txs.rbegin();
        if (who == but_of || nonce < account.next_gap()) continue;
        if (!out || price_of(*last) < price_of(*out)) out = last;
    }
    return out;
}

bool PoolState::has_room_for(const Newcomer& who) const {
    return by_hash_.size() < limits_.txs_max && bytes_ + who.size_bytes <= limits_.bytes_max;
}

/// The worse transaction of another sender that goes first, each sender's last before its others.
/// Those that wait behind a gap may promise any price, since nobody can make them pay it: they go
/// before all.
Result<PooledPtr, PoolRefusal> PoolState::find_victim(const Newcomer& who) const {
    const auto queued = cheapest_queued(who.sender);
    if (queued && (who.is_pending || price_of(*queued).tip < who.tip)) return queued;
    if (!who.is_pending) return refuse(PoolError::pool_full);
    auto worst = by_price_.begin();
    while (worst != by_price_.end() && worst->second->sender == who.sender) ++worst;
    if (worst == by_price_.end()) return refuse(PoolError::pool_full);
    if (worst->first.tip >= who.tip) return refuse(PoolError::underpriced);
    return accounts_.at(worst->second->sender).txs.rbegin()->second;
}

/// Evicts until the newcomer fits.
PoolState::Check PoolState::make_room(const Newcomer& who) {
    while (!has_room_for(who)) {
        const auto victim = find_victim(who);
        if (!victim) return Unexpected(victim.error());
        drop(*victim);
    }
    return Done{};
}

void PoolState::insert(Account& account, const PooledPtr& tx) {
    account.txs[tx->tx.nonce] = tx;
    by_hash_[tx->hash] = tx;
    by_price_[price_of(*tx)] = tx;
    for (const auto& authority : tx->authorities) ++authorizing_[authority];
    bytes_ += tx->size_bytes;
}

void PoolState::erase(const PooledPtr& tx) {
    by_hash_.erase(tx->hash);
    by_price_.erase(price_of(*tx));
    for (const auto& authority : tx->authorities) {
        const auto count = authorizing_.find(authority);
        if (--count->second == 0) authorizing_.erase(count);
    }
    bytes_ -= tx->size_bytes;
    const auto account = accounts_.find(tx->sender);
    account->second.txs.erase(tx->tx.nonce);
    if (account->second.txs.empty()) accounts_.erase(account);
}

void PoolState::drop(const PooledPtr& tx) {
    dropped_.push_back(tx->hash);
    erase(tx);
}

Result<PoolState::Added, PoolRefusal> PoolState::add(Signed given, const HeadAccount& state) {
    const Tx& tx = given.tx;
    const Address sender = given.sender;
    if (by_hash_.count(given.hash) != 0) return refuse(PoolError::already_known);
    if (auto done = check_alone(tx, state); !done) return Unexpected(std::move(done).error());
    const size_t size = encode_tx(tx).size();
    const auto pooled = std::make_shared<const Pooled>(
        Pooled{tx, given.hash, sender, size, *consensus::max_cost_wei(tx), arrivals_++,
               std::move(given.authorities)});

    const Account now = account_now(sender, state);
    if (auto done = check_place(tx, now); !done) return Unexpected(std::move(done).error());
    if (auto done = check_delegation(*pooled, now, state.is_delegated); !done)
        return Unexpected(std::move(done).error());
    const auto same = now.txs.find(tx.nonce);
    if (same == now.txs.end()) {
        const bool is_pending = tx.nonce == now.next_gap();
        if (auto done = make_room({sender, tx.max_priority_fee_per_gas, size, is_pending}); !done)
            return Unexpected(std::move(done).error());
    } else {
        if (bytes_ - same->second->size_bytes + size > limits_.bytes_max)
            return refuse(PoolError::pool_full);
        erase(PooledPtr(same->second));
    }
    Account& account = accounts_[sender];
    account.nonce = state.nonce;
    account.balance = state.balance;
    insert(account, pooled);

    Added added{pooled, {}};
    const uint64_t gap = account.next_gap();
    for (auto it = account.txs.find(tx.nonce); it != account.txs.end() && it->first < gap; ++it) {
        added.now_pending.push_back(it->second);
        if (same != now.txs.end()) break;  // a replacement sets nothing else free
    }
    return added;
}

void PoolState::refresh(const Address& who, const HeadAccount& state,
                        std::vector<PooledPtr>& now_pending) {
    const auto found = accounts_.find(who);
    if (found == accounts_.end()) return;
    Account& account = found->second;
    const uint64_t old_gap = account.next_gap();
    std::vector<PooledPtr> gone;
    for (const auto& [nonce, tx] : account.txs)
        if (nonce < state.nonce || tx->max_cost_wei > state.balance || state.has_code ||
            (state.is_delegated && nonce > state.nonce))
            gone.push_back(tx);
    account.nonce = state.nonce;
    account.balance = state.balance;
    const bool empties = gone.size() == account.txs.size();
    for (const auto& tx : gone) tx->tx.nonce < state.nonce ? erase(tx) : drop(tx);
    if (empties) return;
    const uint64_t gap = account.next_gap();
    for (auto it = account.txs.lower_bound(old_gap); it != account.txs.end() && it->first < gap;
         ++it)
        now_pending.push_back(it->second);
}

std::vector<PooledPtr> PoolState::on_head(const HeadEnv& env, const Lookup& lookup,
                                          const std::vector<Address>* touched) {
    env_ = env;
    std::vector<PooledPtr> now_pending;
    std::vector<Address> all;
    if (!touched) {
        for (const auto& [who, account] : accounts_) all.push_back(who);
        touched = &all;
    }
    for (const auto& who : *touched)
        if (accounts_.count(who) != 0) refresh(who, lookup(who), now_pending);
    return now_pending;
}

std::vector<PooledPtr> PoolState::best(const Uint256& base_fee) const {
    struct Front {
        Uint256 tip;
        PooledPtr tx;
        const Account* account;
        bool operator<(const Front& o) const {
            return tip != o.tip ? tip < o.tip : tx->arrival > o.tx->arrival;
        }
    };
    std::priority_queue<Front> fronts;
    const auto push = [&](const Account& account, uint64_t nonce) {
        const auto it = account.txs.find(nonce);
        if (it == account.txs.end()) return;
        const auto tip = tip_at(it->second->tx, base_fee);
        if (tip) fronts.push({*tip, it->second, &account});
    };
    for (const auto& [who, account] : accounts_) push(account, account.nonce);
    std::vector<PooledPtr> out;
    while (!fronts.empty()) {
        const Front front = fronts.top();
        fronts.pop();
        out.push_back(front.tx);
        push(*front.account, front.tx->tx.nonce + 1);
    }
    return out;
}

PooledPtr PoolState::find(const Hash& hash) const {
    const auto found = by_hash_.find(hash);
    return found == by_hash_.end() ? nullptr : found->second;
}

std::optional<uint64_t> PoolState::pending_nonce(const Address& sender) const {
    const auto found = accounts_.find(sender);
    if (found == accounts_.end()) return std::nullopt;
    return found->second.next_gap();
}

size_t PoolState::pending_count() const {
    size_t n = 0;
    for (const auto& [who, account] : accounts_) n += account.next_gap() - account.nonce;
    return n;
}

void PoolState::visit(const std::function<void(const Pooled&, bool pending)>& each) const {
    for (const auto& [who, account] : accounts_) {
        const uint64_t gap = account.next_gap();
        for (const auto& [nonce, tx] : account.txs) each(*tx, nonce < gap);
    }
}

}  // namespace trainyard::node::mempool
