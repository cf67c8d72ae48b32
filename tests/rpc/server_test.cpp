// SPDX-License-Identifier: Apache-2.0
// The frame: ids, versions, batches, limits, and that the method table agrees with itself.
#include <set>

#include "rpc/method.hpp"
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::HasSubstr;
using testing::StartsWith;

TEST(rpc_server, answers_a_request_with_its_id) {
    Rpc rpc;
    EXPECT_EQ(rpc.raw(R"({"jsonrpc":"2.0","id":7,"method":"eth_chainId"})"),
              R"({"jsonrpc":"2.0","id":7,"result":"0x1e61"})");
}

TEST(rpc_server, echoes_ids_exactly) {
    Rpc rpc;
    for (const char* id : {"0", "-5", "null", "\"\"", "\"a\\\"b\"", "18446744073709551615", "1.50",
                           "1e3", "123456789012345678901234567890", "0.1"}) {
        const auto answer = rpc.raw(std::string(R"({ "x" : {"id":9,"y":["}\""]} , "id" : )") + id +
                                    R"(, "jsonrpc":"2.0","method":"net_version"})");
        EXPECT_EQ(answer, std::string(R"({"jsonrpc":"2.0","id":)") + id + R"(,"result":"7777"})");
    }
}

TEST(rpc_server, does_not_answer_a_notification) {
    Rpc rpc;
    EXPECT_EQ(rpc.raw(R"({"jsonrpc":"2.0","method":"eth_chainId"})"), "");
    EXPECT_EQ(rpc.raw(R"([{"jsonrpc":"2.0","method":"eth_chainId"}])"), "");
}

TEST(rpc_server, names_a_method_that_is_not_there) {
    Rpc rpc;
    EXPECT_EQ(rpc.error("eth_nothing"),
              "-32601 the method eth_nothing does not exist/is not available");
}

TEST(rpc_server, answers_a_batch_in_order_and_keeps_going_after_errors) {
    Rpc rpc;
    const auto answer = json::parse(rpc.raw(R"([
        {"jsonrpc":"2.0","id":"a","method":"eth_chainId","params":[]},
        {"jsonrpc":"2.0","id":1.5,"method":"nope"},
        5,
        {"jsonrpc":"2.0","method":"eth_chainId"},
        {"jsonrpc":"2.0","id":3,"method":"net_version","params":null}])"))
                            .as_array();
    ASSERT_EQ(answer.size(), 4u);
    EXPECT_EQ(text(answer[0].at("id")), "a");
    EXPECT_EQ(answer[1].at("id").as_double(), 1.5);
    EXPECT_EQ(answer[1].at("error").at("code").as_int64(), -32601);
    EXPECT_TRUE(answer[2].at("id").is_null());
    EXPECT_EQ(answer[2].at("error").at("code").as_int64(), -32600);
    EXPECT_EQ(text(answer[3].at("result")), "7777");
}

