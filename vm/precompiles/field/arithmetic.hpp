// SPDX-License-Identifier: Apache-2.0
// Modular arithmetic by the fastest way that this machine has.
#pragma once

#include <type_traits>

#include "vm/precompiles/field/montgomery_adx.hpp"

namespace trainyard::vm::field {

/// a + b mod p.
template <size_t N>
[[gnu::always_inline]] constexpr Limbs<N> add(const Limbs<N>& a, const Limbs<N>& b,
                                              const Modulus<N>& m) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated()) return adx::add(a, b, m);
#endif
    return portable::add(a, b, m);
}

/// a - b mod p.
template <size_t N>
[[gnu::always_inline]] constexpr Limbs<N> subtract(const Limbs<N>& a, const Limbs<N>& b,
                                                   const Modulus<N>& m) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated()) return adx::subtract(a, b, m);
#endif
    return portable::subtract(a, b, m);
}

/// a b / R mod p.
template <size_t N>
[[gnu::always_inline]] constexpr Limbs<N> multiply(const Limbs<N>& a, const Limbs<N>& b,
                                                   const Modulus<N>& m) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated() && adx::kIsPresent) return adx::multiply(a, b, m);
#endif
    return portable::multiply(a, b, m);
}

/// a b
template <size_t N>
[[gnu::always_inline]] constexpr Limbs<2 * N> product(const Limbs<N>& a, const Limbs<N>& b) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated() && adx::kIsPresent) return adx::product(a, b);
#endif
    return multiply(a, b);
}

/// a / R mod p, where a < p R.
template <size_t M>
[[gnu::always_inline]] constexpr Limbs<M / 2> reduce(const Limbs<M>& a, const Modulus<M / 2>& m) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated() && adx::kIsPresent) return adx::reduce(a, m);
#endif
    return portable::reduce<M / 2>(a, m);
}

/// a - b, or a - b + p R where that is negative; a, b < p R.
template <size_t M>
[[gnu::always_inline]] constexpr Limbs<M> subtract_wide(const Limbs<M>& a, const Limbs<M>& b,
                                                        const Modulus<M / 2>& m) {
#ifdef TRAINYARD_ADX
    if (!std::is_constant_evaluated()) return adx::subtract_wide(a, b, m);
#endif
    return portable::subtract_wide(a, b, m);
}

}  // namespace trainyard::vm::field
