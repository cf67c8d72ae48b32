// SPDX-License-Identifier: Apache-2.0
// One HTTP connection from accept to close; private to this folder.
#pragma once

#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>

#include "node/http/routes.hpp"

namespace trainyard::node::http {

/// Everything runs on the strand that `socket` was accepted on, except `close`.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    /// `from` is the other end; its place is given back when the connection ends.
    Connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<Shared> shared, Client from,
               Places<Client>::Held place);

    /// Serves until the peer leaves, a limit is broken or the server stops.
    boost::asio::awaitable<void> run();
    /// Ends an idle connection, or any with `at_once`; from any thread.
    void close(bool at_once);

private:
    using Parser = beast_http::request_parser<beast_http::empty_body>;
    using Status = beast_http::status;
    template <class T>
    using Task = boost::asio::awaitable<T>;

    Task<bool> wait_for_request();
    Task<bool> answer(Parser& head);  ///< true: another request may follow
    Task<bool> answer_to_client(Parser& head);
    [[nodiscard]] Response answer_plain(const RequestHead& request);
    Task<bool> answer_rpc(Parser& head);
    Task<bool> answer_put_blob(Parser& head);
    Task<bool> answer_get_blob(const RequestHead& request);
    Task<bool> answer_release_blob(const RequestHead& request);
    Task<bool> send_blob(const RequestHead& request, const rpc::BlobInfo& info);
    Task<bool> send_chunks(const Hash& id, uint64_t offset, uint64_t length);
    Task<bool> send(Response& response, bool keep_alive, bool is_head);
    Task<void> serve_websocket(Parser& head);
    /// Sends a refusal while the peer may still be sending its body, then closes gently.
    Task<void> refuse(const RequestHead& request, Status status, std::string_view text);
    Task<bool> send_continue(const RequestHead& request);
    Task<void> drain();

    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    std::shared_ptr<Shared> shared_;
    const Client from_;
    const Places<Client>::Held place_;
    Client client_;  ///< who asks: `from_`, or whom a proxy names
    std::atomic<bool> busy_{false};
    std::function<void(bool)> close_websocket_;  ///< on the strand
};

}  // namespace trainyard::node::http
