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
    const AccountChange* change;  ///< null: the account goes
    Hash key;                     ///< of the account
    Hash before;
    Hash after = kEmptyTrieRoot;
    std::optional<TrieError> error;
    NodeMap nodes;
    std::vector<StaleNode> stale;

    [[nodiscard]] bool is_cleared() const { return change == nullptr || change->storage_cleared; }
    [[nodiscard]] size_t slots() const { return change == nullptr ? 0 : change->storage.size(); }
    [[nodiscard]] bool is_idle() const {
        return slots() == 0 && (!is_cleared() || before == kEmptyTrieRoot);
    }
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
        if (job.is_idle())
            job.after = job.change == nullptr ? kEmptyTrieRoot : job.before;
        else if (side_by_side && job.slots() >= kLarge)
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

/// What storage the changed accounts had before.
Result<std::vector<StorageJob>, TrieError> make_jobs(Trie& accounts, const Hash& root,
                                                     const StateDiff& diff,
                                                     const std::vector<Hash>& keys,
                                                     const SideBySide& side_by_side) {
    const auto before = accounts.get_all(keys, side_by_side);
    if (!before) return unexpected(before.error());
    std::vector<StorageJob> jobs;
    jobs.reserve(keys.size());
    for (const auto& [address, change] : diff.accounts) {
        const size_t i = jobs.size();
        StorageJob& job = jobs.emplace_back();
        job.change = change ? &*change : nullptr;
        job.key = keys[i];
        job.before = kEmptyTrieRoot;
        if (!(*before)[i]) continue;
        const auto account = decode_account(*(*before)[i]);
        if (!account) return unexpected(TrieError{TrieError::Kind::bad_node, root});
        job.before = account->storage_root;
    }
    return jobs;
}

/// `accounts` at `parent_root`, with whatever of it is loaded, changed by `diff`.
Result<StateUpdate, TrieError> change_accounts(Trie& accounts, const Hash& parent_root,
                                               const StateDiff& diff, const NodeSource& nodes,
                                               const SideBySide& side_by_side) {
    StateUpdate update;
    const auto keys = hash_keys(diff.accounts, [](const Address& address) { return address; });
    auto jobs = make_jobs(accounts, parent_root, diff, keys, side_by_side);
    if (!jobs) return unexpected(jobs.error());
    run_storage_jobs(*jobs, nodes, side_by_side);
    std::vector<Bytes> values(keys.size());
    NodeMap of_storage;
    size_t i = 0;
    for (const auto& [address, change] : diff.accounts) {
        StorageJob& job = (*jobs)[i];
        if (job.error) return unexpected(*job.error);
        of_storage.merge(job.nodes);
        std::move(job.stale.begin(), job.stale.end(), std::back_inserter(update.stale));
        if (change) {
            update.storage_roots.emplace_hint(update.storage_roots.end(), address, job.after);
            values[i] =
                encode_account({change->nonce, change->balance, change->code_hash, job.after});
        }
        ++i;
    }
    const auto put = accounts.put_all(keys, values, side_by_side);
    if (!put) return unexpected(put.error());
    update.root = accounts.commit(update.new_nodes, &update.stale, side_by_side);
    update.new_nodes.merge(of_storage);
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
    const auto found = trie_->get_all(hash_keys(addresses), side_by_side);
    if (!found) {
        nodes_.report(found.error());
        return out;
    }
    for (size_t i = 0; i < out.size(); ++i) {
        if (!(*found)[i]) continue;
        out[i] = decode_account(*(*found)[i]);
        if (!out[i]) nodes_.report({TrieError::Kind::bad_node, root_});
    }
    return out;
}

Result<StateUpdate, TrieError> ParentState::change(const StateDiff& diff,
                                                   const SideBySide& side_by_side) {
    return change_accounts(*trie_, root_, diff, nodes_, side_by_side);
}

}  // namespace trainyard::state
