// SPDX-License-Identifier: Apache-2.0
// Logs, polled filters and subscriptions.
#include <chrono>
#include <mutex>
#include <thread>

#include "rpc/filters.hpp"
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::HasSubstr;
using testing::StartsWith;

namespace {

const Log kFirst{address_of_key(9), {word(1), word(2)}, {}};
const Log kSecond{address_of_key(8), {word(1)}, {0x01}};

/// Blocks 1 and 2 with one log each, block 3 with none.
void add_logs(Rpc& rpc) {
    rpc.chain.add_block({make_tx(1, 0)}, {{kFirst}});
    rpc.chain.add_block({make_tx(1, 1)}, {{kSecond}});
    rpc.chain.add_block({}, {});
}

size_t count(Rpc& rpc, const std::string& filter) {
    return rpc.result("eth_getLogs", "[" + filter + "]").as_array().size();
}

}  // namespace

TEST(eth_logs, select_by_address_and_topic_position) {
    Rpc rpc;
    add_logs(rpc);
    const auto range = std::string(R"("fromBlock":"earliest","toBlock":"latest")");
    EXPECT_EQ(count(rpc, "{" + range + "}"), 2u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"address\":" + quoted(address_of_key(9).bytes) + "}"),
              1u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"address\":[" + quoted(address_of_key(9).bytes) + "," +
                             quoted(address_of_key(8).bytes) + "]}"),
              2u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"topics\":[" + quoted(word(1).bytes) + "]}"), 2u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"topics\":[null," + quoted(word(2).bytes) + "]}"), 1u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"topics\":[[" + quoted(word(5).bytes) + "," +
                             quoted(word(1).bytes) + "]]}"),
              2u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"topics\":[" + quoted(word(2).bytes) + "]}"), 0u);
    EXPECT_EQ(count(rpc, "{" + range + ",\"topics\":[null,null]}"), 1u);
    EXPECT_EQ(count(rpc, "{\"blockHash\":" + quoted(rpc.chain.blocks[2]->hash.bytes) + "}"), 1u);
    EXPECT_EQ(count(rpc, "{}"), 0u);  // the head alone
}

TEST(eth_logs, rejects_ranges_that_cannot_be) {
    Rpc rpc([](Options& o) { o.log_blocks_max = 2; });
    add_logs(rpc);
    const auto error_of = [&](const char* filter) {
        return rpc.error("eth_getLogs", std::string("[") + filter + "]");
    };
    EXPECT_EQ(error_of(R"({"fromBlock":"0x2","toBlock":"0x1"})"),
              "-32602 invalid block range params");
    EXPECT_EQ(error_of(R"({"fromBlock":"0x2","toBlock":"0x9"})"),
              "-32602 block range extends beyond current head block");
    EXPECT_EQ(error_of(R"({"fromBlock":"0x9"})"),
              "-32602 block range extends beyond current head block");
    EXPECT_EQ(error_of(R"({"fromBlock":"0x0","toBlock":"0x2"})"),
              "-32005 block range too large: at most 2 blocks");
    EXPECT_EQ(error_of(("{\"blockHash\":" + quoted(word(1).bytes) + "}").c_str()),
              "-32000 unknown block");
}

TEST(eth_logs, rejects_too_many_results) {
    Rpc rpc([](Options& o) { o.log_results_max = 1; });
    add_logs(rpc);
    EXPECT_EQ(rpc.error("eth_getLogs", R"([{"fromBlock":"0x0"}])"),
              "-32005 query returned more than 1 results");
}

TEST(eth_logs, rejects_results_that_are_too_long) {
    Rpc rpc([](Options& o) { o.response_bytes_max = 1000; });
    rpc.chain.add_block({make_tx(1, 0)}, {{{address_of_key(9), {}, Bytes(600)}}});
    EXPECT_EQ(rpc.error("eth_getLogs", R"([{"fromBlock":"0x0"}])"), "-32003 response too large");
    EXPECT_EQ(rpc.error("eth_getLogs",
                        "[{\"blockHash\":" + quoted(rpc.chain.blocks[1]->hash.bytes) + "}]"),
              "-32003 response too large");
}

