// SPDX-License-Identifier: Apache-2.0
// The HTTP server over real sockets on localhost.
#include "node/http/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <deque>
#include <future>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "tests/rpc/fake_chain.hpp"

namespace trainyard::node::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bh = boost::beast::http;
using asio::ip::tcp;
using rpc::test::FakeChain;
using testing::HasSubstr;
using Answer = bh::response<bh::string_body>;

constexpr const char* kChainId = R"({"jsonrpc":"2.0","id":1,"method":"eth_chainId"})";
constexpr const char* kChainIdAnswer = R"({"jsonrpc":"2.0","id":1,"result":"0x1e61"})";

/// A server on a free port, and its fake chain.
struct Node {
    FakeChain chain;
    runtime::Runtime runtime{{1, 1}};
    rpc::Server server;
    HttpServer http;
    uint16_t port = 0;

    static rpc::Options rpc_options() {
        rpc::Options options;
        options.now_ms = [] { return uint64_t{1}; };
        return options;
    }
    explicit Node(Options options = {}, Hooks hooks = {})
        : server(chain, rpc_options()),
          http({runtime, server, chain, runtime::Logger::null()}, on_free_port(std::move(options)),
               std::move(hooks)) {
        runtime.start();
        const auto started = http.start();
        EXPECT_TRUE(started) << started.error().what;
        port = *started;
    }
    ~Node() {
        http.stop();
        runtime.request_stop();
        runtime.join();
    }
    static Options on_free_port(Options options) {
        options.port = 0;
        return options;
    }
};

/// A client that reads and writes with blocking calls; a call may take five seconds.
struct Client {
    asio::io_context io;
    tcp::socket socket{io};
    beast::flat_buffer buffer;

    explicit Client(const Node& node) {
        socket.connect({asio::ip::make_address("127.0.0.1"), node.port});
        const timeval limit{5, 0};
        ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    }
    void write(std::string_view text) {
        boost::system::error_code ignored;
        asio::write(socket, asio::buffer(text.data(), text.size()), ignored);
    }
    Answer read(bool is_head = false) {
        bh::response_parser<bh::string_body> parser;
        parser.body_limit(boost::none);
        parser.skip(is_head);
        boost::system::error_code failed;
        bh::read(socket, buffer, parser, failed);
        EXPECT_FALSE(failed) << failed.message();
        return parser.release();
    }
    Answer ask(bh::verb verb, const std::string& target, const std::string& body = "",
               const std::vector<std::pair<std::string, std::string>>& headers = {}) {
        bh::request<bh::string_body> request(verb, target, 11);
        request.set(bh::field::host, "localhost");
        if (verb == bh::verb::post) request.set(bh::field::content_type, "application/json");
        for (const auto& [name, value] : headers) request.set(name, value);
        request.body() = body;
        request.prepare_payload();
        boost::system::error_code ignored;
        bh::write(socket, request, ignored);
        return read(verb == bh::verb::head);
    }
    Answer post(const std::string& body) { return ask(bh::verb::post, "/", body); }
    /// True once the server has closed the connection.
    bool is_closed() {
        char byte;
        boost::system::error_code failed;
        socket.read_some(asio::buffer(&byte, 1), failed);
        return failed == asio::error::eof || failed == asio::error::connection_reset;
    }
};

unsigned status_of(const Answer& answer) {
    return answer.result_int();
}

TEST(http_server, metrics_that_take_long_keep_no_thread_from_others) {
    std::promise<void> gate, begun;
    Hooks hooks;
    hooks.metrics = [&, open = gate.get_future().share()] {
        begun.set_value();
        open.wait();
        return std::string("blocks 1\n");
    };
    Node node({}, hooks);
    Client slow(node), other(node);
    std::thread asking(
        [&] { EXPECT_EQ(slow.ask(bh::verb::get, "/metrics").body(), "blocks 1\n"); });
    begun.get_future().wait();
    EXPECT_EQ(other.ask(bh::verb::get, "/healthz").body(), "ok\n");  // there is one I/O thread
    gate.set_value();
    asking.join();
}

TEST(http_server, answers_json_rpc_and_keeps_the_connection) {
    Node node;
    Client client(node);
    for (int i = 0; i < 3; ++i) {
        const auto answer = client.post(kChainId);
        EXPECT_EQ(status_of(answer), 200u);
        EXPECT_EQ(answer.body(), kChainIdAnswer);
        EXPECT_EQ(answer[bh::field::content_type], "application/json");
    }
    EXPECT_EQ(node.http.connections(), 1u);
}

