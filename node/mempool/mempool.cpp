// SPDX-License-Identifier: Apache-2.0
// The pool behind its lock: signatures, accounts at the head, gossip memory.
#include "node/mempool/mempool.hpp"

#include <algorithm>
#include <deque>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "consensus/rules/block.hpp"
#include "core/assert.hpp"
#include "core/seeded_hasher.hpp"
#include "node/chain/head_feed.hpp"

namespace trainyard::node::mempool {

namespace {

constexpr size_t kDelegationSize = 23;  // EIP-7702: ef0100 and an address

bool is_delegation(const Bytes& code) {
    return code.size() == kDelegationSize && code[0] == 0xef && code[1] == 0x01 && code[2] == 0x00;
}

HeadAccount account_at(const state::StateView& view, const Address& who) {
    const auto account = view.account(who);
    if (!account) return {};
    const bool has_code = account->code_hash != kEmptyCodeHash;
    const bool is_delegated = has_code && is_delegation(view.code(account->code_hash));
    return {{account->nonce, account->balance, has_code && !is_delegated}, is_delegated};
}

/// Whom it may delegate in a block above this state. An authorization for another chain, or one
/// that was used, binds nobody: anybody may copy it. Dear: 50 us each, and a transaction may have
/// hundreds.
std::vector<Address> authorities_of(const Tx& tx, const state::StateView& view, uint64_t chain_id) {
    std::vector<Address> out;
    for (const auto& authorization : tx.authorizations) {
        if (!authorization.chain_id.is_zero() && authorization.chain_id != Uint256(chain_id))
            continue;
        const auto who = recover_authority(authorization);
        const auto account = who ? view.account(*who) : std::nullopt;
        if (who && authorization.nonce >= (account ? account->nonce : 0)) out.push_back(*who);
    }
    return out;
}

HeadEnv env_after(const Header& head, const consensus::ChainConfig& config) {
    return {config.fork_at(head.number + 1, head.timestamp),
            consensus::next_base_fee(head, head.timestamp, config), head.gas_limit};
}

/// The latest hashes seen, forgotten in the order of arrival.
class Recent {
public:
    explicit Recent(size_t max) : max_(max) {}
    void add(const Hash& hash) {
        if (!set_.insert(hash).second) return;
        order_.push_back(hash);
        if (order_.size() <= max_) return;
        set_.erase(order_.front());
        order_.pop_front();
    }
    /// It counts towards the limit until its turn comes.
    void forget(const Hash& hash) { set_.erase(hash); }
    void clear() {
        set_.clear();
        order_.clear();
    }
    [[nodiscard]] bool has(const Hash& hash) const { return set_.count(hash) != 0; }

private:
    const size_t max_;
    std::unordered_set<Hash, SeededHasher> set_;
    std::deque<Hash> order_;
};

}  // namespace

struct Mempool::Impl {
    const chain::Chain& chain;
    mutable std::mutex mutex;
    PoolState state;
    Recent known;    ///< taken, or refused for good
    Recent refused;  ///< at this head
    chain::HeadFeed feed;
    std::shared_ptr<const state::StateView> view;  ///< of the feed's head
    std::function<void(const PooledPtr&)> callback;

    Impl(const chain::Chain& c, const Options& options)
        : chain(c),
          state(c.config(), options.limits),
          known(options.known_max),
          refused(options.known_max),
          feed(c),
          view(c.view(feed.head()->hash)) {
        ASSERT(view != nullptr);
        const auto pending = refresh(nullptr);
        ASSERT(pending.empty());
    }

    void tell(const std::vector<PooledPtr>& txs) const {
        if (!callback) return;
        for (const auto& tx : txs) callback(tx);
    }

    /// With the lock held: what waits, at the feed's head.
    std::vector<PooledPtr> refresh(const std::vector<Address>* touched) {
        return state.on_head(
            env_after(feed.head()->block.header, chain.config()),
            [this](const Address& who) { return account_at(*view, who); }, touched);
    }

    struct Followed {
        std::vector<chain::ChainBlockPtr> removed;  ///< from the old head down
        std::vector<PooledPtr> now_pending;
    };
    /// With the lock held.
    Followed follow() {
        const auto block = chain.latest();
        auto fresh = chain.view(block->hash);
        auto change = fresh ? feed.move_to(block) : chain::HeadFeed::Change{};
        if (change.is_empty()) return {};
        view = std::move(fresh);
        refused.clear();
        std::vector<Address> touched;
        for (const auto& [who, changed] : block->diff.accounts) touched.push_back(who);
        const bool is_next = change.removed.empty() && change.added.size() == 1;
        auto now_pending = refresh(is_next ? &touched : nullptr);
        forget_dropped();
        return {std::move(change.removed), std::move(now_pending)};
    }

