// SPDX-License-Identifier: Apache-2.0
// The optimal ate pairing of BLS12-381.
//
// Sources: Vercauteren, "Optimal pairings", ePrint 2008/096; Hayashida, Hayasaka, Teruya,
// "Efficient final exponentiation via cyclotomic structure", ePrint 2020/875, section 5.
#include "vm/precompiles/bls12381/twist.hpp"

namespace trainyard::vm::bls12381 {
namespace {

constexpr Fp2 kThreeTwistB = kTwistB + kTwistB + kTwistB;
constexpr int kTopBit = 63;

/// The lines of a pair, made on the way.
struct MovingPair {
    G1 p;
    G2 q;
    curve::MovingPoint<Fp> t;

    explicit MovingPair(const Pair& pair) : p(pair.p), q(pair.q), t(pair.q) {}
    curve::Line<Fp> next_tangent() { return t.double_step(kThreeTwistB); }
    curve::Line<Fp> next_chord() { return t.add_step(q); }
};

/// The lines of a pair, from a table.
struct ReadingPair {
    G1 p;
    const curve::Line<Fp>* line;

    explicit ReadingPair(const FixedPair& pair) : p(pair.p), line(pair.lines->data()) {}
    const curve::Line<Fp>& next_tangent() { return *line++; }
    const curve::Line<Fp>& next_chord() { return *line++; }
};

void multiply_by_line(Fp12& f, const curve::Line<Fp>& line, const G1& p) {
    f = f.times_023(line.free, line.x_part * p.x, line.y_part * p.y);
}

template <class State>
Fp12 miller_loop(std::span<State> states) {
    Fp12 f = Fp12::one();
    for (int i = kTopBit - 1; i >= 0; --i) {
        f = f.squared();
        for (auto& s : states) multiply_by_line(f, s.next_tangent(), s.p);
        if ((kMinusZ >> i & 1) != 0)
            for (auto& s : states) multiply_by_line(f, s.next_chord(), s.p);
    }
    return f.conjugate();  // z is negative
}

/// f^z in the cyclotomic subgroup.
Fp12 power_z(const Fp12& f) {
    Fp12 r = f;
    for (int i = kTopBit - 1; i >= 0; --i) {
        r = r.cyclotomic_squared();
        if ((kMinusZ >> i & 1) != 0) r = r * f;
    }
    return r.conjugate();
}

/// f^(3 (p^12 - 1) / r), where 3 (p^4 - p^2 + 1) / r = (z - 1)^2 (z + p) (z^2 + p^2 - 1) + 3.
Fp12 final_exponentiation(const Fp12& miller) {
    const Fp12 g = miller.conjugate() * miller.inverse();  // p^6 - 1
    const Fp12 f = g.frobenius_squared() * g;              // p^2 + 1
    const Fp12 a = power_z(f) * f.conjugate();
    const Fp12 b = power_z(a) * a.conjugate();
    const Fp12 c = power_z(b) * b.frobenius();
    const Fp12 d = power_z(power_z(c)) * c.frobenius_squared() * c.conjugate();
    return d * f.cyclotomic_squared() * f;
}

}  // namespace

Fp12 pairing_product(std::span<const Pair> pairs) {
    std::vector<MovingPair> states;
    for (const auto& pair : pairs)
        if (!pair.p.is_infinity() && !pair.q.is_infinity()) states.emplace_back(pair);
    return final_exponentiation(miller_loop<MovingPair>(states));
}

Fp12 pairing_product(std::span<const FixedPair> pairs) {
    std::vector<ReadingPair> states;
    for (const auto& pair : pairs)
        if (!pair.p.is_infinity()) states.emplace_back(pair);
    return final_exponentiation(miller_loop<ReadingPair>(states));
}

Lines make_lines(const G2& q) {
    Lines lines;
    MovingPair state({{}, q});
    for (int i = kTopBit - 1; i >= 0; --i) {
        lines.push_back(state.next_tangent());
        if ((kMinusZ >> i & 1) != 0) lines.push_back(state.next_chord());
    }
    return lines;
}

}  // namespace trainyard::vm::bls12381
