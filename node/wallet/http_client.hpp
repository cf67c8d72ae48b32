// SPDX-License-Identifier: Apache-2.0
// A synchronous HTTP/1.1 client with timeouts over one kept-alive connection.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/wallet/error.hpp"

namespace trainyard::node::wallet {

struct HttpUrl {
    std::string host;
    std::string port;
    std::string path;  ///< begins with '/'
};
/// "http://host:port/path"; port 80 and path "/" are implied. Errors: malformed, unsupported
/// (https).
[[nodiscard]] Result<HttpUrl, WalletError> parse_http_url(std::string_view url);

struct HttpRequest {
    std::string method = "POST";
    std::string path = "/";
    std::string content_type = "application/json";
    std::string blob_owner;  ///< header Blob-Owner; empty: none
    BytesView body;          ///< stays where it is until the answer
    uint32_t timeout_ms = 10'000;
    bool is_long = false;  ///< each mebibyte of the bodies has that time, not all of them together
    uint64_t answer_bytes_max = 64u << 20;
};
struct HttpAnswer {
    unsigned status = 0;
    Bytes body;
};

/// Thread-safe; requests wait for one another. A connection that the server closed while idle is
/// opened again once.
class HttpClient {
public:
    explicit HttpClient(HttpUrl url);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// Errors: unreachable, timeout, too_large, malformed, closed.
    [[nodiscard]] Result<HttpAnswer, WalletError> send(const HttpRequest& request);
    /// Ends what is in progress, from any thread; nothing is sent afterwards.
    void close();
    [[nodiscard]] std::string text() const;  ///< "http://host:port"

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::wallet
