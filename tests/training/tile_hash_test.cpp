// SPDX-License-Identifier: Apache-2.0
// Many hashes at once equal the library's one by one, for every number of leaves.
#include "training/tile_hash.hpp"

#include <gtest/gtest.h>

#include "core/merkle.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {
namespace {

constexpr size_t kRows = 32, kRowBytes = 128;

std::vector<uint8_t> some_bytes(size_t count) {
    std::vector<uint8_t> out(count);
    for (size_t k = 0; k < count; ++k)
        out[k] = static_cast<uint8_t>(philox({static_cast<uint32_t>(k), 0, 0, 0}, 9, 3)[0]);
    return out;
}

Hash leaf_of(const cpu::TileRows& tile) {
    Bytes bytes;
    for (size_t r = 0; r < kRows; ++r) append(bytes, {tile.first + r * tile.stride, kRowBytes});
    return merkle::leaf(bytes);
}

TEST(tile_hash, leaves_of_every_count_and_stride_equal_the_library) {
    // Tiles start at odd places and end with the memory: nothing before or behind may be read.
    Pool two(2);
    for (const size_t stride : {kRowBytes, kRowBytes + 12, 5 * kRowBytes})
        for (const size_t count : {0UL, 1UL, 3UL, 31UL, 32UL, 33UL, 70UL, 300UL}) {
            const auto memory = some_bytes(count * 36 + (kRows - 1) * stride + kRowBytes);
            std::vector<cpu::TileRows> tiles;
            std::vector<Hash> due;
            for (size_t i = 0; i < count; ++i) {
                tiles.push_back({memory.data() + (i + 1) * 36, stride});
                due.push_back(leaf_of(tiles.back()));
            }
            EXPECT_EQ(hash_tiles(tiles), due) << count << " tiles, " << stride << " bytes apart";
            EXPECT_EQ(hash_tiles(tiles, &two), due) << count << " tiles on two threads";
        }
}

TEST(tile_hash, roots_of_every_count_equal_the_library) {
    for (size_t count = 0; count < 200; count += count < 40 ? 1 : 13) {
        std::vector<Hash> leaves;
        for (size_t i = 0; i < count; ++i) leaves.push_back(merkle::leaf(some_bytes(i)));
        EXPECT_EQ(hash_root(leaves), merkle::root(leaves)) << count << " leaves";
    }
}

}  // namespace
}  // namespace trainyard::training
