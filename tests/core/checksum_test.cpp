// SPDX-License-Identifier: Apache-2.0
// The examples of EIP-55.
#include "core/checksum.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace trainyard {
namespace {

TEST(checksum, rejects_only_mixed_letters_that_do_not_fit) {
    const std::string right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";  // from EIP-55
    const auto address = *fixed_from_hex<Address>(right);
    for (const std::string& text :
         std::vector<std::string>{right, right.substr(2), to_hex0x(address.bytes),
                                  "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"})
        EXPECT_TRUE(has_checksum_of(text, address)) << text;
    EXPECT_FALSE(has_checksum_of("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", address));
}

TEST(checksum, capitals_are_those_of_the_examples_of_eip_55) {
    for (const char* text : {"0x52908400098527886E0F7030069857D2E4169EE7",
                             "0xde709f2102306220921060314715629080e2fb77",
                             "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                             "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
                             "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
                             "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"})
        EXPECT_EQ(to_checksummed(*fixed_from_hex<Address>(text)), text);
}

}  // namespace
}  // namespace trainyard
