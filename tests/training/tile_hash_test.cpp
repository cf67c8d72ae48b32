// SPDX-License-Identifier: Apache-2.0
// Sixteen hashes at once equal the library's one by one, for every number of leaves.
#include "training/tile_hash.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "core/merkle.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {
namespace {

std::vector<uint8_t> content_of(size_t bytes, size_t i) {
    std::vector<uint8_t> out(bytes);
    for (size_t k = 0; k < bytes; ++k)
        out[k] = static_cast<uint8_t>(
            philox({static_cast<uint32_t>(k), 0, 0, 0}, static_cast<uint32_t>(i), 3)[0]);
    return out;
}

TEST(tile_hash, leaves_and_roots_of_every_count_equal_the_library) {
    for (const size_t bytes : {1UL, 54UL, 55UL, 63UL, 64UL, 200UL, 4096UL})
        for (const size_t count : {0UL, 1UL, 3UL, 16UL, 17UL, 33UL, 70UL}) {
            std::vector<Hash> due;
            for (size_t i = 0; i < count; ++i) due.push_back(merkle::leaf(content_of(bytes, i)));
            const auto got = hash_tiles(count, bytes, [bytes](uint8_t* to, size_t i) {
                std::memcpy(to, content_of(bytes, i).data(), bytes);
            });
            EXPECT_EQ(got, due) << count << " tiles of " << bytes;
            EXPECT_EQ(hash_root(due), merkle::root(due)) << count << " leaves";
        }
}

}  // namespace
}  // namespace trainyard::training