TEST(rpc_server, rejects_an_empty_and_an_overlong_batch) {
    Rpc rpc([](Options& o) { o.batch_items_max = 2; });
    EXPECT_THAT(rpc.raw("[]"), HasSubstr(R"("code":-32600,"message":"empty batch")"));
    EXPECT_THAT(rpc.raw("[1,2,3]"), HasSubstr(R"("code":-32600,"message":"batch too large)"));
}

TEST(rpc_server, ends_a_batch_that_takes_too_long) {
    uint64_t now_ms = 0;
    Rpc rpc([&](Options& o) {
        o.batch_ms = 2'500;
        o.now_ms = [&] { return now_ms += 1'000; };
    });
    const std::string item = R"({"jsonrpc":"2.0","id":7,"method":"eth_chainId"})";
    const auto answers =
        json::parse(rpc.raw("[" + item + "," + item + "," + item + "]")).as_array();
    ASSERT_EQ(answers.size(), 3u);
    EXPECT_TRUE(answers[1].as_object().contains("result"));
    const auto& late = answers[2].as_object();
    EXPECT_EQ(late.at("id").as_int64(), 7);
    EXPECT_EQ(late.at("error").at("code").as_int64(), -32002);
}

TEST(rpc_server, ends_a_batch_that_answers_too_much) {
    Rpc rpc([](Options& o) { o.response_bytes_max = 100; });
    const std::string item = R"({"jsonrpc":"2.0","id":1,"method":"eth_chainId"})";
    const auto answer = json::parse(rpc.raw("[" + item + "," + item + "," + item + "]")).as_array();
    ASSERT_EQ(answer.size(), 3u);
    EXPECT_TRUE(answer[0].as_object().contains("result"));
    EXPECT_EQ(answer[2].at("error").at("code").as_int64(), -32003);
    EXPECT_EQ(text(answer[2].at("error").at("message")), "response too large");
}

TEST(rpc_server, rejects_malformed_json) {
    Rpc rpc;
    for (const char* body : {"", "{", "nul", "{\"a\":}", "[1,]", "{\"jsonrpc\":\"2.0\"} x",
                             "\"\xff\"", "{'id':1}", "\x00"})
        EXPECT_THAT(rpc.raw(body),
                    StartsWith(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,)"))
            << body;
}

TEST(rpc_server, rejects_deep_nesting_and_overlong_bodies) {
    Rpc rpc([](Options& o) { o.request_bytes_max = 100'000; });
    EXPECT_THAT(rpc.raw(std::string(5000, '[') + std::string(5000, ']')), HasSubstr("-32700"));
    EXPECT_THAT(rpc.raw(std::string(5000, '[')), HasSubstr("-32700"));
    EXPECT_THAT(rpc.raw(std::string(100'001, ' ')), HasSubstr("-32600"));
}

TEST(rpc_server, rejects_requests_of_the_wrong_shape) {
    Rpc rpc;
    for (const char* body : {"{}", "1", "\"x\"", "null", R"({"id":1,"method":"eth_chainId"})",
                             R"({"jsonrpc":"1.0","id":1,"method":"eth_chainId"})",
                             R"({"jsonrpc":"2.0","id":1,"method":5})",
                             R"({"jsonrpc":"2.0","id":[],"method":"eth_chainId"})",
                             R"({"jsonrpc":"2.0","id":{},"method":"eth_chainId"})",
                             R"({"jsonrpc":"2.0","id":true,"method":"eth_chainId"})"})
        EXPECT_THAT(rpc.raw(body), HasSubstr("\"code\":-32600")) << body;
    EXPECT_THAT(rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}})"),
                HasSubstr("\"code\":-32602"));
}

TEST(rpc_server, answers_in_utf_8_where_it_cuts_a_name) {
    Rpc rpc;
    const std::string name = std::string(63, 'x') + "\xc3\xa9";  // the 64th byte begins a letter
    EXPECT_EQ(rpc.error(name), "-32601 the method " + std::string(63, 'x') +
                                   "\xef\xbf\xbd does not exist/is not available");
}

TEST(json_strings, are_utf_8_whatever_they_are_made_of) {
    const auto written = [](std::string_view text) {
        std::string out;
        append_json_string(out, text);
        return out;
    };
    const std::string replaced = "\xef\xbf\xbd";  // U+FFFD
    for (const std::string whole : {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                    "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
        EXPECT_EQ(written(whole), '"' + whole + '"');
    EXPECT_EQ(written("a\xff"
                      "b"),
              "\"a" + replaced + "b\"");
    EXPECT_EQ(written("\xe2\x82"), '"' + replaced + replaced + '"');
    // Overlong, a surrogate, above U+10FFFF, a tail without a head.
    for (const auto* broken :
         {"\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
        EXPECT_THAT(written(broken), StartsWith('"' + replaced)) << broken;
}

TEST(rpc_server, rejects_too_many_and_too_few_arguments) {
    Rpc rpc;
    EXPECT_EQ(rpc.error("eth_chainId", "[1]"), "-32602 too many arguments, want at most 0");
    EXPECT_EQ(rpc.error("eth_getBalance"),
              "-32602 missing value for required argument 0 (address)");
    EXPECT_EQ(rpc.error("eth_getBlockByNumber", R"(["latest"])"),
              "-32602 missing value for required argument 1 (fullTransactions)");
}

TEST(method_table, has_unique_well_formed_rows) {
    std::set<std::string_view> names;
    for (const auto* method : all_methods()) {
        EXPECT_TRUE(names.insert(method->name).second) << method->name;
        EXPECT_EQ(find_method(method->name), method);
        EXPECT_FALSE(method->summary.empty());
        bool ended = false, optional = false;
        for (const auto& param : method->params) {
            if (param.kind == Kind::none) ended = true;
            if (ended) {
                EXPECT_EQ(param.kind, Kind::none) << method->name;
                continue;
            }
            EXPECT_FALSE(param.name.empty()) << method->name;
            EXPECT_FALSE(optional && param.required) << method->name;
            optional = optional || !param.required;
        }
    }
    EXPECT_EQ(find_method("eth_"), nullptr);
    EXPECT_EQ(find_method("zzz"), nullptr);
}

TEST(method_table, is_what_discover_describes) {
    Rpc rpc;
    const auto document = rpc.result("rpc.discover");
    const auto& methods = document.at("methods").as_array();
    ASSERT_EQ(methods.size(), all_methods().size());
    for (size_t i = 0; i < methods.size(); ++i) {
        const auto* row = all_methods()[i];
        EXPECT_EQ(text(methods[i].at("name")), row->name);
        const auto& params = methods[i].at("params").as_array();
        for (size_t p = 0; p < params.size(); ++p) {
            EXPECT_EQ(text(params[p].at("name")), row->params[p].name);
            EXPECT_EQ(params[p].at("required").as_bool(), row->params[p].required);
        }
        EXPECT_TRUE(params.size() == kParamsMax || row->params[params.size()].kind == Kind::none);
    }
    EXPECT_EQ(rpc.result("rpc_discover"), document);
    const auto modules = rpc.result("rpc_modules").as_object();
    for (const auto* name : {"eth", "net", "web3", "txpool", "debug", "yard", "rpc"})
        EXPECT_TRUE(modules.contains(name)) << name;
}

TEST(method_table, has_every_method_that_clients_must_find) {
    // The class "must" of docs/spec/rpc.md, section 2.
    for (const auto* name : {"eth_chainId",
                             "net_version",
                             "web3_clientVersion",
                             "eth_syncing",
                             "eth_blockNumber",
                             "eth_getBlockByNumber",
                             "eth_getBlockByHash",
                             "eth_getBalance",
                             "eth_getTransactionCount",
                             "eth_getCode",
                             "eth_getStorageAt",
                             "eth_call",
                             "eth_estimateGas",
                             "eth_gasPrice",
                             "eth_maxPriorityFeePerGas",
                             "eth_feeHistory",
                             "eth_sendRawTransaction",
                             "eth_getTransactionByHash",
                             "eth_getTransactionReceipt",
                             "eth_getLogs",
                             "eth_newFilter",
                             "eth_newBlockFilter",
                             "eth_newPendingTransactionFilter",
                             "eth_getFilterChanges",
                             "eth_getFilterLogs",
                             "eth_uninstallFilter",
                             "eth_subscribe",
                             "eth_unsubscribe",
                             "eth_getBlockReceipts",
                             "eth_getTransactionByBlockHashAndIndex",
                             "eth_getTransactionByBlockNumberAndIndex",
                             "eth_getBlockTransactionCountByHash",
                             "eth_getBlockTransactionCountByNumber",
                             "eth_accounts"})
        EXPECT_NE(find_method(name), nullptr) << name;
}

}  // namespace trainyard::rpc::test
