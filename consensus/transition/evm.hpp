// SPDX-License-Identifier: Apache-2.0
// The join of vm and state: the EVM's host over a World, with the rules of calls and creations.
#pragma once

#include "consensus/transition/context.hpp"
#include "consensus/transition/own_precompiles.hpp"
#include "consensus/transition/world.hpp"
#include "vm/host.hpp"
#include "vm/interpreter.hpp"

namespace trainyard::consensus {

/// Runs messages against one World. One per block or simulated call; both references must outlive
/// it.
class Evm final : public vm::Host {
public:
    Evm(World& world, const ExecutionContext& context);

    /// Begins a transaction: who pays what, and which accounts are warm.
    void begin(const Address& origin, const Uint256& gas_price, std::vector<Hash> blob_hashes = {});
    /// Tips of transactions that did not look at the beneficiary are left to the caller, so that
    /// transactions of one block do not all write to one account.
    void defer_tip() { defers_tip_ = true; }
    [[nodiscard]] bool defers_tip() const { return defers_tip_; }
    void set_base_fee(const Uint256& base_fee) { tx_.base_fee = base_fee; }

    /// Creates a contract at `address` by `message.input`; the sender's nonce is the caller's
    /// business.
    [[nodiscard]] vm::CallResult create_at(const vm::Message& message, const Address& address);

    [[nodiscard]] World& world() { return world_; }
    [[nodiscard]] const ExecutionContext& context() const { return context_; }
    [[nodiscard]] const vm::Rules& rules() const { return rules_; }

    // vm::Host
    [[nodiscard]] vm::CallResult call(const vm::Message& message) override;
    [[nodiscard]] bool account_exists(const Address& address) override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) override;
    vm::StorageStatus set_storage(const Address& address, const Uint256& slot,
                                  const Uint256& value) override;
    [[nodiscard]] Uint256 balance(const Address& address) override;
    [[nodiscard]] BytesView code(const Address& address) override;
    [[nodiscard]] Hash code_hash(const Address& address) override;
    [[nodiscard]] std::optional<Address> delegate_of(const Address& address) override;
    bool selfdestruct(const Address& address, const Address& beneficiary) override;
    [[nodiscard]] const vm::TxContext& tx_context() override { return tx_; }
    [[nodiscard]] Hash block_hash(uint64_t number) override;
    void log(const Address& address, BytesView data, std::span<const Hash> topics) override;
    vm::Access access_account(const Address& address) override;
    vm::Access access_storage(const Address& address, const Uint256& slot) override;
    [[nodiscard]] Uint256 transient_storage(const Address& address, const Uint256& slot) override;
    void set_transient_storage(const Address& address, const Uint256& slot,
                               const Uint256& value) override;

private:
    [[nodiscard]] vm::CallResult enter_call(const vm::Message& message);
    [[nodiscard]] vm::CallResult enter_create(const vm::Message& message);
    [[nodiscard]] vm::CallResult initialize(const vm::Message& message, const Address& address);
    [[nodiscard]] vm::CallResult run_code(const vm::Message& message);
    [[nodiscard]] vm::CallResult deploy(vm::CallResult result, AccountEntry& created);
    void transfer(const vm::Message& message);
    /// The precompile that answers at this address.
    [[nodiscard]] std::optional<Address> precompile_at(const Address& address) const;
    [[nodiscard]] Caller caller_of(const vm::Message& message) const;

    World& world_;
    const ExecutionContext& context_;
    const vm::Rules& rules_;
    vm::TxContext tx_;
    vm::Interpreter interpreter_;
    bool defers_tip_ = false;
};

/// The address of a contract made by CREATE or a transaction (Yellow Paper equation 88).
[[nodiscard]] Address create_address(const Address& sender, uint64_t nonce);
/// EIP-1014.
[[nodiscard]] Address create2_address(const Address& sender, const Hash& salt, BytesView init_code);

}  // namespace trainyard::consensus
