// SPDX-License-Identifier: Apache-2.0
// Elements of a prime field, in Montgomery form and always reduced. Time depends on the values: all
// of them are public.
#pragma once

#include <optional>

#include "vm/precompiles/field/arithmetic.hpp"
#include "vm/precompiles/field/inverse.hpp"

namespace trainyard::vm::field {

/// `P` names the field: P::kModulus, and P::kXi for the tower above it (fp2.hpp).
template <class P>
class PrimeField {
public:
    static constexpr size_t kLimbs = P::kModulus.size();
    static constexpr size_t kBytes = 8 * kLimbs;
    static constexpr Modulus<kLimbs> kM = make_modulus(P::kModulus);
    using Params = P;
    using Number = Limbs<kLimbs>;
    using Wide = Limbs<2 * kLimbs>;

    constexpr PrimeField() = default;  // zero
    static constexpr PrimeField one() { return PrimeField(kM.one); }
    static constexpr PrimeField from_number(const Number& n) {  // n < p
        return PrimeField(n) * PrimeField(kM.r_squared);
    }
    static constexpr PrimeField from_int(uint64_t n) { return from_number(Number{n}); }

    /// kBytes bytes, most significant first; nullopt unless the number is below the modulus.
    static std::optional<PrimeField> decode(const uint8_t* bytes) {
        const Number n = load_big_endian<kLimbs>(bytes);
        if (!is_less(n, kM.p)) return std::nullopt;
        return from_number(n);
    }
    void encode(uint8_t* bytes) const { store_big_endian(bytes, to_number()); }

    [[nodiscard]] constexpr Number to_number() const {
        Wide wide{};
        for (size_t i = 0; i < kLimbs; ++i) wide[i] = m_[i];
        return field::reduce(wide, kM);
    }
    [[nodiscard]] constexpr bool is_zero() const { return field::is_zero(m_); }
    constexpr bool operator==(const PrimeField&) const = default;

    friend constexpr PrimeField operator+(const PrimeField& a, const PrimeField& b) {
        return PrimeField(add(a.m_, b.m_, kM));
    }
    friend constexpr PrimeField operator-(const PrimeField& a, const PrimeField& b) {
        return PrimeField(field::subtract(a.m_, b.m_, kM));
    }
    /// Long, and called from everywhere.
    [[gnu::noinline]] friend constexpr PrimeField operator*(const PrimeField& a,
                                                            const PrimeField& b) {
        return PrimeField(field::multiply(a.m_, b.m_, kM));
    }
    constexpr PrimeField operator-() const { return PrimeField() - *this; }
    [[nodiscard]] constexpr PrimeField squared() const { return *this * *this; }
    [[nodiscard]] constexpr PrimeField doubled() const { return *this + *this; }

    /// Half of it: (a + p) / 2 where a is odd.
    [[nodiscard]] constexpr PrimeField halved() const {
        PrimeField r = *this;
        if ((r.m_[0] & 1) != 0) add_to(r.m_, kM.p);
        shift_right(r.m_, 1);
        return r;
    }

    /// By windows of four bits.
    [[nodiscard]] constexpr PrimeField power(const Number& exponent) const {
        PrimeField powers[16] = {one()};
        for (size_t i = 1; i < 16; ++i) powers[i] = powers[i - 1] * *this;
        PrimeField r = one();
        for (size_t from = 64 * kLimbs; from > 0;) {
            from -= 4;
            if (r != one())
                for (int i = 0; i < 4; ++i) r = r.squared();
            const uint64_t digit = bits_of(exponent, from, 4);
            if (digit != 0) r = r * powers[digit];
        }
        return r;
    }

    /// 1/a, and 0 for 0.
    [[nodiscard]] constexpr PrimeField inverse() const {
        if (!std::is_constant_evaluated()) {
            if (is_zero()) return *this;
            const PrimeField r_squared(kM.r_squared);  // of (a R)^-1 they make a^-1 R
            return PrimeField(inverse_of(m_, kM)) * r_squared * r_squared;
        }
        Number exponent = kM.p;
        exponent[0] -= 2;
        return power(exponent);
    }

    /// a^((p + 1) / 4): a root of a or, where there is none, of -a, because p is 3 mod 4.
    [[nodiscard]] constexpr PrimeField root_of_this_or_minus() const {
        static_assert(P::kModulus[0] % 4 == 3);
        Number exponent = kM.p;
        shift_right(exponent, 2);
        exponent[0] += 1;
        return power(exponent);
    }
    [[nodiscard]] constexpr std::optional<PrimeField> root() const {
        const PrimeField r = root_of_this_or_minus();
        if (r.squared() != *this) return std::nullopt;
        return r;
    }

    // Products that are reduced later.
    static constexpr Wide product(const PrimeField& a, const PrimeField& b) {
        return field::product(a.m_, b.m_);
    }
    static constexpr PrimeField reduce(const Wide& a) { return PrimeField(field::reduce(a, kM)); }
    /// a - b, or a - b + p R where that is negative.
    static constexpr Wide subtract(const Wide& a, const Wide& b) {
        return field::subtract_wide(a, b, kM);
    }

private:
    constexpr explicit PrimeField(const Number& montgomery) : m_(montgomery) {}
    Number m_{};
};

}  // namespace trainyard::vm::field
