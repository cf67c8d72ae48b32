// SPDX-License-Identifier: Apache-2.0
// The fast ways of the curves against plain ones: field operations, products, sums of products,
// pairings.
//
// Input: way 1 | numbers of 32 bytes, at most kNumbersMax of them count; zeros where it has ended.
#include <algorithm>

#include "core/assert.hpp"
#include "core/bytes.hpp"
#include "vm/precompiles/bls12381/curve.hpp"
#include "vm/precompiles/bn254/curve.hpp"

namespace trainyard::vm {
namespace {

using field::Limbs;

/// Enough to leave sum_of_products's windows for its buckets.
constexpr size_t kNumbersMax = 40;

class Numbers {
public:
    explicit Numbers(BytesView bytes) : bytes_(bytes) {}
    [[nodiscard]] size_t count() const { return std::min(bytes_.size() / 32, kNumbersMax); }
    Limbs<4> next() {
        std::array<uint8_t, 32> word{};
        const size_t size = std::min(bytes_.size(), word.size());
        std::copy_n(bytes_.begin(), size, word.begin());
        bytes_ = bytes_.subspan(size);
        return field::load_big_endian<4>(word.data());
    }

private:
    BytesView bytes_;
};

template <class F>
F element(Numbers& numbers) {
    typename F::Number n{};
    const auto low = numbers.next(), high = numbers.next();
    for (size_t i = 0; i < F::kLimbs; ++i) n[i] = i < 4 ? low[i] : high[i - 4];
    while (!field::is_less(n, F::kM.p)) field::shift_right(n, 1);
    return F::from_number(n);
}

template <class F>
void check_field(Numbers& numbers) {
    const F a = element<F>(numbers), b = element<F>(numbers);
    const auto& m = F::kM;
    const auto x = a.to_number(), y = b.to_number();
    ASSERT(field::add(x, y, m) == field::portable::add(x, y, m));
    ASSERT(field::subtract(x, y, m) == field::portable::subtract(x, y, m));
    ASSERT(field::multiply(x, y, m) == field::portable::multiply(x, y, m));
    const auto xy = field::product(x, y), xx = field::product(x, x);
    ASSERT(xy == field::multiply(x, y));
    ASSERT(field::reduce(xy, m) == field::portable::multiply(x, y, m));
    ASSERT(field::subtract_wide(xy, xx, m) == field::portable::subtract_wide(xy, xx, m));
    ASSERT(a.is_zero() || a * a.inverse() == F::one());
    const field::Fp2<F> c = {a, b};
    ASSERT(c.squared() == c * c);
    const auto root = c.squared().root();
    ASSERT(root && (*root == c || *root == -c));
}

/// The points are small multiples of the generator, some of them equal or opposite.
template <class Point>
void check_sum(Numbers& numbers, const Point& generator) {
    std::vector<bls12381::Product<Point>> products;
    curve::Jacobian sum(Point{});
    for (size_t count = numbers.count(); count > 0; --count) {
        const auto n = numbers.next();
        auto p = (Limbs<1>{n[3] % 5} * generator).to_affine();
        if ((n[3] & 8) != 0) p = -p;
        products.push_back({p, n});
        sum = sum + n * p;
    }
    ASSERT(bls12381::sum_of_products(std::span<const bls12381::Product<Point>>(products)) == sum);
}

/// e(a P, Q) e(-P, a Q) = 1
void check_pairing(Numbers& numbers) {
    using namespace bls12381;
    const auto a = numbers.next();
    const Pair pairs[] = {{(a * kGenerator1).to_affine(), kGenerator2},
                          {-kGenerator1, (a * kGenerator2).to_affine()}};
    ASSERT(pairing_product(pairs) == Fp12::one());
}

void check_bn254(Numbers& numbers) {
    const bn254::G1 p = {bn254::Fp::one(), bn254::Fp::from_int(2)};
    const auto n = numbers.next();
    ASSERT(bn254::multiply(p, n) == n * p);
}

}  // namespace
}  // namespace trainyard::vm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace trainyard;
    using namespace trainyard::vm;
    if (size == 0) return 0;
    Numbers numbers(BytesView(data + 1, size - 1));
    switch (data[0] % 6) {
        case 0:
            check_field<bn254::Fp>(numbers);
            break;
        case 1:
            check_field<bls12381::Fp>(numbers);
            break;
        case 2:
            check_sum(numbers, bls12381::kGenerator1);
            break;
        case 3:
            check_sum(numbers, bls12381::kGenerator2);
            break;
        case 4:
            check_pairing(numbers);
            break;
        default:
            check_bn254(numbers);
            break;
    }
    return 0;
}
