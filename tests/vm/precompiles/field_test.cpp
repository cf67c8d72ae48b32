// SPDX-License-Identifier: Apache-2.0
// The fields and towers of both curves: laws of a field, and each shortcut against the plain way.
#include <gtest/gtest.h>

#include "tests/vm/precompiles/random.hpp"
#include "vm/precompiles/bls12381/curve.hpp"
#include "vm/precompiles/bn254/curve.hpp"

namespace trainyard::vm {
namespace {

template <class F>
class Fields : public testing::Test {
public:
    Random random{1};
};
using Both = testing::Types<bn254::Fp, bls12381::Fp>;
TYPED_TEST_SUITE(Fields, Both);

/// The numbers at which carries and reductions happen.
template <class F>
std::vector<F> borders() {
    auto last = F::kM.p;
    last[0] -= 1;
    auto half = F::kM.p;
    field::shift_right(half, 1);
    return {F(), F::one(), F::from_int(2), -F::one(), F::from_number(last), F::from_number(half)};
}

TYPED_TEST(Fields, products_follow_the_laws) {
    using F = TypeParam;
    auto elements = borders<F>();
    for (int i = 0; i < 20; ++i) elements.push_back(this->random.template fp<F>());
    for (const F& a : elements)
        for (const F& b : elements) {
            ASSERT_EQ(a * b, b * a);
            ASSERT_EQ((a + b) * (a - b), a.squared() - b.squared());
            ASSERT_EQ((a + b).squared(), a.squared() + (a * b).doubled() + b.squared());
            ASSERT_EQ(a - b, a + -b);
            ASSERT_EQ(a.halved().doubled(), a);
        }
}

TYPED_TEST(Fields, the_fastest_arithmetic_equals_the_portable_one) {
    using F = TypeParam;
    const auto& m = F::kM;
    std::vector<typename F::Number> numbers;
    for (const F& a : borders<F>()) numbers.push_back(a.to_number());
    for (int i = 0; i < 100; ++i) numbers.push_back(this->random.template fp<F>().to_number());
    for (const auto& a : numbers)
        for (const auto& b : numbers) {
            ASSERT_EQ(field::add(a, b, m), field::portable::add(a, b, m));
            ASSERT_EQ(field::subtract(a, b, m), field::portable::subtract(a, b, m));
            ASSERT_EQ(field::multiply(a, b, m), field::portable::multiply(a, b, m));
            const auto ab = field::product(a, b), aa = field::product(a, a);
            ASSERT_EQ(ab, field::multiply(a, b));
            ASSERT_EQ(field::reduce(ab, m), field::portable::multiply(a, b, m));
            ASSERT_EQ(field::subtract_wide(ab, aa, m), field::portable::subtract_wide(ab, aa, m));
        }
}

TYPED_TEST(Fields, bytes_go_there_and_back) {
    using F = TypeParam;
    uint8_t bytes[F::kBytes];
    for (const F& a : borders<F>()) {
        a.encode(bytes);
        EXPECT_EQ(F::decode(bytes), a);
    }
    field::store_big_endian(bytes, F::kM.p);
    EXPECT_EQ(F::decode(bytes), std::nullopt);
    std::fill(std::begin(bytes), std::end(bytes), 0xff);
    EXPECT_EQ(F::decode(bytes), std::nullopt);
}

TYPED_TEST(Fields, inverses_are_inverse) {
    using F = TypeParam;
    EXPECT_TRUE(F().inverse().is_zero());
    for (const F& a : borders<F>()) EXPECT_EQ(a * a.inverse(), a.is_zero() ? F() : F::one());
    for (int i = 0; i < 200; ++i) {
        const F a = this->random.template fp<F>();
        ASSERT_EQ(a * a.inverse(), F::one());
    }
    const auto x = this->random.template fp2<F>();
    EXPECT_EQ(x * x.inverse(), field::Fp2<F>::one());
    const auto y = this->random.template fp12<F>();
    EXPECT_EQ(y * y.inverse(), field::Fp12<F>::one());
}

TYPED_TEST(Fields, squares_have_roots_and_others_have_none) {
    using F = TypeParam;
    int roots = 0;
    for (int i = 0; i < 40; ++i) {
        const auto x = this->random.template fp2<F>();
        const auto root = x.squared().root();
        ASSERT_TRUE(root && (*root == x || *root == -x));
        EXPECT_EQ((x.squared() * field::Fp2<F>::xi()).root(), std::nullopt);
        roots += this->random.template fp<F>().root() ? 1 : 0;
    }
    EXPECT_GT(roots, 5);
    EXPECT_LT(roots, 35);
    const field::Fp2<F> minus_one = {-F::one(), {}};
    EXPECT_EQ(minus_one.root()->squared(), minus_one);
}

TYPED_TEST(Fields, squaring_equals_multiplying_by_itself) {
    using F = TypeParam;
    const auto x = this->random.template fp2<F>();
    EXPECT_EQ(x.squared(), x * x);
    const auto y = this->random.template fp12<F>();
    EXPECT_EQ(y.squared(), y * y);
}

TYPED_TEST(Fields, frobenius_is_the_pth_power) {
    using F = TypeParam;
    using F12 = field::Fp12<F>;
    const auto x = this->random.template fp12<F>();
    F12 power = F12::one();
    for (size_t i = 64 * F::kLimbs; i-- > 0;) {
        power = power * power;
        if (field::bit_of(F::kM.p, i)) power = power * x;
    }
    EXPECT_EQ(x.frobenius(), power);
    EXPECT_EQ(x.frobenius().frobenius(), x.frobenius_squared());
    EXPECT_EQ(x.frobenius_squared().frobenius_squared().frobenius_squared(), x.conjugate());
}

TYPED_TEST(Fields, cyclotomic_squaring_equals_squaring_in_its_subgroup) {
    using F = TypeParam;
    const auto x = this->random.template fp12<F>();
    const auto g = x.conjugate() * x.inverse();
    const auto f = g.frobenius_squared() * g;
    EXPECT_EQ(f.cyclotomic_squared(), f * f);
    EXPECT_NE(x.cyclotomic_squared(), x * x);
}

TYPED_TEST(Fields, sparse_products_equal_full_ones) {
    using F = TypeParam;
    using F12 = field::Fp12<F>;
    const auto f = this->random.template fp12<F>();
    const auto k = this->random.template fp2<F>(), l = this->random.template fp2<F>(),
               m = this->random.template fp2<F>();
    EXPECT_EQ(f.times_023(k, l, m), f * (F12{{k, l, {}}, {{}, m, {}}}));
    EXPECT_EQ(f.times_013(k, l, m), f * (F12{{k, {}, {}}, {l, m, {}}}));
}

}  // namespace
}  // namespace trainyard::vm
