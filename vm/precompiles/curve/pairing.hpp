// SPDX-License-Identifier: Apache-2.0
// What the two pairings share: lines through points of the twist, and a Miller loop over many pairs
// that squares once for all of them.
//
// Source: Aranha et al., "Faster explicit formulas for computing pairings over ordinary curves",
// ePrint 2010/526, section 4; Costello, Lange, Naehrig, ePrint 2009/615.
#pragma once

#include "vm/precompiles/curve/point.hpp"
#include "vm/precompiles/field/fp12.hpp"

namespace trainyard::vm::curve {

/// A line through points of the twist. At (x, y) of the curve it is free + x_part x w + y_part y
/// w^?, where the powers of w depend on the type of the twist.
template <class F>
struct Line {
    field::Fp2<F> free, x_part, y_part;
};

/// A multiple T of a point Q of the twist, in homogeneous coordinates, and the lines met on the
/// way.
template <class F>
class MovingPoint {
public:
    using Coordinate = field::Fp2<F>;

    explicit MovingPoint(const Affine<Coordinate>& q) : x_(q.x), y_(q.y), z_(Coordinate::one()) {}

    /// T = 2 T; gives the tangent at T. `b3` is three times the twist's b.
    Line<F> double_step(const Coordinate& b3) {
        const Coordinate half_xy = (x_ * y_).halved(), yy = y_.squared(), zz = z_.squared();
        const Coordinate e = zz * b3, f = e.doubled() + e, g = (yy + f).halved();
        const Coordinate h = (y_ + z_).squared() - yy - zz, xx = x_.squared(), ee = e.squared();
        x_ = half_xy * (yy - f);
        y_ = g.squared() - (ee.doubled() + ee);
        z_ = yy * h;
        return {e - yy, xx.doubled() + xx, -h};
    }

    /// T = T + Q; gives the line through them. T is neither Q nor -Q.
    Line<F> add_step(const Affine<Coordinate>& q) {
        const Coordinate o = y_ - q.y * z_, l = x_ - q.x * z_;
        const Coordinate ll = l.squared(), lll = l * ll, f = z_ * o.squared(), g = x_ * ll;
        const Coordinate h = lll + f - g.doubled();
        x_ = l * h;
        y_ = o * (g - h) - lll * y_;
        z_ = z_ * lll;
        return {o * q.x - l * q.y, -o, l};
    }

private:
    Coordinate x_, y_, z_;
};

}  // namespace trainyard::vm::curve
