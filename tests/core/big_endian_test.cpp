// SPDX-License-Identifier: Apache-2.0
// Big-endian integers: their bytes, and their order.
#include "core/big_endian.hpp"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

TEST(big_endian, the_highest_byte_comes_first) {
    Bytes bytes;
    append_be(bytes, uint32_t{0x01020304});
    append_be(bytes, uint64_t{0xf1f2f3f4f5f6f7f8});
    EXPECT_EQ(to_hex(bytes), "01020304f1f2f3f4f5f6f7f8");
    EXPECT_EQ(load_be<uint32_t>(&bytes[0]), 0x01020304u);
    EXPECT_EQ(load_be<uint64_t>(&bytes[4]), 0xf1f2f3f4f5f6f7f8u);
}

TEST(big_endian, bytes_are_in_the_order_of_the_numbers) {
    Bytes before;
    for (const uint64_t n :
         {uint64_t{0}, uint64_t{255}, uint64_t{256}, uint64_t{1} << 40, ~uint64_t{0}}) {
        Bytes bytes;
        append_be(bytes, n);
        EXPECT_LT(before, bytes) << n;
        before = bytes;
    }
}

}  // namespace
}  // namespace trainyard
