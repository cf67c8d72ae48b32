// SPDX-License-Identifier: Apache-2.0
// Overrides to a diff and a list of moved precompiles.
#include "consensus/transition/overrides.hpp"

#include "core/hash.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::consensus {
namespace {

using Kind = OverrideError::Kind;

/// An override that names no field creates no account.
bool says_something(const AccountOverride& change) {
    return change.nonce || change.balance || change.code || change.state ||
           !change.state_diff.empty();
}

Result<Done, OverrideError> move_precompile(const Address& from, const StateOverrides& all,
                                            const vm::Rules& rules, MovedPrecompiles& moved) {
    const auto& to = all.at(from).move_precompile_to;
    const bool is_precompile = vm::is_precompile(from, rules.revision);
    if (to && !is_precompile) return unexpected(OverrideError{Kind::not_a_precompile, from});
    if (to && *to == from) return unexpected(OverrideError{Kind::moves_to_itself, from});
    if (to && all.contains(*to)) return unexpected(OverrideError{Kind::target_overridden, *to});
    if (to) moved[*to] = from;
    if (is_precompile) moved.try_emplace(from, std::nullopt);
    return Done{};
}

}  // namespace

Result<AppliedOverrides, OverrideError> apply_overrides(const state::StateView& view,
                                                        const StateOverrides& overrides,
                                                        const vm::Rules& rules) {
    AppliedOverrides out;
    for (const auto& [address, change] : overrides) {
        if (auto ok = move_precompile(address, overrides, rules, out.moved); !ok)
            return unexpected(ok.error());
        if (!says_something(change)) continue;
        const auto before = view.account(address).value_or(state::Account{});
        state::AccountChange after;
        after.nonce = change.nonce.value_or(before.nonce);
        after.balance = change.balance.value_or(before.balance);
        after.code_hash = before.code_hash;
        if (change.code) {
            after.code_hash = keccak256(*change.code);
            if (!change.code->empty()) out.diff.codes[after.code_hash] = *change.code;
        }
        after.storage_cleared = change.state.has_value();
        after.storage = change.state.value_or(change.state_diff);
        out.diff.accounts[address] = std::move(after);
    }
    return out;
}

}  // namespace trainyard::consensus