TEST(filters, collect_blocks_logs_and_pending_transactions) {
    Rpc rpc;
    const auto blocks = text(rpc.result("eth_newBlockFilter"));
    const auto logs = text(
        rpc.result("eth_newFilter", "[{\"address\":" + quoted(address_of_key(9).bytes) + "}]"));
    const auto pending = text(rpc.result("eth_newPendingTransactionFilter"));
    const auto changes = [&](const std::string& id) {
        return rpc.result("eth_getFilterChanges", "[\"" + id + "\"]").as_array();
    };
    EXPECT_TRUE(changes(blocks).empty());
    add_logs(rpc);
    rpc.server->on_head({}, {rpc.chain.blocks[1], rpc.chain.blocks[2]});
    const auto tx = make_tx(1, 9);
    rpc.server->on_pending_tx({tx, hash_tx(tx), address_of_key(1)});
    const auto seen = changes(blocks);
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(text(seen[1]), to_hex0x(rpc.chain.blocks[2]->hash.bytes));
    EXPECT_TRUE(changes(blocks).empty());
    ASSERT_EQ(changes(logs).size(), 1u);
    EXPECT_EQ(text(changes(pending).at(0)), to_hex0x(hash_tx(tx).bytes));
    EXPECT_TRUE(rpc.result("eth_getFilterLogs", "[\"" + logs + "\"]").as_array().empty());
    EXPECT_EQ(rpc.error("eth_getFilterLogs", "[\"" + blocks + "\"]"), "-32000 filter not found");

    rpc.server->on_head({rpc.chain.blocks[2], rpc.chain.blocks[1]}, {});
    const auto undone = changes(logs);
    ASSERT_EQ(undone.size(), 1u);
    EXPECT_TRUE(undone[0].at("removed").as_bool());

    EXPECT_TRUE(rpc.result("eth_uninstallFilter", "[\"" + logs + "\"]").as_bool());
    EXPECT_FALSE(rpc.result("eth_uninstallFilter", "[\"" + logs + "\"]").as_bool());
    EXPECT_EQ(rpc.error("eth_getFilterChanges", "[\"" + logs + "\"]"), "-32000 filter not found");
}

TEST(filters, end_when_nobody_asks) {
    Rpc rpc([](Options& o) { o.filter_idle_ms = 100; });
    const auto id = text(rpc.result("eth_newBlockFilter"));
    rpc.now_ms += 90;
    EXPECT_TRUE(rpc.result("eth_getFilterChanges", "[\"" + id + "\"]").as_array().empty());
    rpc.now_ms += 101;
    EXPECT_EQ(rpc.error("eth_getFilterChanges", "[\"" + id + "\"]"), "-32000 filter not found");
}

TEST(filters, are_limited_in_number_and_backlog) {
    Rpc rpc([](Options& o) {
        o.filters_max = 1;
        o.filter_backlog_max = 2;
    });
    const auto id = text(rpc.result("eth_newBlockFilter"));
    EXPECT_EQ(rpc.error("eth_newBlockFilter"), "-32005 too many filters");
    add_logs(rpc);
    rpc.server->on_head({}, rpc.chain.blocks);
    EXPECT_EQ(rpc.error("eth_getFilterChanges", "[\"" + id + "\"]"), "-32000 filter not found");
}

