// SPDX-License-Identifier: Apache-2.0
// Blocking connections between a node and its signer: a Unix socket, or TLS with proof of both
// keys.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/p2p/tls.hpp"

struct ssl_st;

namespace trainyard::node::signer {

/// "unix:PATH", or "tls:HOST:PORT" to listen and "tls:KEY@HOST:PORT" to connect.
struct ChannelAddress {
    std::string path;  ///< of the socket; empty: TLS
    std::string host;
    uint16_t port = 0;
    std::optional<PublicKey> key;  ///< who must answer
    bool operator==(const ChannelAddress&) const = default;
};
[[nodiscard]] std::optional<ChannelAddress> channel_address_from(std::string_view text);
[[nodiscard]] std::string to_string(const ChannelAddress& address);

/// TLS 1.3 as between peers (docs/spec/wire.md, section 1), with a name of its own in ALPN. Makes
/// the process ignore SIGPIPE.
[[nodiscard]] std::unique_ptr<p2p::TlsContext> make_signer_tls(const SecretKey& identity);

/// Errors are texts for people. Every operation ends within the time given at the start.
class Channel {
public:
    [[nodiscard]] static Result<Channel, std::string> connect(const ChannelAddress& to,
                                                              const p2p::TlsContext* tls,
                                                              uint32_t timeout_ms);
    /// Takes over an accepted socket; with `tls` the handshake comes first.
    [[nodiscard]] static Result<Channel, std::string> accept(int fd, const p2p::TlsContext* tls,
                                                             uint32_t timeout_ms);
    Channel(Channel&& other) noexcept;
    Channel& operator=(Channel&& other) noexcept;
    ~Channel();

    /// u32 length | payload, at most kFrameBytesMax.
    [[nodiscard]] bool write_frame(BytesView payload);
    /// nullopt: closed, too slow or too long.
    [[nodiscard]] std::optional<Bytes> read_frame();
    /// Waits for the first byte of a frame; false after `wait_ms`.
    [[nodiscard]] bool has_input(int wait_ms) const;
    [[nodiscard]] const std::optional<PublicKey>& peer() const { return peer_; }

private:
    explicit Channel(int fd) : fd_(fd) {}
    [[nodiscard]] Result<Done, std::string> secure(const p2p::TlsContext& tls, bool is_client);
    [[nodiscard]] bool write_all(BytesView from);
    [[nodiscard]] bool read_exactly(std::span<uint8_t> to);
    void close();

    int fd_ = -1;
    ssl_st* ssl_ = nullptr;
    std::optional<PublicKey> peer_;
};

/// A listening socket; a Unix one is readable by its owner alone and removed at the end.
class Listener {
public:
    [[nodiscard]] static Result<Listener, std::string> open(const ChannelAddress& at);
    Listener(Listener&& other) noexcept;
    ~Listener();
    /// A connected socket, or -1 after `wait_ms` or when the other side may not connect.
    [[nodiscard]] int accept(int wait_ms) const;
    [[nodiscard]] uint16_t port() const { return port_; }

private:
    Listener() = default;
    int fd_ = -1;
    std::string path_;
    uint16_t port_ = 0;
};

}  // namespace trainyard::node::signer
