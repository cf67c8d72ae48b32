// SPDX-License-Identifier: Apache-2.0
// The journal: reads through to the view, undo, the end of a transaction, and the diff of a block.
#include "consensus/transition/world.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

constexpr size_t kDelegationSize = 23;  // ef 01 00 | address (EIP-7702)
constexpr Address kRipemd160 = [] {
    Address a;
    a.bytes[19] = 3;
    return a;
}();

const std::shared_ptr<const vm::Code>& no_code() {
    static const auto kNone = std::make_shared<const vm::Code>(BytesView());
    return kNone;
}

state::AccountChange make_change(const AccountEntry& a) {
    state::AccountChange change;
    change.nonce = a.nonce;
    change.balance = a.balance;
    change.code_hash = a.code_hash;
    change.storage_cleared = a.storage_cleared && a.base.has_value();
    for (const Slot* slot : a.slots)
        if (slot->current != slot->committed) change.storage[slot->key] = slot->current;
    return change;
}

bool is_changed(const AccountEntry& a, const state::AccountChange& change) {
    return !a.base || a.base->nonce != a.nonce || a.base->balance != a.balance ||
           a.base->code_hash != a.code_hash || change.storage_cleared || !change.storage.empty();
}

}  // namespace

AccountEntry& World::find_entry(const Address& address) {
    AccountEntry*& place = index_[address];
    last_ = place;
    if (place != nullptr) return *place;
    AccountEntry& a = accounts_.emplace_back();
    place = last_ = &a;
    a.address = address;
    return a;
}

void World::set_base(AccountEntry& a, const std::optional<state::Account>& base) {
    a.is_loaded = true;
    a.base = base;
    if (!a.base) return;
    a.exists = true;
    a.nonce = a.base->nonce;
    a.balance = a.base->balance;
    a.code_hash = a.base->code_hash;
}

const std::shared_ptr<const vm::Code>& World::code_of(AccountEntry& a) {
    if (a.code_hash == kEmptyCodeHash) return no_code();
    if (a.code) return a.code;
    const auto it = new_codes_.find(a.code_hash);
    a.code = it != new_codes_.end() ? it->second : load_code(a.code_hash);
    return a.code;
}

std::shared_ptr<const vm::Code> World::load_code(const Hash& hash) const {
    if (codes_ == nullptr) return std::make_shared<const vm::Code>(view_.code(hash));
    if (auto known = codes_->find(hash, rules_.revision)) return known;
    return codes_->put(hash, rules_.revision, std::make_shared<const vm::Code>(view_.code(hash)));
}

std::optional<Address> World::delegate_of(AccountEntry& a) {
    if (a.code_hash == kEmptyCodeHash) return std::nullopt;
    const BytesView code = code_of(a)->bytes();
    if (code.size() != kDelegationSize || code[0] != 0xef || code[1] != 0x01 || code[2] != 0x00)
        return std::nullopt;
    return fixed_from<Address>(code.subspan(3));
}

Slot& World::slot(AccountEntry& a, const Uint256& key) {
    Slot*& place = a.slot_index[key];
    if (place == nullptr) {
        Slot& s = slots_.emplace_back();
        place = &s;
        a.slots.push_back(&s);
        s.key = key;
        if (a.base && !a.storage_cleared) s.committed = view_.storage(a.address, key);
        s.current = s.committed;
    }
    Slot& s = *place;
    if (s.seen_in != tx_) {
        s.seen_in = tx_;
        s.original = s.current;
    }
    return s;
}

bool World::has_storage(const AccountEntry& a) const {
    return a.base && !a.storage_cleared && a.base->storage_root != kEmptyTrieRoot;
}

void World::change_word(Uint256& word, const Uint256& value) {
    if (word == value) return;
    Change change{Change::Kind::word, {}, word};
    change.word = &word;
    journal_.push_back(change);
    word = value;
}

void World::change_number(uint64_t& number, uint64_t value) {
    if (number == value) return;
    Change change{Change::Kind::number, {}, number};
    change.number = &number;
    journal_.push_back(change);
    number = value;
}

void World::change_flag(bool& flag, bool value) {
    if (flag == value) return;
    Change change{Change::Kind::flag, {}, flag ? 1 : 0};
    change.flag = &flag;
    journal_.push_back(change);
    flag = value;
}

void World::touch(AccountEntry& a) {
    if (a.touched_in != tx_) touched_.push_back(&a);
    change_number(a.touched_in, tx_);
    change_flag(a.exists, true);
}

void World::set_balance(AccountEntry& a, const Uint256& value) {
    touch(a);
    change_word(a.balance, value);
}

void World::set_nonce(AccountEntry& a, uint64_t value) {
    touch(a);
    change_number(a.nonce, value);
}

