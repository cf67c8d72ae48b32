// SPDX-License-Identifier: Apache-2.0
// What wallets and viem are told of a chain.
#include "node/cli/wallet_settings.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

const ChainForWallets kChain{747271, "The \"yard\"", "COIN", {"https://rpc.example:8545"}, true};

TEST(wallet_settings, request_has_the_form_of_eip_3085) {
    EXPECT_EQ(add_chain_request(kChain),
              R"({"method":"wallet_addEthereumChain","params":[{"chainId":"0xb6707",)"
              R"("chainName":"The \"yard\"",)"
              R"("nativeCurrency":{"name":"COIN","symbol":"COIN","decimals":18},)"
              R"("rpcUrls":["https://rpc.example:8545"]}]})");
}

TEST(wallet_settings, viem_module_names_sockets_and_multicall_where_it_is) {
    const std::string urls =
        R"(http: ["https://rpc.example:8545"], webSocket: ["wss://rpc.example:8545"])";
    const std::string multicall = "0xca11bde05977b3631167028862be2a173976ca11";
    EXPECT_EQ(viem_module(kChain), R"(import { defineChain } from "viem";

export const trainyard = defineChain({
  id: 747271,
  name: "The \"yard\"",
  nativeCurrency: {"name":"COIN","symbol":"COIN","decimals":18},
  rpcUrls: { default: { )" + urls + R"( } },
  contracts: { multicall3: { address: ")" +
                                       multicall +
                                       R"(", blockCreated: 0 } },
});)");
    ChainForWallets without = kChain;
    without.has_multicall = false;
    EXPECT_EQ(viem_module(without).find("multicall"), std::string::npos);
}

TEST(wallet_settings, what_a_wallet_would_refuse_is_refused_here) {
    EXPECT_TRUE(check_for_wallets(kChain));
    const auto broken = [](auto change) {
        ChainForWallets chain = kChain;
        change(chain);
        const auto done = check_for_wallets(chain);
        return done ? std::string() : done.error();
    };
    for (const std::string& name : {std::string(), std::string(65, 'x'), std::string("a\nb")})
        EXPECT_EQ(broken([&](auto& c) { c.name = name; }), "--name is a text of 1 to 64 bytes");
    for (const std::string symbol : {"", "X", "SEVENTY", "A B", "€"})
        EXPECT_EQ(broken([&](auto& c) { c.symbol = symbol; }),
                  "--symbol is of 2 to 6 letters or digits")
            << symbol;
    EXPECT_EQ(broken([](auto& c) { c.urls.push_back("ws://x"); }),
              "--url 'ws://x' is neither http:// nor https://");
}

TEST(wallet_settings, only_tls_and_this_machine_are_for_wallets) {
    for (const std::string url : {"https://rpc.example", "http://127.0.0.1:8545",
                                  "http://localhost", "http://localhost/x", "http://[::1]:8545"})
        EXPECT_TRUE(is_for_wallets(url)) << url;
    for (const std::string url :
         {"http://10.0.0.1:8545", "http://localhost.example:8545", "http://127.0.0.10:8545"})
        EXPECT_FALSE(is_for_wallets(url)) << url;
}

}  // namespace
}  // namespace trainyard::node::cli
