// SPDX-License-Identifier: Apache-2.0
// A server over the fake chain, and short ways to ask it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/rpc/fake_chain.hpp"

namespace trainyard::rpc::test {

namespace json = boost::json;

struct Rpc {
    uint64_t now_ms = 1;
    FakeChain chain;
    Options options;
    std::string client;  ///< who asks
    std::unique_ptr<Server> server;

    explicit Rpc(const std::function<void(Options&)>& change = {}) {
        options.now_ms = [this] { return now_ms; };
        if (change) change(options);
        server = std::make_unique<Server>(chain, options);
    }

    std::string raw(const std::string& body, const std::shared_ptr<Session>& session = nullptr) {
        return server->handle(body, {client, session});
    }
    json::object ask(const std::string& method, const std::string& params = "[]") {
        const auto answer =
            raw(R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}");
        return json::parse(answer).as_object();
    }
    json::value result(const std::string& method, const std::string& params = "[]") {
        const auto answer = ask(method, params);
        if (!answer.contains("result")) {
            ADD_FAILURE() << method << params << " gave " << json::serialize(answer);
            return nullptr;
        }
        return answer.at("result");
    }
    /// "code message" of an error.
    std::string error(const std::string& method, const std::string& params = "[]") {
        const auto answer = ask(method, params);
        if (!answer.contains("error")) {
            ADD_FAILURE() << method << params << " gave " << json::serialize(answer);
            return "";
        }
        const auto& e = answer.at("error").as_object();
        return std::to_string(e.at("code").as_int64()) + " " +
               std::string(e.at("message").as_string());
    }
};

inline std::string quoted(BytesView bytes) {
    return '"' + to_hex0x(bytes) + '"';
}
inline std::string text(const json::value& v) {
    return std::string(v.as_string());
}

}  // namespace trainyard::rpc::test