TEST(http_server, answers_errors_of_json_rpc_with_status_200) {
    Node node;
    Client client(node);
    const auto answer = client.post("{");
    EXPECT_EQ(status_of(answer), 200u);
    EXPECT_THAT(answer.body(), HasSubstr("-32700"));
}

TEST(http_server, answers_requests_sent_at_once_in_order) {
    Node node;
    Client client(node);
    const std::string body = kChainId;
    const std::string request =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    client.write(request + request + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read().body(), kChainIdAnswer);
    EXPECT_EQ(client.read().body(), kChainIdAnswer);
    EXPECT_EQ(client.read().body(), "ok\n");
}

TEST(http_server, takes_a_chunked_body) {
    Node node;
    Client client(node);
    client.write(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
    const std::string body = kChainId;
    client.write("5\r\n" + body.substr(0, 5) + "\r\n");
    char size[16];
    std::snprintf(size, sizeof(size), "%zx", body.size() - 5);
    client.write(std::string(size) + "\r\n" + body.substr(5) + "\r\n0\r\n\r\n");
    EXPECT_EQ(client.read().body(), kChainIdAnswer);
}

TEST(http_server, rejects_bodies_above_the_limit) {
    Options options;
    options.body_bytes_max = 1000;
    Node node(options);
    {
        Client client(node);
        EXPECT_EQ(status_of(client.post(std::string(1001, ' '))), 413u);
        EXPECT_TRUE(client.is_closed());
    }
    Client chunked(node);
    chunked.write(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n800\r\n" +
        std::string(0x800, ' ') + "\r\n");
    EXPECT_EQ(status_of(chunked.read()), 413u);
}

TEST(http_server, takes_no_more_long_requests_and_answers_than_fit_together) {
    Options options;
    options.rpc_bytes_max = 200'000;
    Node node(options);
    const std::string head =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 150000\r\n\r\n";
    Client slow(node);
    slow.write(head + "[");  // and the rest never comes
    for (int i = 0; i < 500 && node.http.connections() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(status_of(Client(node).post(kChainId)), 200u) << "a short one";
    EXPECT_EQ(status_of(Client(node).post(std::string(150'000, ' '))), 503u);
    slow.socket.close();
    unsigned status = 0;
    for (int i = 0; i < 500 && status != 200; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        status = status_of(Client(node).post(std::string(150'000, ' ')));
    }
    EXPECT_EQ(status, 200u) << "there is room again";

    std::string batch;
    for (int i = 0; i < 1000; ++i) {
        batch += i == 0 ? '[' : ',';
        batch += R"({"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x"]})";
    }
    const auto answered = Client(node).post(batch + "]");
    EXPECT_EQ(status_of(answered), 200u);
    EXPECT_GT(answered.body().size(), 100'000u);
    options.rpc_bytes_max = 100'000;
    Node tight(options);
    EXPECT_EQ(status_of(Client(tight).post(batch + "]")), 503u) << "an answer that is too long";
}

TEST(http_server, rejects_other_content_types_methods_and_paths) {
    Node node;
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::post, "/", kChainId,
                                         {{"Content-Type", "text/plain"}})),
              415u);
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::delete_, "/")), 405u);
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::put, "/", "x")), 405u);
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::post, "/other", "x")), 405u);
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::get, "/other")), 404u);
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::get, "/../etc/passwd")), 404u);
}

TEST(http_server, rejects_unknown_hosts_and_malformed_requests) {
    Node node;
    EXPECT_EQ(
        status_of(Client(node).ask(bh::verb::get, "/healthz", "", {{"Host", "evil.example"}})),
        403u);
    Client garbage(node);
    garbage.write("\x16\x03\x01 this is not HTTP\r\n\r\n");
    EXPECT_EQ(status_of(garbage.read()), 400u);
    Client endless(node);
    endless.write("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'a') +
                  "\r\n\r\n");
    EXPECT_EQ(status_of(endless.read()), 431u);
}

TEST(http_server, drops_a_client_that_dribbles_its_header) {
    Options options;
    options.request_ms = 200;
    Node node(options);
    Client client(node);
    client.write("POST / HTTP/1.1\r\nHo");
    EXPECT_TRUE(client.is_closed());
    Client body(node);
    body.write(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        "90\r\n\r\n{");
    EXPECT_TRUE(body.is_closed());
}

