// SPDX-License-Identifier: Apache-2.0
// A read-only world goes in, a diff comes out: the two types between execution and the store.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

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

/// Calls `work` on several threads at once, and returns when all calls have returned.
using SideBySide = std::function<void(const std::function<void()>& work)>;

/// The world at one block. Reads of absent accounts and slots give nullopt and zero.
class StateView {
public:
    virtual ~StateView() = default;
    [[nodiscard]] virtual std::optional<Account> account(const Address& address) const = 0;
    [[nodiscard]] virtual Uint256 storage(const Address& address, const Uint256& slot) const = 0;
    [[nodiscard]] virtual Bytes code(const Hash& code_hash) const = 0;
    /// Many accounts, in the order asked for.
    [[nodiscard]] virtual std::vector<std::optional<Account>> accounts(
        std::span<const Address> addresses, const SideBySide& side_by_side = {}) const;
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
