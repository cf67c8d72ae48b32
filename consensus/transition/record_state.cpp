// SPDX-License-Identifier: Apache-2.0
// The state recorder: the world of one transaction holds all that it read, as it was and as it is.
#include "consensus/transition/recorders.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kAccountBytes = 160;  // of JSON, without code and slots
constexpr uint64_t kSlotBytes = 140;

bool was_empty(const AccountEntry& account) {
    return !account.base || (account.base->nonce == 0 && account.base->balance.is_zero() &&
                             account.base->code_hash == kEmptyCodeHash);
}

}  // namespace

void StateRecorder::on_exit(const vm::CallResult&) {
    if (--depth_ > 0) return;
    // Destroyed accounts lose their slots when the transaction ends.
    for (const auto& account : watched_.world.accounts()) {
        Seen& seen = seen_[account.address];
        seen.destroyed = watched_.world.is_destructed_now(account);
        for (const Slot* slot : account.slots) {
            if (!budget_.take(kSlotBytes)) return;
            seen.slots[slot->key] = slot->original;
        }
    }
}

std::optional<AccountState> StateRecorder::before(const AccountEntry& account, const Seen& seen) {
    const auto base = account.base.value_or(state::Account{});
    if (was_empty(account) && !options_.empty_accounts && !options_.diff_mode) return std::nullopt;
    AccountState state;
    state.balance = base.balance;
    if (base.nonce != 0) state.nonce = base.nonce;
    if (base.code_hash != kEmptyCodeHash && !options_.no_code) {
        state.code = watched_.before.code(base.code_hash);
        if (!budget_.take(2 * state.code->size())) return std::nullopt;
    }
    if (!options_.no_storage) state.storage = seen.slots;
    return state;
}

AccountState StateRecorder::changes(const AccountEntry& account, AccountState& pre,
                                    const Seen& seen) {
    World& world = watched_.world;
    AccountEntry& now = world.account(account.address);
    const auto base = account.base.value_or(state::Account{});
    AccountState post;
    if (now.balance != base.balance) post.balance = now.balance;
    if (now.nonce != base.nonce) post.nonce = now.nonce;
    if (now.code_hash != base.code_hash && !options_.no_code) {
        const auto code = world.code_of(now)->bytes();
        post.code.emplace(code.begin(), code.end());
    }
    if (options_.no_storage) return post;
    pre.storage.clear();
    for (const auto& [key, old] : seen.slots) {
        const Uint256 value = world.slot(now, key).current;
        if (value == old) continue;
        if (!old.is_zero()) pre.storage[key] = old;
        if (!value.is_zero()) post.storage[key] = value;
    }
    return post;
}

Trace StateRecorder::finish(const Tx&, const TxOutcome&) {
    StateTrace trace;
    if (options_.diff_mode) trace.post.emplace();
    for (const auto& account : watched_.world.accounts()) {
        if (!account.is_loaded) continue;
        if (!budget_.take(kAccountBytes)) break;
        const Seen& seen = seen_[account.address];
        auto pre = before(account, seen);
        if (!pre) continue;
        if (options_.diff_mode && !seen.destroyed) {
            auto post = changes(account, *pre, seen);
            const bool is_changed = post.balance || post.nonce || post.code ||
                                    !post.storage.empty() || !pre->storage.empty();
            if (!is_changed) continue;
            (*trace.post)[account.address] = std::move(post);
        }
        if (was_empty(account) && !options_.empty_accounts) continue;
        trace.pre[account.address] = std::move(*pre);
    }
    return trace;
}

}  // namespace trainyard::consensus
