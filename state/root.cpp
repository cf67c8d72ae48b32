// SPDX-License-Identifier: Apache-2.0
// Roots: of ordered lists, and of the world after a diff.
#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::state {
namespace {

/// The storage root after `change` of an account whose root was `before`.
Result<Hash, TrieError> storage_root(const AccountChange& change, const Hash& before,
                                     const NodeSource& nodes, NodeMap& out) {
    const Hash start = change.storage_cleared ? kEmptyTrieRoot : before;
    if (change.storage.empty()) return start;
    Trie trie(nodes, start);
    for (const auto& [slot, value] : change.storage) {
        rlp::Writer encoded;
        if (!value.is_zero()) encoded.number(value);
        const auto put = trie.put(keccak256(to_hash(slot)), encoded.take());
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
                                          const NodeSource& nodes) {
    StateUpdate update;
    Trie accounts(nodes, parent_root);
    for (const auto& [address, change] : diff.accounts) {
        const Hash key = keccak256(address);
        Bytes encoded;
        if (change) {
            const auto before = storage_root_before(accounts, key, parent_root);
            if (!before) return unexpected(before.error());
            const auto after = storage_root(*change, *before, nodes, update.new_nodes);
            if (!after) return unexpected(after.error());
            update.storage_roots[address] = *after;
            encoded = encode_account({change->nonce, change->balance, change->code_hash, *after});
        }
        const auto put = accounts.put(key, encoded);
        if (!put) return unexpected(put.error());
    }
    update.root = accounts.commit(update.new_nodes);
    for (const auto& [hash, code] : diff.codes) update.new_nodes.emplace(hash, code);
    return update;
}

}  // namespace trainyard::state
