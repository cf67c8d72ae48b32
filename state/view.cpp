// SPDX-License-Identifier: Apache-2.0
// Diffs on diffs, and a diff laid over a view.
#include "state/view.hpp"

#include <atomic>

namespace trainyard::state {
namespace {

AccountChange merge_change(AccountChange earlier, const AccountChange& later) {
    if (later.storage_cleared) return later;
    for (const auto& [slot, value] : later.storage) earlier.storage[slot] = value;
    AccountChange merged = later;
    merged.storage = std::move(earlier.storage);
    merged.storage_cleared = earlier.storage_cleared;
    return merged;
}

}  // namespace

std::vector<std::optional<Account>> StateView::accounts(std::span<const Address> addresses,
                                                        const SideBySide& side_by_side) const {
    std::vector<std::optional<Account>> found(addresses.size());
    std::atomic<size_t> next = 0;
    const auto read = [&] {
        for (size_t i = next++; i < found.size(); i = next++) found[i] = account(addresses[i]);
    };
    if (side_by_side)
        side_by_side(read);
    else
        read();
    return found;
}

StateDiff merge(StateDiff earlier, const StateDiff& later) {
    for (const auto& [address, change] : later.accounts) {
        const auto [at, is_new] = earlier.accounts.try_emplace(address, change);
        if (is_new) continue;
        auto& before = at->second;
        if (change && before) {
            before = merge_change(*std::move(before), *change);
        } else {
            const bool born_again = change && !before;
            before = change;
            if (born_again) before->storage_cleared = true;
        }
    }
    for (const auto& [hash, code] : later.codes) earlier.codes.try_emplace(hash, code);
    return earlier;
}

std::optional<Account> OverlayView::account(const Address& address) const {
    const auto at = diff_.accounts.find(address);
    if (at == diff_.accounts.end()) return base_.account(address);
    if (!at->second) return std::nullopt;
    const AccountChange& change = *at->second;
    Account account{change.nonce, change.balance, change.code_hash, kEmptyTrieRoot};
    if (change.storage_cleared) return account;
    if (const auto before = base_.account(address)) account.storage_root = before->storage_root;
    return account;
}

Uint256 OverlayView::storage(const Address& address, const Uint256& slot) const {
    const auto at = diff_.accounts.find(address);
    if (at == diff_.accounts.end()) return base_.storage(address, slot);
    if (!at->second) return 0;
    const auto value = at->second->storage.find(slot);
    if (value != at->second->storage.end()) return value->second;
    return at->second->storage_cleared ? Uint256{} : base_.storage(address, slot);
}

Bytes OverlayView::code(const Hash& code_hash) const {
    const auto at = diff_.codes.find(code_hash);
    return at != diff_.codes.end() ? at->second : base_.code(code_hash);
}

}  // namespace trainyard::state
