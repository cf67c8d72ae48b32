// SPDX-License-Identifier: Apache-2.0
// PUT /blob and GET /blob/<id>: large content in chunks, never whole in memory.
#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "node/http/connection.hpp"
#include "node/http/policy.hpp"

namespace trainyard::node::http {

namespace asio = boost::asio;
using beast_http::field;
using beast_http::status;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kChunkBytes = 256 << 10;

std::chrono::milliseconds ms(uint64_t n) {
    return std::chrono::milliseconds(n);
}

status to_status(rpc::BlobError error) {
    switch (error) {
        case rpc::BlobError::not_found:
            return status::not_found;
        case rpc::BlobError::too_large:
            return status::payload_too_large;
        case rpc::BlobError::quota:
            return status::insufficient_storage;
        case rpc::BlobError::busy:
            return status::service_unavailable;
        case rpc::BlobError::out_of_range:
            return status::range_not_satisfiable;
        case rpc::BlobError::io:
            return status::internal_server_error;
    }
    return status::internal_server_error;
}

std::string_view to_text(rpc::BlobError error) {
    switch (error) {
        case rpc::BlobError::not_found:
            return "blob not found here or at a peer\n";
        case rpc::BlobError::too_large:
            return "blob too large\n";
        case rpc::BlobError::quota:
            return "blob store is full; of that, clients on other machines may fill half\n";
        case rpc::BlobError::busy:
            return "too many blobs are being fetched; ask again in a moment\n";
        case rpc::BlobError::out_of_range:
            return "range beyond the end of the blob\n";
        case rpc::BlobError::io:
            return "blob store failed\n";
    }
    return "";
}

std::string to_json(const rpc::BlobInfo& info) {
    return "{\"id\":\"" + to_hex0x(info.id.bytes) +
           "\",\"size\":" + std::to_string(info.size_bytes) + "}\n";
}

using Stored = Result<Done, rpc::BlobError>;

constexpr char kOwnerField[] = "Blob-Owner";
constexpr std::string_view kBadOwner = "Blob-Owner has 32 bytes in hexadecimal\n";

/// Of /blob/<id>; nullopt: not 32 bytes.
std::optional<Hash> id_of(const RequestHead& request) {
    const auto target = to_view(request.target());
    return fixed_from_hex<Hash>(target.substr(6, target.find('?') - 6));
}

}  // namespace

asio::awaitable<bool> Connection::answer_put_blob(Parser& head) {
    const auto& options = shared_->options;
    const RequestHead request = head.get().base();
    // A page of another origin cannot send PUT without a preflight, which does not allow it.
    if (head.content_length().value_or(0) > options.blob_bytes_max) {
        co_await refuse(request, status::payload_too_large, to_text(rpc::BlobError::too_large));
        co_return false;
    }
    const auto named = to_view(request[kOwnerField]);
    const auto owner = fixed_from_hex<Hash>(named);
    if (!named.empty() && !owner) {
        co_await refuse(request, status::bad_request, kBadOwner);
        co_return false;
    }
    const auto who = client_.empty() ? rpc::Uploader::own : rpc::Uploader::guest;
    auto open = [shared = shared_, owner, who] {
        auto writer = shared->backend.begin_blob(owner, who);
        return std::make_shared<decltype(writer)>(std::move(writer));
    };
    auto opened = co_await on_pool(*shared_, client_, std::move(open));
    if (!*opened) {
        co_await refuse(request, to_status(opened->error()), to_text(opened->error()));
        co_return false;
    }
    if (!co_await send_continue(request)) co_return false;

    const std::shared_ptr<rpc::BlobWriter> writer = std::move(**opened);
    beast_http::request_parser<beast_http::buffer_body> parser(std::move(head));
    parser.body_limit(options.blob_bytes_max);
    auto chunk = std::make_shared<Bytes>(kChunkBytes);
    while (!parser.is_done()) {
        parser.get().body().data = chunk->data();
        parser.get().body().size = chunk->size();
        stream_.expires_after(ms(options.blob_chunk_ms));
        auto failed =
            std::get<0>(co_await beast_http::async_read(stream_, buffer_, parser, kTuple));
        if (failed == beast_http::error::need_buffer) failed = {};
        if (failed == beast_http::error::body_limit)
            co_await refuse(request, status::payload_too_large, to_text(rpc::BlobError::too_large));
        if (failed) co_return false;
        const size_t size = chunk->size() - parser.get().body().size;
        stream_.expires_never();
        auto append = [writer, chunk, size] {
            return std::make_shared<Stored>(writer->append(BytesView(*chunk).first(size)));
        };
        auto stored = co_await on_pool(*shared_, client_, std::move(append));
        if (*stored) continue;
        co_await refuse(request, to_status(stored->error()), to_text(stored->error()));
        co_return false;
    }
    auto finish = [writer] {
        return std::make_shared<Result<rpc::BlobInfo, rpc::BlobError>>(writer->finish());
    };
    const auto info = co_await on_pool(*shared_, client_, std::move(finish));
    const bool keep_alive = parser.keep_alive();
    auto response =
        *info
            ? make_response(request, options, status::created, "application/json", to_json(**info))
            : make_text(request, options, to_status(info->error()), to_text(info->error()));
    co_return co_await send(response, keep_alive, false);
}