TEST(http_server, drops_an_idle_client) {
    Options options;
    options.idle_ms = 200;
    Node node(options);
    Client client(node);
    EXPECT_EQ(status_of(client.post(kChainId)), 200u);
    EXPECT_TRUE(client.is_closed());
}

TEST(http_server, limits_connections) {
    Options options;
    options.connections_max = 1;
    Node node(options);
    Client first(node);
    EXPECT_EQ(status_of(first.post(kChainId)), 200u);
    Client second(node);
    EXPECT_TRUE(second.is_closed());
    EXPECT_EQ(status_of(first.post(kChainId)), 200u);
}

/// Whom a proxy on this machine names.
std::vector<std::pair<std::string, std::string>> forwarded_for(const std::string& who) {
    return {{"X-Forwarded-For", who}};
}

TEST(http_server, gives_one_address_a_share_of_the_connections) {
    Options options;
    options.client_connections_max = 2;
    options.believes_machine = false;
    Node node(options);
    std::optional<Client> first(std::in_place, node);
    Client second(node);
    EXPECT_EQ(status_of(first->post(kChainId)), 200u);
    EXPECT_EQ(status_of(second.post(kChainId)), 200u);
    Client third(node);
    const auto refused = third.post(kChainId);
    EXPECT_EQ(status_of(refused), 429u);
    EXPECT_THAT(refused.body(), HasSubstr("too many connections"));
    EXPECT_TRUE(third.is_closed());
    EXPECT_EQ(node.http.refused().of_clients, 1u);
    first.reset();
    while (node.http.connections() > 1) std::this_thread::yield();
    EXPECT_EQ(status_of(Client(node).post(kChainId)), 200u);
}

TEST(http_server, limits_no_connections_of_this_machine_of_proxies_or_by_zero) {
    Options options;
    options.client_connections_max = 1;
    Node by_default(options);
    options.believes_machine = false;
    options.proxies = {"127.0.0.0/8"};
    Node by_setting(options);
    options.proxies = {};
    options.client_connections_max = 0;
    Node by_zero(options);
    for (const auto* node : {&by_default, &by_setting, &by_zero}) {
        std::deque<Client> clients;
        for (int i = 0; i < 3; ++i)
            EXPECT_EQ(status_of(clients.emplace_back(*node).post(kChainId)), 200u);
    }
}

TEST(http_server, holds_those_whom_a_proxy_names_to_their_shares) {
    Options options;
    options.client_connections_max = 1;
    Node node(options);
    Client socket(node), other(node), again(node);
    for (const auto* who : {"192.0.2.1", "9.9.9.9, 192.0.2.1"}) {
        beast::websocket::stream<tcp::socket&> ws(socket.socket);
        if (who[0] == '1') {
            ws.set_option(beast::websocket::stream_base::decorator(
                [&](beast::websocket::request_type& head) { head.set("X-Forwarded-For", who); }));
            ws.handshake("localhost", "/");
        }
        EXPECT_EQ(status_of(Client(node).ask(bh::verb::post, "/", kChainId, forwarded_for(who))),
                  429u);
    }
    EXPECT_EQ(status_of(other.ask(bh::verb::post, "/", kChainId, forwarded_for("192.0.2.2"))),
              200u);
    EXPECT_EQ(status_of(again.post(kChainId)), 200u);
    EXPECT_EQ(node.http.refused().of_clients, 2u);
}

TEST(http_server, one_client_has_half_of_the_threads) {
    Options options;
    options.rpc_threads = 4;
    Node node(options);
    std::promise<void> gate;
    std::atomic<int> begun{0};
    node.chain.on_call = [&, open = gate.get_future().share()](const rpc::CallRequest& request,
                                                               const rpc::Overrides&) {
        if (request.from) return ++begun, open.wait(), rpc::CallOutcome{};
        return rpc::CallOutcome{};
    };
    const std::string slow =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"from":"0x)" +
        std::string(40, '1') + R"("}]})";
    std::deque<Client> clients;
    for (int i = 0; i < 6; ++i) {
        bh::request<bh::string_body> request(bh::verb::post, "/", 11);
        request.set(bh::field::content_type, "application/json");
        request.set("X-Forwarded-For", "192.0.2.1");
        request.body() = slow;
        request.prepare_payload();
        bh::write(clients.emplace_back(node).socket, request);
    }
    while (begun < 2) std::this_thread::yield();
    EXPECT_EQ(status_of(Client(node).ask(bh::verb::post, "/", kChainId, forwarded_for("1.2.3.4"))),
              200u);
    EXPECT_EQ(begun, 2);
    gate.set_value();
    for (auto& client : clients) EXPECT_EQ(status_of(client.read()), 200u);
}

