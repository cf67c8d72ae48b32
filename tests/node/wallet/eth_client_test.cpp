// SPDX-License-Identifier: Apache-2.0
// What a node and contracts say comes to terminals and logs: from servers of one answer.
#include "node/wallet/eth_client.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/node/wallet/one_answer.hpp"

namespace trainyard::node::wallet {
namespace {

/// Error(string) of a contract, whose reason has at most 32 bytes.
Bytes reverted_with(std::string_view reason) {
    Bytes out{0x08, 0xc3, 0x79, 0xa0};
    out.resize(4 + 3 * 32);
    out[4 + 31] = 32;
    out[4 + 63] = static_cast<uint8_t>(reason.size());
    std::copy(reason.begin(), reason.end(), out.begin() + 4 + 64);
    return out;
}

TEST(eth_client, a_reason_of_a_contract_moves_no_cursor_and_begins_no_line) {
    EXPECT_EQ(revert_text(reverted_with("trop cher: 5 \u20ac")),
              "execution reverted: trop cher: 5 \u20ac");
    EXPECT_EQ(revert_text(reverted_with("\x1b[2J\nok  paid\xff")),
              "execution reverted: ?[2J?ok  paid?");
}

TEST(eth_client, neither_does_what_a_node_says) {
    const OneAnswer server([](int fd) {
        read_head(fd);
        const std::string body = R"({"jsonrpc":"2.0","id":1,"error":{"code":-32000,)"
                                 R"("message":"\u001b[31mno\nerror: x"}})";
        write_head(fd, body.size());
        write_all(fd, as_bytes(body));
    });
    const auto client = EthClient::open(server.text());
    ASSERT_TRUE(client);
    const auto said = (*client)->chain_id();
    ASSERT_FALSE(said);
    EXPECT_EQ(said.error().text, "eth_chainId: ?[31mno?error: x");
}

}  // namespace
}  // namespace trainyard::node::wallet
