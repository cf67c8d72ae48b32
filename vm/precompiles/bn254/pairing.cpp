// SPDX-License-Identifier: Apache-2.0
// The optimal ate pairing of BN254.
//
// Sources: Vercauteren, "Optimal pairings", ePrint 2008/096; Fuentes-Castaneda, Knapp, Rodriguez-
// Henriquez, "Faster hashing to G2", SAC 2011, section 5 (final exponentiation).
#include "vm/precompiles/bn254/twist.hpp"
#include "vm/precompiles/curve/pairing.hpp"

namespace trainyard::vm::bn254 {
namespace {

/// 6 x + 2 in signed digits of which no two neighbours are non-zero, least significant first.
consteval std::array<int8_t, 66> make_loop_digits() {
    std::array<int8_t, 66> digits{};
    auto n = static_cast<unsigned __int128>(kX) * 6 + 2;
    for (size_t i = 0; n != 0; ++i, n >>= 1) {
        if ((n & 1) == 0) continue;
        digits[i] = static_cast<int8_t>((n & 3) == 3 ? -1 : 1);
        n = digits[i] < 0 ? n + 1 : n - 1;
    }
    return digits;
}
constexpr auto kLoopDigits = make_loop_digits();
static_assert(kLoopDigits[64] == 0 && kLoopDigits[65] == 1);

struct State {
    G1 p;
    G2 q;
    curve::MovingPoint<Fp> t;
};

void multiply_by_line(Fp12& f, const curve::Line<Fp>& line, const G1& p) {
    f = f.times_013(line.y_part * p.y, line.x_part * p.x, line.free);
}

Fp12 miller_loop(std::span<State> states) {
    Fp12 f = Fp12::one();
    for (size_t i = kLoopDigits.size() - 1; i-- > 0;) {
        f = f.squared();
        for (auto& s : states) {
            multiply_by_line(f, s.t.double_step(kThreeTwistB), s.p);
            if (kLoopDigits[i] == 0) continue;
            multiply_by_line(f, s.t.add_step(kLoopDigits[i] > 0 ? s.q : -s.q), s.p);
        }
    }
    for (auto& s : states) {
        const G2 q1 = untwist_frobenius(s.q), q2 = untwist_frobenius(q1);
        multiply_by_line(f, s.t.add_step(q1), s.p);
        multiply_by_line(f, s.t.add_step(-q2), s.p);
    }
    return f;
}

/// f^x in the cyclotomic subgroup.
Fp12 power_x(const Fp12& f) {
    Fp12 r = f;
    for (int i = 61; i >= 0; --i) {
        r = r.cyclotomic_squared();
        if ((kX >> i & 1) != 0) r = r * f;
    }
    return r;
}

/// f^(2 x (6 x^2 + 3 x + 1) (p^12 - 1) / r).
Fp12 final_exponentiation(const Fp12& miller) {
    const Fp12 g = miller.conjugate() * miller.inverse();  // p^6 - 1
    const Fp12 f = g.frobenius_squared() * g;              // p^2 + 1
    const Fp12 x2 = power_x(f).cyclotomic_squared();
    const Fp12 x6 = x2.cyclotomic_squared() * x2;
    const Fp12 xx6 = power_x(x6);
    const Fp12 xxx12 = power_x(xx6.cyclotomic_squared());
    const Fp12 a = xxx12 * xx6 * x6;
    const Fp12 b = a * x2.conjugate();
    return a * xx6 * f * b.frobenius() * a.frobenius_squared() *
           (b * f.conjugate()).frobenius_squared().frobenius();
}

}  // namespace

Fp12 pairing_product(std::span<const Pair> pairs) {
    std::vector<State> states;
    for (const auto& [p, q] : pairs)
        if (!p.is_infinity() && !q.is_infinity())
            states.push_back({p, q, curve::MovingPoint<Fp>(q)});
    return final_exponentiation(miller_loop(states));
}

}  // namespace trainyard::vm::bn254