TEST(http_server, says_who_asks_for_what_takes_long) {
    Node node;
    const auto tx = rpc::test::make_tx(1, 0);
    node.chain.add_block({tx}, {});
    const std::string wait =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransactionSync","params":[")" +
        to_hex0x(encode_tx(tx)) + R"("]})";
    std::promise<void> gate;
    std::atomic<int> begun{0};
    node.chain.on_find_tx = [&, open = gate.get_future().share()] {
        if (++begun <= 2) open.wait();
    };
    const auto ask = [&](const std::string& who) {
        return Client(node).ask(bh::verb::post, "/", wait, forwarded_for(who)).body();
    };
    std::vector<std::future<std::string>> first;
    for (int i = 0; i < 2; ++i)
        first.push_back(std::async(std::launch::async, ask, std::string("192.0.2.1")));
    while (begun < 2) std::this_thread::yield();
    EXPECT_THAT(ask("192.0.2.1"), HasSubstr("in no block yet"));
    EXPECT_THAT(ask("192.0.2.2"), HasSubstr("blockNumber"));
    gate.set_value();
    for (auto& answer : first) EXPECT_THAT(answer.get(), HasSubstr("blockNumber"));
}

TEST(http_server, says_which_proxy_is_none) {
    Options options = Node::on_free_port({});
    options.proxies = {"10.0.0.0/33"};
    Node node;
    HttpServer server({node.runtime, node.server, node.chain, runtime::Logger::null()}, options,
                      {});
    const auto started = server.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().what, HasSubstr("10.0.0.0/33"));
}

TEST(http_server, says_whether_it_is_well_and_ready) {
    std::string why;
    Hooks hooks;
    hooks.why_not_ready = [&] { return why; };
    hooks.metrics = [] { return std::string("blocks 1\n"); };
    Node node({}, hooks);
    Client client(node);
    EXPECT_EQ(client.ask(bh::verb::get, "/healthz").body(), "ok\n");
    EXPECT_EQ(status_of(client.ask(bh::verb::get, "/readyz")), 200u);
    why = "syncing";
    const auto answer = client.ask(bh::verb::get, "/readyz");
    EXPECT_EQ(status_of(answer), 503u);
    EXPECT_EQ(answer.body(), "syncing\n");
    EXPECT_EQ(client.ask(bh::verb::get, "/metrics").body(), "blocks 1\n");
    EXPECT_EQ(status_of(client.ask(bh::verb::head, "/healthz")), 200u);
}

TEST(http_server, serves_the_page_with_a_strict_policy) {
    Node node;
    Client client(node);
    const auto page = client.ask(bh::verb::get, "/");
    EXPECT_EQ(status_of(page), 200u);
    EXPECT_EQ(std::string(page[bh::field::content_type]), "text/html; charset=utf-8");
    EXPECT_THAT(page.body(), HasSubstr("Trainyard"));
    EXPECT_THAT(std::string(page["Content-Security-Policy"]), HasSubstr("default-src 'self'"));
    const auto again =
        client.ask(bh::verb::get, "/", "", {{"If-None-Match", std::string(page[bh::field::etag])}});
    EXPECT_EQ(status_of(again), 304u);
    EXPECT_EQ(again.body(), "");
}

