// SPDX-License-Identifier: Apache-2.0
// Do the system contracts of a genesis count epochs as its settings do?
#pragma once

#include "core/result.hpp"
#include "node/config/error.hpp"
#include "node/config/genesis.hpp"

namespace trainyard::node::config {

/// The world before block 0.
class EmptyView final : public state::StateView {
public:
    [[nodiscard]] std::optional<state::Account> account(const Address&) const override {
        return std::nullopt;
    }
    [[nodiscard]] Uint256 storage(const Address&, const Uint256&) const override { return {}; }
    [[nodiscard]] Bytes code(const Hash&) const override { return {}; }
};

/// Asks the Beacon and Staking of block 0 for the lengths that their constructors were given.
///
/// A chain whose contracts and nodes disagree would stop at its first boundary. Errors: `missing`:
/// no such contract; `mismatch`: another length than `config.trainyard` says.
[[nodiscard]] Result<Done, ConfigError> check_system_contracts(const Genesis& genesis);

}  // namespace trainyard::node::config
