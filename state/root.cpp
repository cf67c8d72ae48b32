// SPDX-License-Identifier: Apache-2.0
// Roots: of ordered lists, and of the world after a diff.
#include <atomic>
#include <iterator>

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::state {
namespace {

/// keccak256 of all keys at once, in their order.
template <class Key>
std::vector<Hash> hash_keys(std::span<const Key> keys) {
    std::vector<BytesView> messages;
    messages.reserve(keys.size());
    for (const Key& key : keys) messages.emplace_back(key.bytes);
    std::vector<Hash> hashes(keys.size());
    keccak256_many(messages, hashes);
    return hashes;
}

template <class Map, class ToBytes>
std::vector<Hash> hash_keys(const Map& map, const ToBytes& to_bytes) {
    using Key = decltype(to_bytes(map.begin()->first));
    std::vector<Key> keys;
    keys.reserve(map.size());
    for (const auto& entry : map) keys.push_back(to_bytes(entry.first));
    return hash_keys(std::span<const Key>(keys));
}

/// One account whose storage changes; these are independent of each other.
struct StorageJob {
    size_t index;                 ///< of the account in the diff
    const AccountChange* change;  ///< null: the account goes
    Hash key;                     ///< of the account
    Hash before;
    Hash after = kEmptyTrieRoot;
    std::optional<TrieError> error = {};
    NodeMap nodes = {};
    std::vector<StaleNode> stale = {};

    [[nodiscard]] bool is_cleared() const { return change == nullptr || change->storage_cleared; }
    [[nodiscard]] size_t slots() const { return change == nullptr ? 0 : change->storage.size(); }
};

Result<Done, TrieError> change_slots(StorageJob& job, const NodeSource& nodes,
                                     const SideBySide& side_by_side) {
    Trie trie(nodes, job.is_cleared() ? kEmptyTrieRoot : job.before, storage_place(job.key));
    const auto keys =
        hash_keys(job.change->storage, [](const Uint256& slot) { return to_hash(slot); });
    std::vector<Bytes> values;
    values.reserve(keys.size());
    for (const auto& [slot, value] : job.change->storage) {
        rlp::Writer encoded;
        if (!value.is_zero()) encoded.number(value);
        values.push_back(encoded.take());
    }
    if (auto put = trie.put_all(keys, values, side_by_side); !put) return put;
    job.after = trie.commit(job.nodes, &job.stale, side_by_side);
    return Done{};
}

/// All nodes of the storage that goes, unless they have come again.
Result<Done, TrieError> drop_storage(StorageJob& job, const NodeSource& nodes) {
    const std::string place = storage_place(job.key);
    return visit_nodes(nodes, job.before, place,
                       [&](const Hash& hash, const NodePtr&, BytesView path) {
                           StaleNode old{hash, place + std::string(as_text(path))};
                           if (!job.nodes.contains(old.hash, old.place))
                               job.stale.push_back(std::move(old));
                           return true;
                       });
}

void run_job(StorageJob& job, const NodeSource& nodes, const SideBySide& side_by_side) {
    job.after = job.is_cleared() ? kEmptyTrieRoot : job.before;
    Result<Done, TrieError> done = Done{};
    if (job.slots() > 0) done = change_slots(job, nodes, side_by_side);
    if (done && job.is_cleared() && job.before != kEmptyTrieRoot) done = drop_storage(job, nodes);
    if (!done) job.error = done.error();
}

/// Large ones one after the other with all threads, small ones side by side.
void run_storage_jobs(std::vector<StorageJob>& jobs, const NodeSource& nodes,
                      const SideBySide& side_by_side) {
    constexpr size_t kLarge = 256;
    std::vector<StorageJob*> small;
    for (StorageJob& job : jobs) {
        if (side_by_side && job.slots() >= kLarge)
            run_job(job, nodes, side_by_side);
        else
            small.push_back(&job);
    }
    std::atomic<size_t> next = 0;
    const auto work = [&] {
        for (size_t i = next++; i < small.size(); i = next++) run_job(*small[i], nodes, {});
    };
    if (side_by_side && small.size() > 1)
        side_by_side(work);
    else
        work();
}

/// A changed account, and its storage root: the old one first, then the new one.
struct ChangedAccount {
    const AccountChange* change;  ///< null: it goes
    Hash storage_root = kEmptyTrieRoot;

    [[nodiscard]] Bytes encode() const {
        if (change == nullptr) return {};
        return encode_account({change->nonce, change->balance, change->code_hash, storage_root});
    }
    /// Only the account itself changes.
    [[nodiscard]] bool keeps_storage() const {
        return change != nullptr && change->storage.empty() &&
               (!change->storage_cleared || storage_root == kEmptyTrieRoot);
    }
};

/// What a change works on and with.
struct Ground {
    Trie& accounts;
    const NodeSource& nodes;
    const SideBySide& side_by_side;
};

/// Accounts whose storage stays get their new values on the walk that finds the old ones.
Result<std::vector<ChangedAccount>, TrieError> change_plain(const Ground& ground, const Hash& root,
                                                            const StateDiff& diff,
                                                            std::span<const Hash> keys) {
    std::vector<ChangedAccount> accounts;
    accounts.reserve(keys.size());
    for (const auto& [address, change] : diff.accounts)
        accounts.push_back({change ? &*change : nullptr});
    std::atomic<bool> is_bad = false;
    const auto done = ground.accounts.change_all(
        keys,
        [&](size_t i, BytesView before) -> std::optional<Bytes> {
            if (!before.empty()) {
                const auto account = decode_account(before);
                if (!account) is_bad = true;
                if (account) accounts[i].storage_root = account->storage_root;
            }
            if (!accounts[i].keeps_storage()) return std::nullopt;
            return accounts[i].encode();
        },
        ground.side_by_side);
    if (!done) return unexpected(done.error());
    if (is_bad) return unexpected(TrieError{TrieError::Kind::bad_node, root});
    return accounts;
}

/// The others, once their storage is known, whose new nodes it gives.
Result<NodeMap, TrieError> change_with_storage(const Ground& ground,
                                               std::vector<ChangedAccount>& accounts,
                                               std::span<const Hash> keys,
                                               std::vector<StaleNode>& stale) {
    std::vector<StorageJob> jobs;
    for (size_t i = 0; i < accounts.size(); ++i)
        if (!accounts[i].keeps_storage())
            jobs.push_back({i, accounts[i].change, keys[i], accounts[i].storage_root});
    run_storage_jobs(jobs, ground.nodes, ground.side_by_side);
    NodeMap fresh;
    std::vector<Hash> changed;
    std::vector<Bytes> values;
    for (StorageJob& job : jobs) {
        if (job.error) return unexpected(*job.error);
        fresh.merge(job.nodes);
        std::move(job.stale.begin(), job.stale.end(), std::back_inserter(stale));
        accounts[job.index].storage_root = job.after;
        changed.push_back(job.key);
        values.push_back(accounts[job.index].encode());
    }
    if (auto put = ground.accounts.put_all(changed, values, ground.side_by_side); !put)
        return unexpected(put.error());
    return fresh;
}

/// `trie` of the accounts at `parent_root`, with whatever of it is loaded, changed by `diff`.
Result<StateUpdate, TrieError> change_accounts(Trie& trie, const Hash& parent_root,
                                               const StateDiff& diff, const NodeSource& nodes,
                                               const SideBySide& side_by_side) {
    StateUpdate update;
    const auto keys = hash_keys(diff.accounts, [](const Address& address) { return address; });
    const Ground ground{trie, nodes, side_by_side};
    auto accounts = change_plain(ground, parent_root, diff, keys);
    if (!accounts) return unexpected(accounts.error());
    auto of_storage = change_with_storage(ground, *accounts, keys, update.stale);
    if (!of_storage) return unexpected(of_storage.error());
    auto account = accounts->begin();
    for (const auto& [address, change] : diff.accounts) {
        if (change)
            update.storage_roots.emplace_hint(update.storage_roots.end(), address,
                                              account->storage_root);
        ++account;
    }
    update.root = trie.commit(update.new_nodes, &update.stale, side_by_side);
    update.new_nodes.merge(*of_storage);
    for (const auto& [hash, code] : diff.codes)
        update.new_nodes.emplace(hash, std::make_shared<const Bytes>(code),
                                 std::string(kCodePlace));
    return update;
}

}  // namespace

Hash ordered_root(const std::vector<Bytes>& items) {
    const NoNodes none;
    Trie trie(none, kEmptyTrieRoot);
    for (size_t i = 0; i < items.size(); ++i) {
        rlp::Writer key;
        const auto put = trie.put(key.number(uint64_t{i}).take(), items[i]);
        ASSERT(put.has_value());
    }
    NodeMap unused;
    return trie.commit(unused);
}

Bytes encode_account(const Account& account) {
    rlp::Writer out;
    out.begin_list().number(account.nonce).number(account.balance);
    return out.fixed(account.storage_root).fixed(account.code_hash).end_list().take();
}

std::optional<Account> decode_account(BytesView encoded) {
    Account account;
    rlp::Fields outer(encoded);
    outer.list([&](rlp::Fields& in) {
        account.nonce = in.number();
        account.balance = in.number256();
        account.storage_root = in.fixed<Hash>();
        account.code_hash = in.fixed<Hash>();
    });
    return outer.finish() ? std::optional(account) : std::nullopt;
}

Result<StateUpdate, TrieError> state_root(const Hash& parent_root, const StateDiff& diff,
                                          const NodeSource& nodes, const SideBySide& side_by_side) {
    Trie accounts(nodes, parent_root);
    return change_accounts(accounts, parent_root, diff, nodes, side_by_side);
}

ParentState::ParentState(const StateView& view, const NodeSource& nodes, const Hash& root)
    : view_(view), nodes_(nodes), root_(root), trie_(std::make_unique<Trie>(nodes, root)) {}

ParentState::~ParentState() = default;

std::vector<std::optional<Account>> ParentState::accounts(std::span<const Address> addresses,
                                                          const SideBySide& side_by_side) const {
    std::vector<std::optional<Account>> out(addresses.size());
    const auto done = trie_->visit_all(
        hash_keys(addresses),
        [&](size_t i, BytesView value) {
            if (value.empty()) return;
            out[i] = decode_account(value);
            if (!out[i]) nodes_.report({TrieError::Kind::bad_node, root_});
        },
        side_by_side);
    if (!done) {
        nodes_.report(done.error());
        return std::vector<std::optional<Account>>(addresses.size());
    }
    return out;
}

Result<StateUpdate, TrieError> ParentState::change(const StateDiff& diff,
                                                   const SideBySide& side_by_side) {
    return change_accounts(*trie_, root_, diff, nodes_, side_by_side);
}

}  // namespace trainyard::state