    /// Its transactions wait again, but for those that are in other blocks now, or can no longer
    /// pay. Authorities are recovered without the lock.
    void take_back(const chain::ChainBlock& block, std::vector<PooledPtr>& now_pending) {
        const uint64_t chain_id = chain.config().chain_id;
        for (size_t i = 0; i < block.block.txs.size(); ++i) {
            const Tx& tx = block.block.txs[i];
            const Address& sender = block.senders[i];
            auto authorities = authorities_of(tx, *view_now(), chain_id);
            const std::lock_guard lock(mutex);
            auto added = state.add({tx, hash_tx(tx), sender, std::move(authorities)},
                                   account_at(*view, sender));
            forget_dropped();
            if (!added) continue;
            known.add(added->tx->hash);
            for (auto& pending : added->now_pending) now_pending.push_back(std::move(pending));
        }
    }
    [[nodiscard]] std::shared_ptr<const state::StateView> view_now() const {
        const std::lock_guard lock(mutex);
        return view;
    }

    /// With the lock held: gossip may bring back what had to make room.
    void forget_dropped() {
        for (const auto& hash : state.take_dropped()) known.forget(hash);
    }

    /// With the lock held.
    Unexpected<PoolRefusal> refuse(const Hash& hash, PoolRefusal why) {
        (may_pass(why) ? refused : known).add(hash);
        return Unexpected(std::move(why));
    }
};

Mempool::Mempool(const chain::Chain& chain, Options options)
    : impl_(std::make_unique<Impl>(chain, options)) {}

Mempool::~Mempool() = default;

void Mempool::on_pending(std::function<void(const PooledPtr&)> callback) {
    impl_->callback = std::move(callback);
}

Result<PooledPtr, PoolRefusal> Mempool::submit(const Tx& tx) {
    const Hash hash = hash_tx(tx);
    if (find(hash)) return Unexpected(PoolRefusal{PoolError::already_known, {}, {}});
    const auto sender = recover_sender(tx);
    std::shared_ptr<const state::StateView> view;
    {
        const std::lock_guard lock(impl_->mutex);
        if (!sender)
            return impl_->refuse(hash,
                                 {PoolError::invalid, consensus::TxInvalid::bad_signature, {}});
        auto ok = impl_->state.check(tx, *sender, account_at(*impl_->view, *sender));
        if (!ok) return impl_->refuse(hash, std::move(ok).error());
        view = impl_->view;
    }
    // For those alone that can pay and would get a place.
    auto authorities = authorities_of(tx, *view, impl_->chain.config().chain_id);
    std::vector<PooledPtr> now_pending;
    PooledPtr added;
    {
        const std::lock_guard lock(impl_->mutex);
        auto result = impl_->state.add({tx, hash, *sender, std::move(authorities)},
                                       account_at(*impl_->view, *sender));
        impl_->forget_dropped();
        if (!result) return impl_->refuse(hash, std::move(result).error());
        impl_->known.add(hash);
        added = result->tx;
        now_pending = std::move(result->now_pending);
    }
    impl_->tell(now_pending);
    return added;
}

bool Mempool::is_known(const Hash& hash) const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->known.has(hash) || impl_->refused.has(hash);
}

void Mempool::on_head() {
    Impl::Followed followed;
    {
        const std::lock_guard lock(impl_->mutex);
        followed = impl_->follow();
    }
    for (auto it = followed.removed.rbegin(); it != followed.removed.rend(); ++it)
        impl_->take_back(**it, followed.now_pending);
    impl_->tell(followed.now_pending);
}

chain::CandidateSource Mempool::best(const Hash& parent) const {
    const auto block = impl_->chain.by_hash(parent);
    if (!block) return [] { return std::optional<consensus::Candidate>(); };
    const auto env = env_after(block->block.header, impl_->chain.config());
    std::vector<PooledPtr> txs;
    {
        const std::lock_guard lock(impl_->mutex);
        txs = impl_->state.best(env.base_fee);
    }
    return
        [txs = std::move(txs), next = size_t{0}]() mutable -> std::optional<consensus::Candidate> {
            if (next == txs.size()) return std::nullopt;
            const auto& tx = *txs[next++];
            return consensus::Candidate{tx.tx, tx.sender};
        };
}

PooledPtr Mempool::find(const Hash& hash) const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->state.find(hash);
}

uint64_t Mempool::pending_nonce(const Address& who) const {
    // Who was told of a block may ask before the pool has followed.
    const auto latest = impl_->chain.latest();
    const std::lock_guard lock(impl_->mutex);
    const auto view =
        latest->hash == impl_->feed.head()->hash ? nullptr : impl_->chain.view(latest->hash);
    const auto account = (view ? *view : *impl_->view).account(who);
    return std::max(account ? account->nonce : 0, impl_->state.pending_nonce(who).value_or(0));
}

Mempool::Counts Mempool::counts() const {
    const std::lock_guard lock(impl_->mutex);
    const uint64_t pending = impl_->state.pending_count();
    return {pending, impl_->state.size() - pending};
}

std::vector<Mempool::Entry> Mempool::content() const {
    std::vector<Entry> out;
    const std::lock_guard lock(impl_->mutex);
    impl_->state.visit([&](const Pooled& tx, bool pending) {
        out.push_back({impl_->state.find(tx.hash), pending});
    });
    return out;
}

}  // namespace trainyard::node::mempool
