// SPDX-License-Identifier: Apache-2.0
// The HTTP client against servers that are slow, silent, or still there when it is closed.
#include "node/wallet/http_client.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/node/wallet/one_answer.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

void wait_ms(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

void read_until_closed(int fd) {
    uint8_t some[1024];
    while (::recv(fd, some, sizeof(some), 0) > 0) {
    }
}

HttpRequest request(bool is_long, uint32_t timeout_ms) {
    HttpRequest out;
    out.method = "GET";
    out.is_long = is_long;
    out.timeout_ms = timeout_ms;
    return out;
}

/// Three mebibytes and a bit, each after most of the time that a client gives.
void answer_slowly(int fd) {
    read_head(fd);
    write_head(fd, 3 * kMiB + 5);
    for (int k = 0; k < 3; ++k) {
        wait_ms(800);
        write_all(fd, Bytes(kMiB, static_cast<uint8_t>(k)));
    }
    write_all(fd, Bytes(5, 3));
}

TEST(http_client, a_long_answer_has_as_long_as_it_gets_on) {
    const OneAnswer server(answer_slowly);
    HttpClient client(server.url());
    const auto answer = client.send(request(true, 2000));
    ASSERT_TRUE(answer) << answer.error().text;
    ASSERT_EQ(answer->body.size(), 3 * kMiB + 5);
    for (uint8_t k = 0; k < 4; ++k) EXPECT_EQ(answer->body[k * kMiB], k);
    client.close();
}

TEST(http_client, any_other_answer_has_one_time_for_all_of_it) {
    const OneAnswer server(answer_slowly);
    HttpClient client(server.url());
    EXPECT_EQ(client.send(request(false, 2000)).error().code, WalletErrorCode::timeout);
}

TEST(http_client, a_long_answer_that_stands_still_has_not_come) {
    const OneAnswer server([](int fd) {
        read_head(fd);
        write_head(fd, 2 * kMiB);
        write_all(fd, Bytes(kMiB + 1, 1));
        read_until_closed(fd);
    });
    HttpClient client(server.url());
    EXPECT_EQ(client.send(request(true, 300)).error().code, WalletErrorCode::timeout);
}

TEST(http_client, a_long_body_is_sent_whole_to_a_slow_reader) {
    Bytes body(16 * kMiB);
    for (size_t k = 0; k < body.size(); ++k) body[k] = static_cast<uint8_t>(k * 31 >> 8);
    Bytes got;
    {
        const OneAnswer server([&](int fd) {
            Bytes some(kMiB);
            size_t due = body.size();  // and the head, once it is there
            while (got.size() < due) {
                const ssize_t n = ::recv(fd, some.data(), some.size(), 0);
                if (n <= 0) return;
                append(got, BytesView(some).first(static_cast<size_t>(n)));
                const auto end = as_text(got).find("\r\n\r\n");
                if (end != std::string_view::npos) due = end + 4 + body.size();
                wait_ms(1);
            }
            write_head(fd, 2);
            write_all(fd, Bytes{7, 8});
        });
        HttpClient client(server.url());
        auto sent = request(true, 5000);
        sent.method = "PUT";
        sent.body = body;
        const auto answer = client.send(sent);
        ASSERT_TRUE(answer) << answer.error().text;
        EXPECT_EQ(answer->body, (Bytes{7, 8}));
        client.close();
    }
    ASSERT_GT(got.size(), body.size());
    EXPECT_TRUE(
        std::equal(body.begin(), body.end(), got.end() - static_cast<ptrdiff_t>(body.size())));
}

TEST(http_client, closing_ends_a_call_in_progress_and_those_after_it) {
    const OneAnswer server(read_until_closed);
    HttpClient client(server.url());
    std::thread closer([&] {
        wait_ms(200);
        client.close();
    });
    EXPECT_EQ(client.send(request(true, 600'000)).error().code, WalletErrorCode::closed);
    closer.join();
    EXPECT_EQ(client.send(request(false, 1000)).error().code, WalletErrorCode::closed);
}

}  // namespace
}  // namespace trainyard::node::wallet