TEST(filters, are_limited_in_bytes_each_and_together) {
    constexpr size_t kLogBytes = 20'000;
    Rpc rpc([](Options& o) {
        o.response_bytes_max = 150'000;
        o.filters_bytes_max = 300'000;
    });
    const auto is_alive = [&](const std::string& id) {
        return rpc.ask("eth_getFilterChanges", "[\"" + id + "\"]").contains("result");
    };
    rpc.chain.add_block({make_tx(1, 0)}, {{{address_of_key(9), {}, Bytes(kLogBytes)}}});
    const auto add_changes = [&](int count) {
        for (int i = 0; i < count; ++i) rpc.server->on_head({}, {rpc.chain.blocks[1]});
    };
    const auto one = text(rpc.result("eth_newFilter", "[{}]"));
    add_changes(3);
    EXPECT_TRUE(is_alive(one));
    add_changes(3);
    EXPECT_TRUE(is_alive(one)) << "what was taken does not count";
    add_changes(4);
    EXPECT_FALSE(is_alive(one)) << "too long an answer";

    std::vector<std::string> ids;
    for (int i = 0; i < 10; ++i) ids.push_back(text(rpc.result("eth_newFilter", "[{}]")));
    add_changes(1);
    EXPECT_EQ(std::count_if(ids.begin(), ids.end(), is_alive), 7);
    for (const auto& id : ids) (void)rpc.result("eth_uninstallFilter", "[\"" + id + "\"]");
    const auto next = text(rpc.result("eth_newFilter", "[{}]"));
    add_changes(3);
    EXPECT_TRUE(is_alive(next)) << "nothing is left of those that ended";
}

TEST(filters, share_what_a_block_brings) {
    Rpc rpc;
    add_logs(rpc);
    const Options options;
    Filters filters(options);
    const auto topic = Filters::Topic::logs;
    const auto one = filters.add(topic, {}), other = filters.add(topic, {});
    WrittenLogs logs(*rpc.chain.blocks[1], false);
    filters.on_block(logs);
    const auto of_one = filters.take_changes(*one), of_other = filters.take_changes(*other);
    ASSERT_EQ(of_one->size(), 1u);
    EXPECT_EQ(of_one->at(0), of_other->at(0)) << "written once, however many look for it";
}

TEST(filters, look_at_no_more_of_a_block_than_they_can_take) {
    Rpc rpc;
    rpc.chain.add_block({make_tx(1, 0)}, {{kFirst, kSecond, kSecond}});
    size_t seen = 0;
    const auto stop_at = [&](size_t last) {
        return [&, last](const LogPlace&) { return ++seen < last; };
    };
    for_each_match(LogMatcher({}), *rpc.chain.blocks[1], stop_at(2));
    EXPECT_EQ(seen, 2u);
}

TEST(filters, and_subscriptions_are_limited_in_what_they_look_for) {
    Rpc rpc([](Options& o) { o.filters_bytes_max = 5000; });
    std::string addresses;
    for (int i = 0; i < 150; ++i) addresses += (i > 0 ? "," : "") + quoted(address_of_key(9).bytes);
    const std::string filter = "{\"address\":[" + addresses + "]}";
    const auto id = text(rpc.result("eth_newFilter", "[" + filter + "]"));
    EXPECT_EQ(rpc.error("eth_newFilter", "[" + filter + "]"), "-32005 too many filters");
    (void)rpc.result("eth_uninstallFilter", "[\"" + id + "\"]");
    (void)rpc.result("eth_newFilter", "[" + filter + "]");

    const auto subscribe = [&](const std::shared_ptr<RecordingSession>& session) {
        (void)rpc.raw(
            R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",)" + filter + "]}",
            session);
        return json::parse(session->messages.back()).as_object().contains("result");
    };
    const auto first = std::make_shared<RecordingSession>();
    const auto second = std::make_shared<RecordingSession>();
    EXPECT_TRUE(subscribe(first));
    EXPECT_FALSE(subscribe(second));
    rpc.server->close(*first);
    EXPECT_TRUE(subscribe(second));
}

TEST(subscriptions, are_refused_over_plain_http) {
    Rpc rpc;
    EXPECT_EQ(rpc.error("eth_subscribe", R"(["newHeads"])"), "-32601 notifications not supported");
}

