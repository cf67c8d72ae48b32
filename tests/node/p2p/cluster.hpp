// SPDX-License-Identifier: Apache-2.0
// Networks in one process over 127.0.0.1, and a raw TLS peer that may say anything.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "node/p2p/messages.hpp"
#include "core/hash.hpp"
#include "node/p2p/frame.hpp"
#include "node/p2p/network.hpp"
#include "node/p2p/tls.hpp"

namespace trainyard::p2p::test {

inline SecretKey secret(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}
inline PeerId id_of(uint8_t n) {
    return *public_key(secret(n));
}
inline Hash genesis() {
    return sha256(as_bytes("a chain for tests"));
}

/// Waits until `condition` holds, at most five seconds.
inline bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return condition();
}

inline NetworkOptions options(uint8_t n) {
    NetworkOptions o;
    o.identity = secret(n);
    o.genesis = genesis();
    o.handshake_timeout = runtime::Duration(2000);
    o.ping_interval = runtime::Duration(50);
    o.backoff_min = runtime::Duration(20);
    o.backoff_max = runtime::Duration(200);
    return o;
}

inline StaticPeer peer_at(uint8_t n, uint16_t port) {
    return {{"127.0.0.1", port}, id_of(n)};
}

/// A TLS client on blocking sockets whose frames the test writes byte by byte.
class RawPeer {
public:
    RawPeer(uint16_t port, const MakeExtension& extension, const Hash& chain = genesis())
        : tls_(TlsContext::make(extension, protocol_name(chain))),
          stream_(boost::asio::ip::tcp::socket(io_), SSL_new(tls_->native())) {
        stream_.next_layer().connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
        if (!error) stream_.handshake(boost::asio::ssl::stream_base::client, error);
    }
    explicit RawPeer(uint16_t port, uint8_t n = 99)
        : RawPeer(port, [n](BytesView key) { return identity_extension(secret(n), key); }) {}

    void write(BytesView bytes) {
        boost::asio::write(stream_, boost::asio::buffer(bytes.data(), bytes.size()), error);
    }
    void write(Kind kind, uint64_t request_id, BytesView payload) {
        write(*encode_frame(kind, request_id, payload));
    }
    void greet(const Hash& chain = genesis()) {
        write(Kind::hello, 0, encode_hello({chain, 7, 0, "raw"}));
    }
    /// The next frame, or nullopt when the connection ended.
    std::optional<Message> read() {
        std::array<uint8_t, kFrameHeaderBytes> header{};
        boost::asio::read(stream_, boost::asio::buffer(header), error);
        if (error) return std::nullopt;
        const auto decoded = decode_header(header);
        if (!decoded) return std::nullopt;
        Bytes envelope(decoded->envelope_bytes);
        boost::asio::read(stream_, boost::asio::buffer(envelope), error);
        if (error) return std::nullopt;
        const auto message = decode_envelope(*decoded->row, envelope);
        return message ? std::optional(*message) : std::nullopt;
    }
    /// Reads on to the goodbye and gives its reason; empty if the connection ends without one.
    std::string goodbye() {
        while (const auto message = read()) {
            if (message->kind == Kind::goodbye)
                return decode_goodbye(message->payload).value_or("?");
        }
        return "";
    }

    boost::system::error_code error;

private:
    boost::asio::io_context io_;
    std::unique_ptr<TlsContext> tls_;
    boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
};

}  // namespace trainyard::p2p::test
