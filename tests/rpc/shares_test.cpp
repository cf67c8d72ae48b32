// SPDX-License-Identifier: Apache-2.0
// What takes long has a few places, and one client a part of them.
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {
namespace {

/// Clients who ask one after the other, each while those before are being answered.
struct Clients {
    Rpc rpc;
    std::string method, params;
    std::vector<std::string> waiting;
    std::vector<std::string> refused{};  ///< "client code"

    void ask_next() {
        if (waiting.empty()) return;
        const std::string client = waiting.front();
        waiting.erase(waiting.begin());
        rpc.client = client;
        const auto answer = rpc.ask(method, params);
        if (!answer.contains("error")) return;
        const auto code = answer.at("error").at("code").as_int64();
        refused.push_back(client + " " + std::to_string(code));
        ask_next();
    }
    std::vector<std::string> refused_of(std::vector<std::string> clients) {
        waiting = std::move(clients);
        refused.clear();
        ask_next();
        return refused;
    }
};
using Refused = std::vector<std::string>;

}  // namespace

TEST(client_shares, one_client_has_half_of_the_places_for_traces) {
    Clients clients;
    const auto block = clients.rpc.chain.add_block({make_tx(1, 0)}, {});
    clients.rpc.chain.on_trace = [&](const TraceOptions&,
                                     const WorkLimits&) -> Result<Trace, TraceError> {
        clients.ask_next();
        return Trace(StepTrace{});
    };
    clients.method = "debug_traceTransaction";
    clients.params = "[" + quoted(block->tx_hashes[0].bytes) + "]";
    EXPECT_EQ(clients.refused_of({"a", "a", "a", "b", "b", "c"}), (Refused{"a -32005", "c -32005"}))
        << "two are left for others, and four there are";
    EXPECT_EQ(clients.refused_of({"", "", "", "", ""}), (Refused{" -32005"}))
        << "this machine may have all";
}

TEST(client_shares, one_client_has_half_of_the_places_for_waiting) {
    Clients clients;
    const auto tx = make_tx(1, 0);
    clients.rpc.chain.add_block({tx}, {});
    clients.rpc.chain.on_find_tx = [&] { clients.ask_next(); };
    clients.method = "eth_sendRawTransactionSync";
    clients.params = "[" + quoted(encode_tx(tx)) + "]";
    EXPECT_EQ(clients.refused_of({"a", "a", "a", "b", "b", "c"}), (Refused{"a 4", "c 4"}));
    EXPECT_EQ(clients.refused_of({"", "", "", "", ""}), (Refused{" 4"}));
}

}  // namespace trainyard::rpc::test
