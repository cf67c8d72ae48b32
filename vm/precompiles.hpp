// SPDX-License-Identifier: Apache-2.0
// The contracts that are part of the machine. Those missing from the table do not exist: their
// addresses are empty accounts.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "vm/host.hpp"
#include "vm/revision.hpp"

namespace trainyard::vm {

[[nodiscard]] bool is_precompile(const Address& address, Revision revision);

/// The addresses that EIP-2929 calls warm from the start, in order.
[[nodiscard]] const std::vector<Address>& precompiles_of(Revision revision);

/// Runs the precompile at `address`, which must be one. Too little gas or bad input: all gas is
/// gone.
[[nodiscard]] CallResult run_precompile(const Address& address, Revision revision, BytesView input,
                                        int64_t gas);

namespace precompile {
/// Input and output of one precompile; nullopt is failure. Gas is paid before.
using Output = std::optional<Bytes>;

/// The price where no gas limit could pay it.
inline constexpr int64_t kUnpayable = INT64_MAX;

[[nodiscard]] int64_t modexp_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output modexp(BytesView input, const Rules& rules);
[[nodiscard]] int64_t blake2f_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output blake2f(BytesView input, const Rules& rules);
[[nodiscard]] int64_t p256_verify_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output p256_verify(BytesView input, const Rules& rules);
}  // namespace precompile

}  // namespace trainyard::vm
