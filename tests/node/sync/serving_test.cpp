// SPDX-License-Identifier: Apache-2.0
// Places for answers that are being read.
#include "node/sync/serving.hpp"

#include <gtest/gtest.h>

namespace trainyard::sync {
namespace {

PublicKey peer(uint8_t n) {
    PublicKey key;
    key[0] = n;
    return key;
}

TEST(serving, one_peer_has_its_part_of_the_places) {
    const auto serving = std::make_shared<Serving>(4, 2);
    auto first = serving->begin(peer(1)), second = serving->begin(peer(1));
    EXPECT_NE(second, nullptr);
    EXPECT_EQ(serving->begin(peer(1)), nullptr);
    const auto other = serving->begin(peer(2)), third = serving->begin(peer(3));
    EXPECT_NE(third, nullptr);
    EXPECT_EQ(serving->begin(peer(4)), nullptr) << "all are taken";
    first.reset();
    EXPECT_NE(serving->begin(peer(4)), nullptr);
    EXPECT_NE(serving->begin(peer(1)), nullptr);
}

}  // namespace
}  // namespace trainyard::sync