TEST(subscriptions, push_heads_logs_and_transactions) {
    Rpc rpc;
    const auto session = std::make_shared<RecordingSession>();
    const auto subscribe = [&](const std::string& params) {
        EXPECT_EQ(
            rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":)" + params + "}",
                    session),
            "");
        return text(json::parse(session->messages.back()).at("result"));
    };
    const auto heads = subscribe(R"(["newHeads"])");
    const auto logs = subscribe("[\"logs\",{\"address\":" + quoted(address_of_key(9).bytes) + "}]");
    const auto hashes = subscribe(R"(["newPendingTransactions"])");
    const auto whole = subscribe(R"(["newPendingTransactions",true])");
    session->messages.clear();
    add_logs(rpc);
    rpc.server->on_head({}, {rpc.chain.blocks[1], rpc.chain.blocks[2]});
    ASSERT_EQ(session->messages.size(), 3u);  // two heads, one matching log
    std::map<std::string, std::vector<json::value>> by_id;
    for (const auto& m : session->messages) {
        const auto message = json::parse(m);
        EXPECT_EQ(text(message.at("method")), "eth_subscription");
        by_id[text(message.at("params").at("subscription"))].push_back(
            message.at("params").at("result"));
    }
    ASSERT_EQ(by_id[heads].size(), 2u);
    EXPECT_EQ(text(by_id[heads][1].at("number")), "0x2");
    EXPECT_FALSE(by_id[heads][1].as_object().contains("transactions"));
    ASSERT_EQ(by_id[logs].size(), 1u);

    session->messages.clear();
    const auto tx = make_tx(1, 9);
    rpc.server->on_pending_tx({tx, hash_tx(tx), address_of_key(1)});
    ASSERT_EQ(session->messages.size(), 2u);
    for (const auto& m : session->messages) {
        const auto params = json::parse(m).at("params");
        if (text(params.at("subscription")) == hashes)
            EXPECT_EQ(text(params.at("result")), to_hex0x(hash_tx(tx).bytes));
        else
            EXPECT_EQ(text(params.at("result").at("hash")), to_hex0x(hash_tx(tx).bytes));
    }

    session->messages.clear();
    const auto drop = [&](const std::string& id) {
        rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_unsubscribe","params":[")" + id + "\"]}",
                session);
        return session->messages.back();
    };
    EXPECT_THAT(drop(heads), HasSubstr("\"result\":true"));
    EXPECT_THAT(drop(heads), HasSubstr("subscription not found"));
    rpc.server->close(*session);
    session->messages.clear();
    rpc.server->on_head({}, {rpc.chain.blocks[1]});
    rpc.server->on_pending_tx({tx, hash_tx(tx), address_of_key(1)});
    EXPECT_TRUE(session->messages.empty());
    EXPECT_NE(whole, hashes);
}

/// A client that has read its answer, and a block that comes before the server returns to it.
struct QuickSession : Session {
    std::function<void()> on_answer;
    std::thread elsewhere;
    std::mutex mutex;
    std::vector<std::string> messages;

    void push(std::shared_ptr<const std::string> message) override {
        bool is_answer = false;
        {
            const std::lock_guard lock(mutex);
            messages.push_back(*message);
            is_answer = messages.size() == 1;
        }
        if (!is_answer) return;
        elsewhere = std::thread(on_answer);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
};

TEST(subscriptions, miss_nothing_once_the_client_knows_the_id) {
    Rpc rpc;
    add_logs(rpc);
    const auto session = std::make_shared<QuickSession>();
    session->on_answer = [&] { rpc.server->on_head({}, {rpc.chain.blocks[3]}); };
    rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]})", session);
    session->elsewhere.join();
    ASSERT_EQ(session->messages.size(), 2u);
    EXPECT_THAT(session->messages[1], HasSubstr(to_hex0x(rpc.chain.blocks[3]->hash.bytes)));
}

/// Dropped after its first push under a subscription.
struct BriefSession : Session {
    size_t pushed = 0;
    void push(std::shared_ptr<const std::string>) override { ++pushed; }
    [[nodiscard]] bool is_open() const override { return pushed < 2; }
};

TEST(subscriptions, write_nothing_for_who_was_dropped) {
    Rpc rpc;
    rpc.chain.add_block({make_tx(1, 0)}, {{kFirst, kSecond, kSecond}});
    const auto session = std::make_shared<BriefSession>();
    rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",{}]})", session);
    ASSERT_EQ(session->pushed, 1u) << "the answer";
    rpc.server->on_head({}, {rpc.chain.blocks[1]});
    EXPECT_EQ(session->pushed, 2u);
}