TEST(http_server, speaks_cors_to_listed_origins_only) {
    Options options;
    options.cors_origins = {"https://dapp.example"};
    Node node(options);
    Client client(node);
    const auto preflight =
        client.ask(bh::verb::options, "/", "", {{"Origin", "https://dapp.example"}});
    EXPECT_EQ(status_of(preflight), 204u);
    EXPECT_EQ(preflight["Access-Control-Allow-Origin"], "https://dapp.example");
    EXPECT_EQ(preflight["Access-Control-Allow-Headers"], "Content-Type");
    const auto more =
        client.ask(bh::verb::options, "/", "",
                   {{"Origin", "https://dapp.example"},
                    {"Access-Control-Request-Headers", "authorization,content-type"}});
    EXPECT_EQ(more["Access-Control-Allow-Headers"], "authorization,content-type");
    const auto hidden =
        client.ask(bh::verb::options, "/", "",
                   {{"Origin", "https://dapp.example"},
                    {"Access-Control-Request-Headers", "content-type,X-Forwarded-For"}});
    EXPECT_EQ(hidden["Access-Control-Allow-Headers"], "Content-Type");
    const auto other = client.ask(
        bh::verb::options, "/", "",
        {{"Origin", "https://evil.example"}, {"Access-Control-Request-Headers", "authorization"}});
    EXPECT_EQ(other.count("Access-Control-Allow-Origin"), 0u);
    EXPECT_EQ(other.count("Access-Control-Allow-Headers"), 0u);
    const auto answer =
        client.ask(bh::verb::post, "/", kChainId, {{"Origin", "https://dapp.example"}});
    EXPECT_EQ(answer["Access-Control-Allow-Origin"], "https://dapp.example");
}

TEST(http_blobs, go_in_and_come_out_whole_and_in_parts) {
    Node node;
    Client client(node);
    std::string content(700'000, 'x');
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 % 251);
    const auto id = to_hex0x(sha256(as_bytes(content)).bytes);
    const auto put = client.ask(bh::verb::put, "/blob", content);
    EXPECT_EQ(status_of(put), 201u);
    EXPECT_EQ(put.body(), "{\"id\":\"" + id + "\",\"size\":700000}\n");
    EXPECT_EQ(client.ask(bh::verb::get, "/blob/" + id).body(), content);
    EXPECT_EQ(client.ask(bh::verb::get, "/blob/" + id.substr(2)).body(), content);
    const auto part =
        client.ask(bh::verb::get, "/blob/" + id, "", {{"Range", "bytes=300000-599999"}});
    EXPECT_EQ(status_of(part), 206u);
    EXPECT_EQ(part[bh::field::content_range], "bytes 300000-599999/700000");
    EXPECT_EQ(part.body(), content.substr(300'000, 300'000));
    const auto head = client.ask(bh::verb::head, "/blob/" + id);
    EXPECT_EQ(head[bh::field::content_length], "700000");
    EXPECT_EQ(status_of(client.ask(bh::verb::get, "/blob/" + id, "", {{"Range", "bytes=700000-"}})),
              416u);
    EXPECT_EQ(client.ask(bh::verb::put, "/blob", "").body(),
              "{\"id\":\"" + to_hex0x(sha256({}).bytes) + "\",\"size\":0}\n");
}

TEST(http_blobs, are_released_by_who_knows_their_owner) {
    Node node;
    Client client(node);
    const std::string owner(64, 'a'), stranger(64, 'b');
    const auto id = to_hex0x(sha256(as_bytes("state")).bytes);
    EXPECT_EQ(status_of(client.ask(bh::verb::put, "/blob", "state", {{"Blob-Owner", owner}})),
              201u);
    EXPECT_EQ(node.chain.blob_owner, fixed_from_hex<Hash>(owner));
    const auto release = [&](const std::string& blob, const std::string& by) {
        return status_of(client.ask(bh::verb::delete_, "/blob/" + blob, "", {{"Blob-Owner", by}}));
    };
    EXPECT_EQ(release(id, stranger), 204u);
    EXPECT_EQ(node.chain.blobs.size(), 1u);
    EXPECT_EQ(release(id, owner), 204u);
    EXPECT_TRUE(node.chain.blobs.empty());
    EXPECT_EQ(release("12", owner), 400u);
    EXPECT_EQ(release(id, "12"), 400u);
    EXPECT_EQ(status_of(client.ask(bh::verb::delete_, "/blob/" + id)), 400u);
    Client other(node);
    EXPECT_EQ(status_of(other.ask(bh::verb::put, "/blob", "x", {{"Blob-Owner", "12"}})), 400u);
}

TEST(http_blobs, of_who_is_on_another_machine_are_those_of_a_guest) {
    Node node;
    Client client(node);
    const auto uploader = [&](const std::vector<std::pair<std::string, std::string>>& fields) {
        EXPECT_EQ(status_of(client.ask(bh::verb::put, "/blob", "x", fields)), 201u);
        return node.chain.uploader;
    };
    EXPECT_EQ(uploader({}), rpc::Uploader::own);
    EXPECT_EQ(uploader(forwarded_for("192.0.2.1")), rpc::Uploader::guest);
    EXPECT_EQ(uploader(forwarded_for("127.0.0.1")), rpc::Uploader::own);
    EXPECT_EQ(status_of(client.post(
                  R"({"jsonrpc":"2.0","id":1,"method":"yard_putBlob","params":["0x00"]})")),
              200u);
    EXPECT_EQ(node.chain.uploader, rpc::Uploader::guest);
}