asio::awaitable<bool> Connection::answer_get_blob(const RequestHead& request) {
    const auto id = id_of(request);
    const bool keep_alive = beast_http::request<beast_http::empty_body>(request).keep_alive();
    const bool is_head = request.method() == beast_http::verb::head;
    if (!id) {
        auto response = make_text(request, shared_->options, status::bad_request,
                                  "a blob id has 32 bytes in hexadecimal\n");
        co_return co_await send(response, keep_alive, is_head);
    }
    auto look = [shared = shared_, client = client_, blob = *id] {
        return std::make_shared<Result<rpc::BlobInfo, rpc::BlobError>>(
            shared->backend.fetch_blob(client, blob));
    };
    const auto info = co_await on_pool(*shared_, client_, std::move(look));
    if (!*info) {
        auto response =
            make_text(request, shared_->options, to_status(info->error()), to_text(info->error()));
        co_return co_await send(response, keep_alive, is_head);
    }
    co_return co_await send_blob(request, **info);
}

/// Only for who knows the owner that the blob was put for; a page of another origin cannot send it.
asio::awaitable<bool> Connection::answer_release_blob(const RequestHead& request) {
    const auto id = id_of(request);
    const auto owner = fixed_from_hex<Hash>(to_view(request[kOwnerField]));
    const bool keep_alive = beast_http::request<beast_http::empty_body>(request).keep_alive();
    if (!id || !owner) {
        auto response = make_text(request, shared_->options, status::bad_request, kBadOwner);
        co_return co_await send(response, keep_alive, false);
    }
    auto release = [shared = shared_, blob = *id, by = *owner] {
        return std::make_shared<Stored>(shared->backend.release_blob(blob, by));
    };
    const auto done = co_await on_pool(*shared_, client_, std::move(release));
    auto response = *done ? make_text(request, shared_->options, status::no_content, "")
                          : make_text(request, shared_->options, to_status(done->error()),
                                      to_text(done->error()));
    co_return co_await send(response, keep_alive, false);
}

asio::awaitable<bool> Connection::send_blob(const RequestHead& request, const rpc::BlobInfo& info) {
    ByteRange range{0, info.size_bytes};
    const auto verdict = parse_range(to_view(request[field::range]), info.size_bytes, range);
    const bool is_head = request.method() == beast_http::verb::head;
    const bool keep_alive = beast_http::request<beast_http::empty_body>(request).keep_alive();
    if (verdict == RangeVerdict::unsatisfiable) {
        auto response = make_text(request, shared_->options, status::range_not_satisfiable,
                                  to_text(rpc::BlobError::out_of_range));
        response.set(field::content_range, "bytes */" + std::to_string(info.size_bytes));
        co_return co_await send(response, keep_alive, is_head);
    }
    const bool is_part = verdict == RangeVerdict::valid;
    beast_http::response<beast_http::empty_body> header(
        is_part ? status::partial_content : status::ok, request.version());
    header.set(field::content_type, "application/octet-stream");
    header.set("X-Content-Type-Options", "nosniff");
    header.set(field::accept_ranges, "bytes");
    header.set(field::etag, '"' + to_hex0x(info.id.bytes) + '"');
    header.set(field::cache_control, "public, immutable, max-age=31536000");
    add_cors(header, request, shared_->options);
    if (is_part)
        header.set(field::content_range, "bytes " + std::to_string(range.offset) + "-" +
                                             std::to_string(range.offset + range.length - 1) + "/" +
                                             std::to_string(info.size_bytes));
    header.content_length(range.length);
    header.keep_alive(keep_alive);
    beast_http::response_serializer<beast_http::empty_body> serializer(header);
    stream_.expires_after(ms(shared_->options.write_ms));
    const auto [failed, size] =
        co_await beast_http::async_write_header(stream_, serializer, kTuple);
    if (failed) co_return false;
    if (is_head) co_return keep_alive;
    const bool sent = co_await send_chunks(info.id, range.offset, range.length);
    co_return sent&& keep_alive;
}

asio::awaitable<bool> Connection::send_chunks(const Hash& id, uint64_t offset, uint64_t length) {
    while (length > 0) {
        const uint64_t want = std::min<uint64_t>(length, kChunkBytes);
        stream_.expires_never();
        auto read = [shared = shared_, id, offset, want] {
            return std::make_shared<Result<Bytes, rpc::BlobError>>(
                shared->backend.read_blob(id, offset, want));
        };
        const auto chunk = co_await on_pool(*shared_, client_, std::move(read));
        // The header promised a length, so all that is left to say is to hang up.
        if (!*chunk || (*chunk)->size() != want) co_return false;
        stream_.expires_after(ms(shared_->options.blob_chunk_ms));
        const auto [failed, size] =
            co_await asio::async_write(stream_, asio::buffer(chunk->value()), kTuple);
        if (failed) co_return false;
        offset += want;
        length -= want;
    }
    co_return true;
}

}  // namespace trainyard::node::http
