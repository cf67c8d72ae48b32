// SPDX-License-Identifier: Apache-2.0
// Roots: of ordered lists, and of the world after a diff.
#include <atomic>

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::state {
namespace {

/// keccak256 of all keys at once, in their order.
template <class Map, class ToBytes>
std::vector<Hash> hash_keys(const Map& map, const ToBytes& to_bytes) {
    using Key = decltype(to_bytes(map.begin()->first));
    std::vector<Key> keys;
    keys.reserve(map.size());
    for (const auto& entry : map) keys.push_back(to_bytes(entry.first));
    std::vector<BytesView> messages;
    messages.reserve(keys.size());
    for (const Key& key : keys) messages.emplace_back(key.bytes);
    std::vector<Hash> hashes(keys.size());
    keccak256_many(messages, hashes);
    return hashes;
}

/// The storage root after `change` of an account whose root was `before`.
Result<Hash, TrieError> storage_root(const AccountChange& change, const Hash& before,
                                     const NodeSource& nodes, NodeMap& out) {
    const Hash start = change.storage_cleared ? kEmptyTrieRoot : before;
    if (change.storage.empty()) return start;
    Trie trie(nodes, start);
    const auto keys = hash_keys(change.storage, [](const Uint256& slot) { return to_hash(slot); });
    size_t i = 0;
    for (const auto& [slot, value] : change.storage) {
        rlp::Writer encoded;
        if (!value.is_zero()) encoded.number(value);
        const auto put = trie.put(keys[i++], encoded.take());
        if (!put) return unexpected(put.error());
    }
    return trie.commit(out);
}

Result<Hash, TrieError> storage_root_before(Trie& accounts, const Hash& key, const Hash& root) {
    const auto found = accounts.get(key);
    if (!found) return unexpected(found.error());
    if (!*found) return kEmptyTrieRoot;
    const auto account = decode_account(**found);
    if (!account) return unexpected(TrieError{TrieError::Kind::bad_node, root});
    return account->storage_root;
}

/// One account with storage of its own to hash; these are independent of each other.
struct StorageJob {
    const AccountChange* change;
    Hash before;
    std::optional<Result<Hash, TrieError>> after;
    NodeMap nodes;
};

/// Side by side if at least two accounts have slots to hash.
void run_storage_jobs(std::vector<StorageJob>& jobs, const NodeSource& nodes,
                      const SideBySide& side_by_side) {
    std::vector<StorageJob*> with_slots;
    for (StorageJob& job : jobs) {
        if (job.change->storage.empty())
            job.after = storage_root(*job.change, job.before, nodes, job.nodes);
        else
            with_slots.push_back(&job);
    }
    std::atomic<size_t> next = 0;
    const auto work = [&] {
        for (size_t i = next++; i < with_slots.size(); i = next++) {
            StorageJob& job = *with_slots[i];
            job.after = storage_root(*job.change, job.before, nodes, job.nodes);
        }
    };
    if (side_by_side && with_slots.size() > 1)
        side_by_side(work);
    else
        work();
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
    StateUpdate update;
    Trie accounts(nodes, parent_root);
    const auto keys = hash_keys(diff.accounts, [](const Address& address) { return address; });
    std::vector<StorageJob> jobs;
    size_t i = 0;
    for (const auto& [address, change] : diff.accounts) {
        const Hash& key = keys[i++];
        if (!change) continue;
        const auto before = storage_root_before(accounts, key, parent_root);
        if (!before) return unexpected(before.error());
        jobs.push_back({&*change, *before, std::nullopt, {}});
    }
    run_storage_jobs(jobs, nodes, side_by_side);
    i = 0;
    size_t job = 0;
    for (const auto& [address, change] : diff.accounts) {
        const Hash& key = keys[i++];
        Bytes encoded;
        if (change) {
            StorageJob& j = jobs[job++];
            if (!*j.after) return unexpected(j.after->error());
            const Hash& after = **j.after;
            update.new_nodes.merge(j.nodes);
            update.storage_roots.emplace_hint(update.storage_roots.end(), address, after);
            encoded = encode_account({change->nonce, change->balance, change->code_hash, after});
        }
        const auto put = accounts.put(key, encoded);
        if (!put) return unexpected(put.error());
    }
    update.root = accounts.commit(update.new_nodes);
    for (const auto& [hash, code] : diff.codes) update.new_nodes.emplace(hash, code);
    return update;
}

}  // namespace trainyard::state