TEST(http_blobs, are_fetched_from_peers_in_the_name_of_who_asks) {
    Node node;
    for (const auto* who : {"192.0.2.1", "192.0.2.2", "127.0.0.1"})
        EXPECT_EQ(status_of(Client(node).ask(bh::verb::get, "/blob/" + std::string(64, '0'), "",
                                             forwarded_for(who))),
                  404u);
    EXPECT_THAT(node.chain.blob_clients, testing::ElementsAre("192.0.2.1", "192.0.2.2", ""));
}

TEST(http_blobs, rejects_unknown_ids_and_overlong_content) {
    Options options;
    options.blob_bytes_max = 1000;
    Node node(options);
    Client client(node);
    EXPECT_EQ(status_of(client.ask(bh::verb::get, "/blob/" + std::string(64, '0'))), 404u);
    EXPECT_EQ(status_of(client.ask(bh::verb::get, "/blob/12")), 400u);
    EXPECT_EQ(status_of(client.ask(bh::verb::put, "/blob", std::string(1001, 'x'))), 413u);
    node.chain.blob_size_max = 10;
    Client other(node);
    EXPECT_EQ(status_of(other.ask(bh::verb::put, "/blob", std::string(11, 'x'))), 413u);
    EXPECT_TRUE(node.chain.blobs.empty());
}

TEST(http_blobs, waits_for_nobody_who_expects_a_hundred) {
    Node node;
    Client client(node);
    client.write(
        "PUT /blob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: "
        "100-continue\r\n\r\n");
    EXPECT_EQ(status_of(client.read()), 100u);
    client.write("abc");
    EXPECT_EQ(status_of(client.read()), 201u);
}

struct Socket {
    Client client;
    beast::websocket::stream<tcp::socket&> ws{client.socket};

    explicit Socket(const Node& node) : client(node) { ws.handshake("localhost", "/"); }
    std::string read() {
        beast::flat_buffer buffer;
        boost::system::error_code failed;
        ws.read(buffer, failed);
        return failed ? "closed: " + failed.message() : beast::buffers_to_string(buffer.data());
    }
    std::string ask(const std::string& body) {
        ws.write(asio::buffer(body));
        return read();
    }
};

TEST(http_websocket, answers_and_pushes) {
    Node node;
    Socket socket(node);
    EXPECT_EQ(socket.ask(kChainId), kChainIdAnswer);
    EXPECT_EQ(socket.ask("[" + std::string(kChainId) + "]"),
              "[" + std::string(kChainIdAnswer) + "]");
    const auto answer =
        socket.ask(R"({"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["newHeads"]})");
    EXPECT_THAT(answer, HasSubstr(R"("id":2,"result":"0x)"));
    const auto block = node.chain.add_block({}, {});
    node.server.on_head({}, {block});
    EXPECT_THAT(socket.read(), HasSubstr(to_hex0x(block->hash.bytes)));
}

