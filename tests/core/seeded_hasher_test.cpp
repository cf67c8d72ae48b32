// SPDX-License-Identifier: Apache-2.0
// A hash table's places under keys that somebody chose.
#include <set>

#include <gtest/gtest.h>

#include "core/seeded_hasher.hpp"

namespace trainyard {
namespace {

Hash numbered(uint64_t i, size_t at) {
    Hash hash;
    for (size_t b = 0; b < 8; ++b) hash[at + b] = static_cast<uint8_t>(i >> (8 * b));
    return hash;
}

TEST(seeded_hasher, spreads_keys_that_differ_in_eight_bytes_only) {
    constexpr size_t kKeys = 4096;
    const SeededHasher hasher;
    for (const size_t at : {0, 8, 16, 24}) {
        std::set<size_t> low, high;
        for (uint64_t i = 0; i < kKeys; ++i) {
            const size_t h = hasher(numbered(i, at));
            low.insert(h % kKeys), high.insert(h / (size_t{1} << 52));
        }
        // Chance leaves 63 % of the places taken.
        EXPECT_GT(low.size(), kKeys / 2) << at;
        EXPECT_GT(high.size(), kKeys / 2) << at;
    }
}

TEST(seeded_hasher, counts_every_byte_of_an_address_and_a_number) {
    const SeededHasher hasher;
    std::set<size_t> seen;
    for (size_t i = 0; i < Address::size(); ++i) {
        Address address;
        address[i] = 1;
        seen.insert(hasher(address));
    }
    EXPECT_EQ(seen.size(), Address::size());
    for (unsigned bit = 0; bit < 256; ++bit) seen.insert(hasher(Uint256(1) << bit));
    EXPECT_EQ(seen.size(), Address::size() + 256);
}

TEST(seeded_hasher, counts_both_parts_of_a_pair) {
    const SeededHasher hasher;
    std::set<size_t> seen;
    for (uint8_t i = 0; i < 16; ++i) {
        Address address;
        address[0] = i;
        for (uint64_t slot = 0; slot < 16; ++slot)
            seen.insert(hasher(std::pair(address, Uint256(slot))));
    }
    EXPECT_EQ(seen.size(), 256u);
}

TEST(seeded_hasher, is_one_in_a_process) {
    EXPECT_EQ(SeededHasher()(Uint256(7)), SeededHasher()(Uint256(7)));
    EXPECT_NE(process_secret().start, 0u);
    EXPECT_EQ(process_secret().factor % 2, 1u);
}

}  // namespace
}  // namespace trainyard
