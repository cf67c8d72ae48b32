// SPDX-License-Identifier: Apache-2.0
// The contracts that are part of the machine. Those missing from the table do not exist: their
// addresses are empty accounts.
#pragma once

#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "vm/host.hpp"
#include "vm/revision.hpp"

namespace trainyard::vm {

[[nodiscard]] bool is_precompile(const Address& address, Revision revision);

/// The addresses that EIP-2929 calls warm from the start, in order.
[[nodiscard]] const std::vector<Address>& precompiles_of(Revision revision);

/// As EIP-7910 calls it, "ECREC"; empty if there is none at this address.
[[nodiscard]] std::string_view precompile_name(const Address& address, Revision revision);

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
[[nodiscard]] int64_t bn254_add_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bn254_add(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bn254_mul_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bn254_mul(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bn254_pairing_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bn254_pairing(BytesView input, const Rules& rules);
[[nodiscard]] int64_t blake2f_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output blake2f(BytesView input, const Rules& rules);
[[nodiscard]] int64_t point_evaluation_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output point_evaluation(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_g1_add_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_g1_add(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_g1_msm_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_g1_msm(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_g2_add_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_g2_add(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_g2_msm_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_g2_msm(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_pairing_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_pairing(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_map_fp_to_g1_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_map_fp_to_g1(BytesView input, const Rules& rules);
[[nodiscard]] int64_t bls_map_fp2_to_g2_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output bls_map_fp2_to_g2(BytesView input, const Rules& rules);
[[nodiscard]] int64_t p256_verify_gas(BytesView input, const Rules& rules);
[[nodiscard]] Output p256_verify(BytesView input, const Rules& rules);
}  // namespace precompile

}  // namespace trainyard::vm
