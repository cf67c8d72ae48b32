// SPDX-License-Identifier: Apache-2.0
// Freivalds' check: right products pass, wrong elements are named, and only known vectors are
// fooled.
#include "training/freivalds.hpp"

#include <gtest/gtest.h>

#include "training/numerics/philox.hpp"

namespace trainyard::training {
namespace {

/// The stream of SplitMix64.
std::vector<uint64_t> words(uint64_t seed, size_t count) {
    std::vector<uint64_t> out;
    while (out.size() < count) {
        uint64_t z = seed += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        out.push_back(z ^ (z >> 31));
    }
    return out;
}

std::vector<int8_t> bytes(uint32_t stream, size_t count) {
    std::vector<int8_t> out(count);
    for (uint32_t i = 0; i < count; ++i)
        out[i] = static_cast<int8_t>(philox({i, stream, 0, 0}, 1, 2)[0] % 256);
    for (auto& x : out)
        if (x == -128) x = -127;
    return out;
}

struct Product {
    size_t m, n, k;
    std::vector<int8_t> a = bytes(1, m*k), b = bytes(2, k*n);
    std::vector<int32_t> c = std::vector<int32_t>(m * n);

    Product(size_t m_, size_t n_, size_t k_) : m(m_), n(n_), k(k_) {
        for (size_t i = 0; i < m; ++i)
            for (size_t l = 0; l < k; ++l)
                for (size_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
    }
    [[nodiscard]] std::optional<size_t> wrong_row(uint64_t seed) const {
        return first_wrong_row({a, b, c, m, n, k}, words(seed, kFreivaldsVectors * n));
    }
};

TEST(freivalds, right_products_of_any_shape_pass) {
    for (const Product& p : {Product(1, 1, 1), Product(7, 16, 33), Product(64, 5, 300)})
        for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(p.wrong_row(seed), std::nullopt);
}

TEST(freivalds, one_wrong_element_is_found_in_its_row) {
    Product p(9, 16, 20);
    for (const int32_t error : {1, -1, 1 << 20, 1 << 16}) {
        p.c[5 * 16 + 3] += error;
        for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(p.wrong_row(seed), 5U) << error;
        p.c[5 * 16 + 3] -= error;
    }
}

/// An error of 2^63 would vanish modulo 2^64 for half of all vectors; elements are bounded first.
TEST(freivalds, an_element_beyond_every_product_is_refused) {
    Product p(2, 2, 1);
    p.c[3] = 127 * 127 + 1;
    EXPECT_EQ(p.wrong_row(1), 1U);
    p.c[3] = INT32_MIN;
    EXPECT_EQ(p.wrong_row(1), 1U);
}

/// A row that is orthogonal to both vectors of words(34, 32) modulo 2^64: the shortest that LLL
/// found, in a program of its own.
constexpr int32_t kForged[16] = {96, -181, -29, -21, 0,  -144, 105, 128,
                                 33, 186,  53,  -60, 92, -111, -13, 44};

TEST(freivalds, a_row_forged_against_known_vectors_passes_them_and_no_secret_ones) {
    Product p(3, 16, 40);
    for (size_t j = 0; j < 16; ++j) p.c[16 + j] += kForged[j];
    EXPECT_EQ(p.wrong_row(34), std::nullopt) << "the vectors were known to the forger";
    for (uint64_t seed = 0; seed < 200; ++seed)
        if (seed != 34) {
            EXPECT_EQ(p.wrong_row(seed), 1U) << seed;
        }
}

}  // namespace
}  // namespace trainyard::training
