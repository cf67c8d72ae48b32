// SPDX-License-Identifier: Apache-2.0
// Trees over the tiles of tensors equal the plain definition: for odd shapes, at odd addresses, on
// any number of threads.
#include "training/tiles.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/merkle.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {
namespace {

/// Edges of tiles and of blocks of 128 of them, and many that are small.
std::vector<Tensor> some_tensors() {
    std::vector<Shape> shapes{
        Shape::vector(1),        Shape::vector(1024),           Shape::vector(128 * 1024),
        Shape::matrix(33, 70),   Shape::vector(128 * 1024 + 1), Shape::matrix(32 * 128, 32),
        Shape::matrix(31, 9000), Shape::matrix(1000, 333),      Shape::matrix(32, 32 * 129)};
    shapes.insert(shapes.end(), 150, Shape::matrix(3, 40));
    std::vector<Tensor> out;
    uint32_t number = 0;
    for (const Shape& shape : shapes) {
        Tensor tensor = Tensor::zeros(shape);
        for (float& x : tensor.data) x = static_cast<float>(philox({++number, 0, 0, 0}, 7, 1)[0]);
        out.push_back(std::move(tensor));
    }
    return out;
}

std::vector<Hash> plain_leaves(const Tensor& tensor) {
    std::vector<Hash> out;
    for (uint32_t i = 0; i < tile_count(tensor.shape); ++i)
        out.push_back(tile_leaf(read_tile(tensor, i)));
    return out;
}

TEST(tiles, roots_equal_those_over_single_tiles_wherever_the_bytes_begin) {
    const auto tensors = some_tensors();
    std::vector<Hash> due;
    for (const Tensor& t : tensors) due.push_back(merkle::root(plain_leaves(t)));
    Pool three(3);
    for (const size_t shift : {0UL, 1UL, 6UL}) {
        Bytes moved(shift);
        for (const Tensor& t : tensors)
            append(moved, {reinterpret_cast<const uint8_t*>(t.data.data()),
                           t.data.size() * sizeof(float)});
        std::vector<TensorBytes> where;
        const uint8_t* at = moved.data() + shift;
        for (const Tensor& t : tensors) {
            where.emplace_back(at, t.shape);
            at += where.back().size();
        }
        EXPECT_EQ(tile_roots(where), due) << shift;
        EXPECT_EQ(tile_roots(where, &three), due) << shift;
    }
    EXPECT_TRUE(tile_roots({}, &three).empty());
}

TEST(tiles, paths_lead_from_every_kind_of_tile_of_every_tensor_to_the_root) {
    Pool three(3);
    const auto tensors = some_tensors();
    const std::vector<TensorBytes> where(tensors.begin(), tensors.end());
    for (Pool* pool : {static_cast<Pool*>(nullptr), &three}) {
        const TileTrees trees(where, pool);
        EXPECT_EQ(trees.roots(pool), tile_roots(where));
        for (size_t k = 0; k < tensors.size(); ++k) {
            const auto leaves = plain_leaves(tensors[k]);
            EXPECT_EQ(tile_leaves(tensors[k]), leaves);
            const auto count = static_cast<uint32_t>(leaves.size());
            for (const uint32_t i : {0U, count / 2, count - 1})
                EXPECT_EQ(trees.path(k, i), merkle::path(leaves, i)) << k << " tile " << i;
        }
    }
}

TEST(tiles, an_element_is_inside_where_a_tensor_of_ones_has_a_one) {
    for (Tensor ones : some_tensors()) {
        std::fill(ones.data.begin(), ones.data.end(), 1.0F);
        for (uint32_t i = 0; i < tile_count(ones.shape); ++i) {
            const auto tile = read_tile(ones, i);
            const std::vector<bool> due(tile.begin(), tile.end());
            ASSERT_EQ(inside_tile(ones.shape, i), due) << i;
        }
    }
}

TEST(tiles, their_trees_take_little_memory) {
    const std::vector<Shape> shapes{Shape::matrix(50257, 768), Shape::vector(768)};
    EXPECT_LT(tile_roots_bytes(shapes), (uint64_t{50257} * 768 * 4) >> 10);
}

}  // namespace
}  // namespace trainyard::training