TEST(subscriptions, tell_when_the_node_falls_behind) {
    Rpc rpc;
    const auto session = std::make_shared<RecordingSession>();
    EXPECT_EQ(rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["syncing"]})",
                      session),
              "");
    rpc.server->on_syncing(SyncStatus{1, 2, 3});
    EXPECT_THAT(session->messages.back(), HasSubstr(R"("syncing":true)"));
    rpc.server->on_syncing(std::nullopt);
    EXPECT_THAT(session->messages.back(), HasSubstr(R"("result":false)"));
}

TEST(subscriptions, are_limited_and_cannot_be_ended_by_others) {
    Rpc rpc([](Options& o) { o.subscriptions_per_session_max = 1; });
    const auto one = std::make_shared<RecordingSession>();
    const auto other = std::make_shared<RecordingSession>();
    const std::string heads =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]})";
    EXPECT_EQ(rpc.raw(heads, one), "");
    const auto id = text(json::parse(one->messages.back()).at("result"));
    EXPECT_EQ(rpc.raw(heads, one), "");
    EXPECT_THAT(one->messages.back(), HasSubstr("-32005"));
    EXPECT_EQ(
        rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_unsubscribe","params":[")" + id + "\"]}",
                other),
        "");
    EXPECT_THAT(other->messages.back(), HasSubstr("subscription not found"));
    EXPECT_EQ(
        rpc.raw(R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["weather"]})", other),
        "");
    EXPECT_THAT(other->messages.back(),
                HasSubstr(R"(no \"weather\" subscription in eth namespace)"));
}

TEST(subscriptions, refuse_an_option_that_is_not_theirs) {
    Rpc rpc;
    const auto session = std::make_shared<RecordingSession>();
    const auto answer = [&](const std::string& params) {
        (void)rpc.raw(
            R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":)" + params + "}",
            session);
        return session->messages.back();
    };
    const auto refusal = [](const std::string& expected) {
        return HasSubstr(R"({"code":-32602,"message":"invalid argument 1 (option): expected )" +
                         expected + "\"}");
    };
    EXPECT_THAT(answer(R"(["logs",true])"), refusal("a filter object"));
    EXPECT_THAT(answer(R"(["newPendingTransactions",{}])"), refusal("a boolean"));
    EXPECT_THAT(answer(R"(["logs",{"address":"0x00"}])"), HasSubstr("-32602"));
    EXPECT_THAT(answer(R"(["logs",{}])"), HasSubstr("result"));
    EXPECT_THAT(answer(R"(["newPendingTransactions",false])"), HasSubstr("result"));
}

TEST(subscriptions, are_limited_over_all_connections) {
    Rpc rpc([](Options& o) { o.subscriptions_max = 2; });
    const std::string ask =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]})";
    std::vector<std::shared_ptr<RecordingSession>> sessions;
    for (int i = 0; i < 3; ++i) {
        sessions.push_back(std::make_shared<RecordingSession>());
        (void)rpc.raw(ask, sessions.back());
    }
    EXPECT_THAT(sessions[1]->messages.at(0), HasSubstr("result"));
    EXPECT_THAT(sessions[2]->messages.at(0), HasSubstr("too many subscriptions"));
    rpc.server->close(*sessions[0]);
    (void)rpc.raw(ask, sessions[2]);
    EXPECT_THAT(sessions[2]->messages.at(1), HasSubstr("result"));
}

TEST(sync_wait, ends_when_a_block_brings_the_transaction) {
    Rpc rpc;
    const auto tx = make_tx(1, 0);
    std::thread miner([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const auto block = rpc.chain.add_block({tx}, {});
        rpc.server->on_head({}, {block});
    });
    const auto receipt =
        rpc.result("eth_sendRawTransactionSync", "[" + quoted(encode_tx(tx)) + ",10000]");
    miner.join();
    EXPECT_EQ(text(receipt.at("blockNumber")), "0x1");
}

}  // namespace trainyard::rpc::test