void World::set_code(AccountEntry& a, Bytes code) {
    touch(a);
    Change change{Change::Kind::code, {}, from_hash(a.code_hash)};
    change.account = &a;
    journal_.push_back(change);
    a.code = nullptr;
    a.code_hash = kEmptyCodeHash;
    if (code.empty()) return;
    a.code_hash = keccak256(code);
    a.code = std::make_shared<const vm::Code>(code);
    new_codes_.try_emplace(a.code_hash, a.code);
}

void World::set_slot(AccountEntry& a, Slot& slot, const Uint256& value) {
    touch(a);
    change_word(slot.current, value);
}

void World::mark_created(AccountEntry& a) {
    touch(a);
    change_number(a.created_in, tx_);
}

void World::mark_destructed(AccountEntry& a) {
    touch(a);
    change_number(a.destructed_in, tx_);
}

vm::Access World::warm(AccountEntry& a) {
    if (a.warm_in == tx_) return vm::Access::warm;
    change_number(a.warm_in, tx_);
    return vm::Access::cold;
}

vm::Access World::warm(Slot& slot) {
    if (slot.warm_in == tx_) return vm::Access::warm;
    change_number(slot.warm_in, tx_);
    return vm::Access::cold;
}

Uint256& World::transient(const Address& address, const Uint256& slot) {
    return transient_[{address, slot}];
}

void World::set_transient(const Address& address, const Uint256& slot, const Uint256& value) {
    change_word(transient(address, slot), value);
}

void World::roll_back(const Snapshot& to) {
    // Yellow Paper, appendix K.1: in block 2675119 the empty account of RIPEMD-160 vanished
    // although all calls that touched it failed. From the Merge on no account is empty (EIP-7523).
    AccountEntry* stays_touched = nullptr;
    if (rules_.empty_accounts_vanish && !rules_.prev_randao)
        if (const auto found = index_.find(kRipemd160); found && (*found)->touched_in == tx_)
            stays_touched = *found;
    while (journal_.size() > to.changes) {
        const Change& change = journal_.back();
        switch (change.kind) {
            case Change::Kind::word:
                *change.word = change.old;
                break;
            case Change::Kind::number:
                *change.number = change.old.low();
                break;
            case Change::Kind::flag:
                *change.flag = change.old.low() != 0;
                break;
            case Change::Kind::code:
                change.account->code_hash = to_hash(change.old);
                change.account->code = nullptr;
                break;
        }
        journal_.pop_back();
    }
    logs_.resize(to.logs);
    if (stays_touched != nullptr) touch(*stays_touched);
}

void World::erase(AccountEntry& a) {
    a.exists = false;
    a.storage_cleared = true;
    a.nonce = 0;
    a.balance = 0;
    a.code_hash = kEmptyCodeHash;
    a.code = nullptr;
    a.slot_index.clear();
    a.slots.clear();
}

std::vector<Log> World::end_transaction() {
    for (AccountEntry* a : touched_) {
        const bool destructed = a->destructed_in == tx_;
        const bool vanishes =
            rules_.empty_accounts_vanish && a->touched_in == tx_ && a->exists && a->is_empty();
        if (destructed || vanishes) erase(*a);
    }
    touched_.clear();
    journal_.clear();
    transient_.clear();
    ++tx_;
    return std::exchange(logs_, {});
}

state::StateDiff World::diff() const {
    ASSERT(journal_.empty());
    state::StateDiff diff;
    for (const auto& a : accounts_) {
        if (!a.exists) {
            if (a.base) diff.accounts[a.address] = std::nullopt;
            continue;
        }
        auto change = make_change(a);
        if (!is_changed(a, change)) continue;
        const auto code = new_codes_.find(a.code_hash);
        if (code != new_codes_.end()) {
            const BytesView bytes = code->second->bytes();
            diff.codes[a.code_hash] = Bytes(bytes.begin(), bytes.end());
        }
        diff.accounts[a.address] = std::move(change);
    }
    return diff;
}

void World::absorb(AccountEntry& a, const state::AccountChange& change) {
    a.exists = true;
    a.nonce = change.nonce;
    a.balance = change.balance;
    if (a.code_hash != change.code_hash) a.code = nullptr;
    a.code_hash = change.code_hash;
    if (change.storage_cleared) {
        a.storage_cleared = true;
        a.slot_index.clear();
        a.slots.clear();
    }
    for (const auto& [key, value] : change.storage) slot(a, key).current = value;
}

void World::absorb(const state::StateDiff& diff) {
    ASSERT(journal_.empty());
    for (const auto& [hash, code] : diff.codes)
        new_codes_.try_emplace(hash, std::make_shared<const vm::Code>(code));
    for (const auto& [address, change] : diff.accounts) {
        if (change)
            absorb(account(address), *change);
        else
            erase(account(address));
    }
    ++tx_;
}

}  // namespace trainyard::consensus