TEST(http_websocket, rejects_origins_that_are_not_listed) {
    Node node;
    Client client(node);
    client.write(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Origin: https://evil.example\r\n\r\n");
    EXPECT_EQ(status_of(client.read()), 403u);
}

TEST(http_websocket, rejects_messages_above_the_limit) {
    Options options;
    options.body_bytes_max = 1000;
    Node node(options);
    Socket socket(node);
    EXPECT_THAT(socket.ask(std::string(1001, ' ')), HasSubstr("closed"));
}

TEST(http_websocket, ends_messages_that_do_not_end) {
    Options options;
    options.rpc_bytes_max = 200'000;
    Node node(options);
    Socket first(node), second(node);
    first.ws.write_some(false, asio::buffer(std::string(150'000, ' ')));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    boost::system::error_code closed_meanwhile;
    second.ws.write_some(false, asio::buffer(std::string(150'000, ' ')), closed_meanwhile);
    EXPECT_THAT(second.read(), HasSubstr("closed")) << "too much together";
    options.request_ms = 200;
    Node brisk(options);
    Socket third(brisk);
    third.ws.write_some(false, asio::buffer(std::string(1000, ' ')));
    EXPECT_THAT(third.read(), HasSubstr("closed")) << "too slow";
}

void expect_a_slow_reader_is_dropped(const Options& options) {
    constexpr auto kSubscribe =
        R"({"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["newHeads"]})";
    Node node(options);
    Socket socket(node);
    EXPECT_THAT(socket.ask(kSubscribe), HasSubstr("result"));
    const auto block = node.chain.add_block({}, {});
    for (int i = 0; i < 20'000 && node.http.connections() == 1; ++i)
        node.server.on_head({}, {block});
    for (int i = 0; i < 500 && node.http.connections() == 1; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(node.http.connections(), 0u);
    EXPECT_EQ(status_of(Client(node).post(kChainId)), 200u);
    Socket next(node);
    EXPECT_THAT(next.ask(kSubscribe), HasSubstr("result"));
    node.server.on_head({}, {block});
    EXPECT_THAT(next.read(), HasSubstr("eth_subscription"));
}

TEST(http_websocket, drops_a_subscriber_that_reads_too_slowly) {
    Options options;
    options.ws_queue_messages_max = 10;
    options.ws_queue_bytes_max = 1 << 20;
    expect_a_slow_reader_is_dropped(options);
}

TEST(http_websocket, drops_a_subscriber_when_all_queues_together_are_too_long) {
    Options options;
    options.ws_queues_bytes_max = 1 << 16;
    expect_a_slow_reader_is_dropped(options);
}

TEST(http_server, ends_open_connections_when_it_stops) {
    Node node;
    Client idle(node);
    EXPECT_EQ(status_of(idle.post(kChainId)), 200u);
    Socket socket(node);
    EXPECT_EQ(socket.ask(kChainId), kChainIdAnswer);
    std::thread reader([&] { EXPECT_THAT(socket.read(), HasSubstr("closed")); });
    node.http.stop();
    reader.join();
    EXPECT_TRUE(idle.is_closed());
    EXPECT_EQ(node.http.connections(), 0u);
}

TEST(http_server, finishes_a_request_in_flight_when_it_stops) {
    Node node;
    std::atomic<bool> entered{false};
    node.chain.on_call = [&](const rpc::CallRequest&, const rpc::Overrides&) {
        entered = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        return rpc::CallOutcome{};
    };
    Client client(node);
    std::thread asker([&] {
        const auto answer =
            client.post(R"({"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}]})");
        EXPECT_THAT(answer.body(), HasSubstr("\"result\":\"0x\""));
    });
    while (!entered) std::this_thread::yield();
    node.http.stop();
    asker.join();
}

TEST(http_server, begins_no_request_any_more_when_it_stops) {
    Options options;
    options.rpc_threads = 1;
    Node node(options);
    std::atomic<int> begun{0};
    node.chain.on_call = [&](const rpc::CallRequest&, const rpc::Overrides&) {
        ++begun;
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        return rpc::CallOutcome{};
    };
    constexpr auto kCall = R"({"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}]})";
    std::deque<Client> clients;
    for (int i = 0; i < 5; ++i) {
        bh::request<bh::string_body> request(bh::verb::post, "/", 11);
        request.set(bh::field::content_type, "application/json");
        request.body() = kCall;
        request.prepare_payload();
        bh::write(clients.emplace_back(node).socket, request);
    }
    while (begun == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    node.http.stop();
    EXPECT_EQ(begun, 1);
}

TEST(http_server, answers_on_threads_that_give_way_to_the_others) {
    Node node;
    std::atomic<int> niceness{0};
    node.chain.on_call = [&](const rpc::CallRequest&, const rpc::Overrides&) {
        niceness = ::getpriority(PRIO_PROCESS, 0);  // of this thread
        return rpc::CallOutcome{};
    };
    const int own = ::getpriority(PRIO_PROCESS, 0);
    (void)Client(node).post(R"({"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}]})");
    EXPECT_EQ(niceness, std::min(own + 10, 19));
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), own);
}

TEST(http_server, says_what_to_do_when_the_port_is_taken) {
    Node node;
    Options options;
    options.port = node.port;
    HttpServer second({node.runtime, node.server, node.chain, runtime::Logger::null()}, options,
                      {});
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().what, HasSubstr("choose another --http-port"));
}

}  // namespace
}  // namespace trainyard::node::http
