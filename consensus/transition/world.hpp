// SPDX-License-Identifier: Apache-2.0
// The world while it is changed: accounts read through from a view, every change in a journal that
// can be rolled back.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/seeded_hasher.hpp"
#include "core/uint256.hpp"
#include "state/flat_map.hpp"
#include "state/view.hpp"
#include "vm/code.hpp"
#include "vm/code_cache.hpp"
#include "vm/host.hpp"
#include "vm/revision.hpp"

namespace trainyard::consensus {

/// One storage slot in three times: in the view, at the start of the transaction, now.
struct Slot {
    Uint256 key;
    Uint256 committed, original, current;
    uint64_t seen_in = 0;  ///< transaction for which `original` holds
    uint64_t warm_in = 0;  ///< transaction in which the slot is warm
};

/// One account, now. "in" numbers name the transaction in which something holds; 0 is none.
struct AccountEntry {
    Address address;
    bool is_loaded = false;              ///< warmth alone needs no load
    std::optional<state::Account> base;  ///< in the view
    bool exists = false;
    bool storage_cleared = false;  ///< the view's slots are gone
    uint64_t nonce = 0;
    Uint256 balance;
    Hash code_hash = kEmptyCodeHash;
    std::shared_ptr<const vm::Code> code;  ///< loaded when first needed
    uint64_t warm_in = 0, touched_in = 0, created_in = 0, destructed_in = 0;
    std::vector<Slot*> slots;  ///< in the order of first use
    state::FlatMap<Uint256, Slot*> slot_index;

    [[nodiscard]] bool is_empty() const {
        return nonce == 0 && balance.is_zero() && code_hash == kEmptyCodeHash;
    }
};

/// A block's worth of changes over a view. References to entries stay valid. The view must outlive
/// it.
class World {
public:
    /// `codes` may be null; a world for one transaction of many takes and leaves codes there.
    World(const state::StateView& view, const vm::Rules& rules, vm::CodeCache* codes = nullptr)
        : view_(view), rules_(rules), codes_(codes) {}

    [[nodiscard]] AccountEntry& account(const Address& address) {
        AccountEntry& a = entry(address);
        if (!a.is_loaded) load(a);
        return a;
    }
    /// Takes what the view has of an account, read beforehand, unless it is loaded already.
    void preload(const Address& address, const std::optional<state::Account>& account) {
        AccountEntry& a = entry(address);
        if (!a.is_loaded) set_base(a, account);
    }
    /// For `warm` alone: what is in the view is not read yet.
    [[nodiscard]] AccountEntry& entry(const Address& address) {
        if (last_ != nullptr && last_->address == address) return *last_;
        return find_entry(address);
    }
    /// Whether anything but warmth was asked of this account.
    [[nodiscard]] bool has_loaded(const Address& address) const {
        const auto found = index_.find(address);
        return found != nullptr && (*found)->is_loaded;
    }
    /// All that was asked for, in the order of first use.
    [[nodiscard]] const std::deque<AccountEntry>& accounts() const { return accounts_; }
    /// From EIP-161 on an empty account does not count.
    [[nodiscard]] bool exists(const AccountEntry& a) const {
        return a.exists && !(rules_.empty_accounts_vanish && a.is_empty());
    }
    [[nodiscard]] const std::shared_ptr<const vm::Code>& code_of(AccountEntry& a);
    /// Where the account's code sends calls (EIP-7702).
    [[nodiscard]] std::optional<Address> delegate_of(AccountEntry& a);
    [[nodiscard]] Slot& slot(AccountEntry& a, const Uint256& key);
    /// EIP-7610: storage left from before counts as a collision.
    [[nodiscard]] bool has_storage(const AccountEntry& a) const;

    // Changes; all can be rolled back.
    void touch(AccountEntry& a);
    void set_balance(AccountEntry& a, const Uint256& value);
    void add_balance(AccountEntry& a, const Uint256& value) { set_balance(a, a.balance + value); }
    void set_nonce(AccountEntry& a, uint64_t value);
    void set_code(AccountEntry& a, Bytes code);
    void set_slot(AccountEntry& a, Slot& slot, const Uint256& value);
    void mark_created(AccountEntry& a);
    void mark_destructed(AccountEntry& a);
    vm::Access warm(AccountEntry& a);
    vm::Access warm(Slot& slot);
    [[nodiscard]] Uint256& transient(const Address& address, const Uint256& slot);
    void set_transient(const Address& address, const Uint256& slot, const Uint256& value);
    void log(Log entry) { logs_.push_back(std::move(entry)); }

    [[nodiscard]] bool is_created_now(const AccountEntry& a) const { return a.created_in == tx_; }
    [[nodiscard]] bool is_destructed_now(const AccountEntry& a) const {
        return a.destructed_in == tx_;
    }

    struct Snapshot {
        size_t changes, logs;
    };
    [[nodiscard]] Snapshot snapshot() const { return {journal_.size(), logs_.size()}; }
    void roll_back(const Snapshot& to);

    /// Deletes what the transaction destroyed or left empty, forgets warmth and transient storage.
    /// Gives its logs.
    std::vector<Log> end_transaction();
    /// Everything that differs from the view. Call between transactions.
    [[nodiscard]] state::StateDiff diff() const;
    /// Takes over the diff of one transaction that ran in a world of its own on top of this one's
    /// state. Call between transactions.
    void absorb(const state::StateDiff& diff);

private:
    /// How to undo one change: put an old value back where it was.
    struct Change {
        enum class Kind : uint8_t { word, number, flag, code };
        Kind kind;
        union {
            Uint256* word;
            uint64_t* number;
            bool* flag;
            AccountEntry* account;
        };
        Uint256 old;
    };

    void change_word(Uint256& word, const Uint256& value);
    void change_number(uint64_t& number, uint64_t value);
    void change_flag(bool& flag, bool value);
    void erase(AccountEntry& a);
    [[nodiscard]] AccountEntry& find_entry(const Address& address);
    void load(AccountEntry& a) { set_base(a, view_.account(a.address)); }
    static void set_base(AccountEntry& a, const std::optional<state::Account>& base);
    [[nodiscard]] std::shared_ptr<const vm::Code> load_code(const Hash& hash) const;
    void absorb(AccountEntry& a, const state::AccountChange& change);

    const state::StateView& view_;
    const vm::Rules& rules_;
    vm::CodeCache* codes_;
    uint64_t tx_ = 1;
    std::deque<AccountEntry> accounts_;  ///< in the order of first use
    std::deque<Slot> slots_;             ///< of all accounts
    state::FlatMap<Address, AccountEntry*> index_;
    AccountEntry* last_ = nullptr;  ///< asked for last, as it often is again
    std::unordered_map<Hash, std::shared_ptr<const vm::Code>, SeededHasher> new_codes_;
    std::unordered_map<std::pair<Address, Uint256>, Uint256, SeededHasher> transient_;
    std::vector<AccountEntry*> touched_;
    std::vector<Change> journal_;
    std::vector<Log> logs_;
};

}  // namespace trainyard::consensus
