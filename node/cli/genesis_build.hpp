// SPDX-License-Identifier: Apache-2.0
// From a chain spec and validators to a genesis file: runs the constructors of the system
// contracts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/config/genesis.hpp"

namespace trainyard::node::cli {

struct GenesisInputs {
    std::string spec;  ///< text of the chain spec, docs/spec/genesis.md section 1
    /// Text of an artifact by name; nullopt if there is none.
    std::function<std::optional<std::string>(const std::string& name)> artifact;
    std::vector<config::GenesisValidator> validators;
    Uint256 operator_balance_wei;  ///< given to each validator's account, for gas
    uint64_t timestamp = 0;
    Hash seed;  ///< of the chain's randomness
};

/// The chain spec with other numbers, each "name=number": of the spec itself and of its groups,
/// wherever the name stands; else of the one contract that has an argument of that name, or
/// "contract.name". Errors: unknown_key; bad_value (no number, or arguments of several contracts).
[[nodiscard]] Result<std::string, config::ConfigError> with_settings(
    const std::string& spec, const std::vector<std::string>& settings);

/// The block hash is filled in. Errors name the key of the spec, or the contract that failed.
[[nodiscard]] Result<config::Genesis, config::ConfigError> build_genesis(
    const GenesisInputs& inputs);

/// The artifacts inside this program.
[[nodiscard]] std::optional<std::string> embedded_artifact(const std::string& name);
[[nodiscard]] std::string embedded_devnet_spec();

}  // namespace trainyard::node::cli
