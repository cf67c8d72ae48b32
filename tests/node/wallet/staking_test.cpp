// SPDX-License-Identifier: Apache-2.0
// What the wallet computes for Staking by itself.
#include "node/wallet/staking.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::wallet {
namespace {

// The same value is read from the contract by staking.possession_digests_are_frozen.
TEST(wallet_staking, signs_what_the_contract_asks_for) {
    Address operator_address;
    operator_address.bytes.fill(0x11);
    EXPECT_EQ(to_hex(possession_digest(747271, operator_address, 1).bytes),
              "a300bf8be098c8f9447a2cfb8a8ce096a7d946ef541f63f15459bf51fe263a18");
}

}  // namespace
}  // namespace trainyard::node::wallet
