// SPDX-License-Identifier: Apache-2.0
// Constants of BLS12-381 that the compiler computes.
#include "vm/precompiles/bls12381/twist.hpp"

namespace trainyard::vm {
namespace {
using bls12381::Fp;
constexpr field::Frobenius<Fp> kPowers = field::make_frobenius<Fp>();
}  // namespace

template <>
constinit const field::Frobenius<Fp> field::Tower<Fp>::kFrobenius = kPowers;

constinit const bls12381::PsiFactors bls12381::kPsi = {kPowers.gamma[2].inverse(),
                                                       kPowers.gamma[3].inverse()};
}  // namespace trainyard::vm
