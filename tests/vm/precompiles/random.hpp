// SPDX-License-Identifier: Apache-2.0
// Repeatable numbers, field elements and points for the tests of the curves.
#pragma once

#include <random>

#include "vm/precompiles/curve/point.hpp"
#include "vm/precompiles/field/fp12.hpp"

namespace trainyard::vm {

class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}

    template <size_t N>
    field::Limbs<N> limbs() {
        field::Limbs<N> r;
        for (auto& limb : r) limb = engine_();
        return r;
    }
    template <class F>
    F fp() {
        auto n = limbs<F::kLimbs>();
        while (!field::is_less(n, F::kM.p)) field::shift_right(n, 1);
        return F::from_number(n);
    }
    template <class F>
    field::Fp2<F> fp2() {
        return {fp<F>(), fp<F>()};
    }
    template <class F>
    field::Fp6<F> fp6() {
        return {fp2<F>(), fp2<F>(), fp2<F>()};
    }
    template <class F>
    field::Fp12<F> fp12() {
        return {fp6<F>(), fp6<F>()};
    }
    /// Any point of y^2 = x^3 + b over Fp2, hardly ever one of the group.
    template <class F>
    curve::Affine<field::Fp2<F>> point_of_twist(const field::Fp2<F>& b) {
        for (;;) {
            const auto x = fp2<F>();
            if (const auto y = (x.squared() * x + b).root()) return {x, *y};
        }
    }
    template <class F>
    curve::Affine<F> point(const F& b) {
        for (;;) {
            const auto x = fp<F>();
            if (const auto y = (x.squared() * x + b).root()) return {x, *y};
        }
    }

private:
    std::mt19937_64 engine_;
};

}  // namespace trainyard::vm
