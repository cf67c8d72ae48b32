// SPDX-License-Identifier: Apache-2.0
// Precompiles of our own chains, which know what the EVM does not: keys, votes, the chain itself.
#pragma once

#include <string_view>
#include <vector>

#include "consensus/params.hpp"
#include "core/bytes.hpp"
#include "vm/host.hpp"

namespace trainyard::consensus {

/// The referee of disputes and the judge of double votes. Our own precompiles stand at 0x...0a00 to
/// 0x...0aff.
inline constexpr Address kRefereeAddress = address::from_words(0, 0, 0x0a02);
inline constexpr Address kDoubleVoteAddress = address::from_words(0, 0, 0x0a04);
/// Two signatures at ecrecover's price, and two digests of 114 bytes at keccak's (30 and 6 a word).
inline constexpr int64_t kDoubleVoteGas = 2 * (3000 + 30 + 4 * 6);

[[nodiscard]] bool is_own_precompile(const Address& address, const ChainConfig& config);
/// Their addresses; empty on chains without them.
[[nodiscard]] std::vector<Address> own_precompiles(const ChainConfig& config);
/// As EIP-7910 calls it; empty if there is none at this address.
[[nodiscard]] std::string_view own_precompile_name(const Address& address,
                                                   const ChainConfig& config);
/// The referee plays for the market alone, which keeps the hash of each state: to be handed a state
/// that no game leads to is no case of its rules. From anyone else it takes gas and gives nothing.
enum class Caller : uint8_t { anyone, market };
/// Runs the one at `address`, which must be one. Too little gas: all of it is gone.
[[nodiscard]] vm::CallResult run_own_precompile(const Address& address, const ChainConfig& config,
                                                BytesView input, int64_t gas,
                                                Caller caller = Caller::anyone);

}  // namespace trainyard::consensus
