// SPDX-License-Identifier: Apache-2.0
// Many hashes at once equal the library's one by one, for every number of leaves.
#include "training/tile_hash.hpp"

#include <gtest/gtest.h>

#include "core/blob.hpp"
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
    for (const size_t stride : {kRowBytes, kRowBytes + 12, 5 * kRowBytes})
        for (const size_t count : {0UL, 1UL, 3UL, 31UL, 32UL, 33UL, 70UL, 300UL}) {
            const auto memory = some_bytes(count * 36 + (kRows - 1) * stride + kRowBytes);
            std::vector<cpu::TileRows> tiles;
            std::vector<Hash> due;
            for (size_t i = 0; i < count; ++i) {
                tiles.push_back({memory.data() + (i + 1) * 36, stride});
                due.push_back(leaf_of(tiles.back()));
            }
            std::vector<Hash> leaves(count);
            hash_tiles(leaves.data(), tiles);
            EXPECT_EQ(leaves, due) << count << " tiles, " << stride << " bytes apart";
        }
}

TEST(tile_hash, roots_of_every_count_equal_the_library) {
    for (size_t count = 0; count < 200; count += count < 40 ? 1 : 13) {
        std::vector<Hash> leaves;
        for (size_t i = 0; i < count; ++i) leaves.push_back(merkle::leaf(some_bytes(i)));
        EXPECT_EQ(hash_root(leaves), merkle::root(leaves)) << count << " leaves";
    }
}

TEST(tile_hash, roots_of_pieces_are_those_of_blobs_of_any_length) {
    const auto bytes = some_bytes(300 * blob::kPieceBytes);
    Pool three(3);
    for (const size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 128 * 4096UL, 128 * 4096UL + 1,
                              160 * 4096UL, 257 * 4096UL + 7}) {
        const BytesView some(bytes.data() + 3, size);
        EXPECT_EQ(piece_root(some), blob::root(some)) << size;
        EXPECT_EQ(piece_root(some, &three), blob::root(some)) << size;
    }
}

}  // namespace
}  // namespace trainyard::training
