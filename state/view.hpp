// SPDX-License-Identifier: Apache-2.0
// A read-only world goes in, a diff comes out: the two types between execution and the store.
#pragma once

#include <map>
#include <optional>

#include "core/bytes.hpp"
#include "core/hash.hpp"
#include "core/uint256.hpp"

namespace trainyard::state {

struct Account {
    uint64_t nonce = 0;
    Uint256 balance;
    Hash code_hash = kEmptyCodeHash;
    Hash storage_root = kEmptyTrieRoot;
    bool operator==(const Account&) const = default;
};

/// The world at one block. Reads of absent accounts and slots give nullopt and zero.
class StateView {
public:
    virtual ~StateView() = default;
    [[nodiscard]] virtual std::optional<Account> account(const Address& address) const = 0;
    [[nodiscard]] virtual Uint256 storage(const Address& address, const Uint256& slot) const = 0;
    [[nodiscard]] virtual Bytes code(const Hash& code_hash) const = 0;
};

struct AccountChange {
    uint64_t nonce = 0;
    Uint256 balance;
    Hash code_hash = kEmptyCodeHash;
    bool storage_cleared = false;        ///< all earlier slots are gone, `storage` is what remains
    std::map<Uint256, Uint256> storage;  ///< slot -> new value, zero erases
    bool operator==(const AccountChange&) const = default;
};

/// Everything that one block (or transaction) changed, in address order.
struct StateDiff {
    /// nullopt: deleted with its storage
    std::map<Address, std::optional<AccountChange>> accounts;
    std::map<Hash, Bytes> codes;  ///< new code by hash
    bool operator==(const StateDiff&) const = default;
};

/// `later` on top of `earlier`, as one diff.
[[nodiscard]] StateDiff merge(StateDiff earlier, const StateDiff& later);

/// `base` with `diff` laid over it. Both must outlive the view. Storage roots are those of `base`.
class OverlayView final : public StateView {
public:
    OverlayView(const StateView& base, const StateDiff& diff) : base_(base), diff_(diff) {}
    [[nodiscard]] std::optional<Account> account(const Address& address) const override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override;

private:
    const StateView& base_;
    const StateDiff& diff_;
};

}  // namespace trainyard::state
