// SPDX-License-Identifier: Apache-2.0
// Constants of BN254 that the compiler computes.
#include "vm/precompiles/bn254/twist.hpp"

namespace trainyard::vm::bn254 {
namespace {
constexpr Fp2 kB = Fp2{Fp::from_int(3), {}} * Fp2::xi().inverse();
}
constinit const Fp2 kTwistB = kB;
constinit const Fp2 kThreeTwistB = kB + kB + kB;
}  // namespace trainyard::vm::bn254

namespace trainyard::vm::field {
template <>
constinit const Frobenius<bn254::Fp> Tower<bn254::Fp>::kFrobenius = make_frobenius<bn254::Fp>();
}  // namespace trainyard::vm::field
