// SPDX-License-Identifier: Apache-2.0
// A world of two maps for tests of the interpreter alone; calls and creations succeed with what the
// test sets.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "core/hash.hpp"
#include "vm/host.hpp"
#include "vm/interpreter.hpp"

namespace trainyard::vm {

class MapHost final : public Host {
public:
    std::map<std::pair<Address, Uint256>, Uint256> slots, transient;
    std::map<Address, Uint256> balances;
    std::map<Address, Bytes> codes;
    std::set<Address> warm_accounts;
    std::set<std::pair<Address, Uint256>> warm_slots;
    std::vector<Message> calls;
    CallResult answer;
    TxContext context;
    int logs = 0;

    bool account_exists(const Address& a) override {
        return balances.contains(a) || codes.contains(a);
    }
    Uint256 storage(const Address& a, const Uint256& slot) override { return slots[{a, slot}]; }
    StorageStatus set_storage(const Address& a, const Uint256& slot,
                              const Uint256& value) override {
        auto& current = slots[{a, slot}];
        const auto status = storage_status(current, current, value);
        current = value;
        return status;
    }
    Uint256 balance(const Address& a) override { return balances[a]; }
    BytesView code(const Address& a) override { return codes[a]; }
    Hash code_hash(const Address& a) override { return keccak256(codes[a]); }
    std::optional<Address> delegate_of(const Address&) override { return std::nullopt; }
    bool selfdestruct(const Address&, const Address&) override { return true; }
    CallResult call(const Message& message) override {
        calls.push_back(message);
        return answer;
    }
    const TxContext& tx_context() override { return context; }
    Hash block_hash(uint64_t number) override { return to_hash(number); }
    void log(const Address&, BytesView, std::span<const Hash>) override { ++logs; }
    Access access_account(const Address& a) override {
        return warm_accounts.insert(a).second ? Access::cold : Access::warm;
    }
    Access access_storage(const Address& a, const Uint256& slot) override {
        return warm_slots.insert({a, slot}).second ? Access::cold : Access::warm;
    }
    Uint256 transient_storage(const Address& a, const Uint256& slot) override {
        return transient[{a, slot}];
    }
    void set_transient_storage(const Address& a, const Uint256& slot,
                               const Uint256& value) override {
        transient[{a, slot}] = value;
    }
};

/// Runs code given in hexadecimal with `gas` at `revision`.
inline CallResult run_hex(MapHost& host, std::string_view hex, int64_t gas = 1'000'000,
                          Revision revision = Revision::osaka, bool is_static = false) {
    const Bytes bytes = from_hex(hex).value();
    Message message;
    message.gas = gas;
    message.is_static = is_static;
    Interpreter interpreter(revision);
    return interpreter.run(host, message, Code(bytes));
}

}  // namespace trainyard::vm
