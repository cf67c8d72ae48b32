// SPDX-License-Identifier: Apache-2.0
// POSIX sockets with time limits, and OpenSSL over them.
#include "node/signer/channel.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/p2p/network.hpp"
#include "node/signer/protocol.hpp"

namespace trainyard::node::signer {
namespace {

constexpr char kProtocol[] = "trainyard-signer/1";
constexpr int kBacklog = 8;

std::string errno_text() {
    return std::strerror(errno);
}

bool set_limits(int fd, uint32_t timeout_ms) {
    timeval limit{};
    limit.tv_sec = timeout_ms / 1000;
    limit.tv_usec = static_cast<suseconds_t>(timeout_ms % 1000) * 1000;
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // fails on Unix sockets
    return ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
           ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0;
}

bool fill(sockaddr_un& to, const std::string& path) {
    to.sun_family = AF_UNIX;
    if (path.size() + 1 > sizeof(to.sun_path)) return false;
    std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
    return true;
}

int unix_socket() {
    return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

bool connect_unix(int fd, const std::string& path) {
    sockaddr_un address{};
    return fill(address, path) &&
           ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

/// Tries each address of the host; `use` binds or connects.
template <class Use>
int tcp_socket(const ChannelAddress& to, int flags, Use use) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | flags;
    addrinfo* found = nullptr;
    if (::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = -1;
    for (const addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
        fd = ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && !use(fd, *at)) {
            const int kept = errno;
            ::close(fd);
            errno = kept;
            fd = -1;
        }
    }
    ::freeaddrinfo(found);
    return fd;
}

bool is_same_user(int fd) {
    ucred who{};
    socklen_t size = sizeof(who);
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
           (who.uid == ::geteuid() || who.uid == 0);
}

}  // namespace

std::optional<ChannelAddress> channel_address_from(std::string_view text) {
    ChannelAddress out;
    if (text.starts_with("unix:")) {
        out.path = text.substr(5);
        sockaddr_un address{};
        if (out.path.empty() || !fill(address, out.path)) return std::nullopt;
        return out;
    }
    if (!text.starts_with("tls:")) return std::nullopt;
    text.remove_prefix(4);
    if (const auto at = text.find('@'); at != std::string_view::npos) {
        out.key = fixed_from_hex<PublicKey>(text.substr(0, at));
        if (!out.key) return std::nullopt;
        text.remove_prefix(at + 1);
    }
    const auto endpoint = p2p::endpoint_from(text);
    if (!endpoint) return std::nullopt;
    out.host = endpoint->host;
    out.port = endpoint->port;
    return out;
}

std::string to_string(const ChannelAddress& address) {
    if (!address.path.empty()) return "unix:" + address.path;
    return "tls:" + p2p::to_string(p2p::Endpoint{address.host, address.port});
}

std::unique_ptr<p2p::TlsContext> make_signer_tls(const SecretKey& identity) {
    // OpenSSL writes to sockets that the other side has closed, and has no flag against the signal.
    std::signal(SIGPIPE, SIG_IGN);
    return p2p::TlsContext::make(
        [&](BytesView key) { return p2p::identity_extension(identity, key); }, kProtocol);
}

Channel::Channel(Channel&& other) noexcept {
    *this = std::move(other);
}
Channel& Channel::operator=(Channel&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(ssl_, other.ssl_);
    std::swap(peer_, other.peer_);
    return *this;
}
Channel::~Channel() {
    close();
}
void Channel::close() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
    ssl_ = nullptr;
    fd_ = -1;
}

Result<Channel, std::string> Channel::connect(const ChannelAddress& to, const p2p::TlsContext* tls,
                                              uint32_t timeout_ms) {
    if (!to.path.empty()) {
        Channel out(unix_socket());
        if (out.fd_ < 0 || !set_limits(out.fd_, timeout_ms) || !connect_unix(out.fd_, to.path))
            return unexpected(errno_text());
        return out;
    }
    Channel out(tcp_socket(to, 0, [&](int fd, const addrinfo& at) {
        return set_limits(fd, timeout_ms) && ::connect(fd, at.ai_addr, at.ai_addrlen) == 0;
    }));
    if (out.fd_ < 0) return unexpected(errno_text());
    if (auto done = out.secure(*tls, true); !done) return unexpected(done.error());
    if (to.key && out.peer_ != to.key)
        return unexpected("another key answers: " + to_hex0x(out.peer_->bytes));
    return out;
}

Result<Channel, std::string> Channel::accept(int fd, const p2p::TlsContext* tls,
                                             uint32_t timeout_ms) {
    Channel out(fd);
    if (!set_limits(fd, timeout_ms)) return unexpected(errno_text());
    if (tls == nullptr) return out;
    if (auto done = out.secure(*tls, false); !done) return unexpected(done.error());
    return out;
}

Result<Done, std::string> Channel::secure(const p2p::TlsContext& tls, bool is_client) {
    ssl_ = SSL_new(tls.native());
    if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1)
        return unexpected(std::string("OpenSSL made no connection"));
    if ((is_client ? SSL_connect(ssl_) : SSL_accept(ssl_)) != 1)
        return unexpected(std::string("no TLS handshake with a proven identity"));
    const auto identity = p2p::peer_identity(ssl_, tls.protocol());
    if (!identity) return unexpected(std::string(p2p::to_string(identity.error())));
    peer_ = *identity;
    return Done{};
}

bool Channel::write_all(BytesView from) {
    while (!from.empty()) {
        const ssize_t n = ssl_ != nullptr
                              ? SSL_write(ssl_, from.data(), static_cast<int>(from.size()))
                              : ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
        if (n < 0 && ssl_ == nullptr && errno == EINTR) continue;
        if (n <= 0) return false;
        from = from.subspan(static_cast<size_t>(n));
    }
    return true;
}

bool Channel::read_exactly(std::span<uint8_t> to) {
    while (!to.empty()) {
        const ssize_t n = ssl_ != nullptr ? SSL_read(ssl_, to.data(), static_cast<int>(to.size()))
                                          : ::recv(fd_, to.data(), to.size(), 0);
        if (n < 0 && ssl_ == nullptr && errno == EINTR) continue;
        if (n <= 0) return false;
        to = to.subspan(static_cast<size_t>(n));
    }
    return true;
}

bool Channel::write_frame(BytesView payload) {
    Bytes frame;
    append_le(frame, static_cast<uint32_t>(payload.size()));
    append(frame, payload);
    return payload.size() <= kFrameBytesMax && write_all(frame);
}

std::optional<Bytes> Channel::read_frame() {
    std::array<uint8_t, 4> head{};
    if (!read_exactly(head)) return std::nullopt;
    const auto size = load_le<uint32_t>(head.data());
    if (size > kFrameBytesMax) return std::nullopt;
    Bytes out(size);
    if (!read_exactly(out)) return std::nullopt;
    return out;
}

bool Channel::has_input(int wait_ms) const {
    if (ssl_ != nullptr && SSL_pending(ssl_) > 0) return true;
    pollfd waiting{fd_, POLLIN, 0};
    return ::poll(&waiting, 1, wait_ms) > 0;
}

Listener::Listener(Listener&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    std::swap(port_, other.port_);
}
Listener::~Listener() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
}

Result<Listener, std::string> Listener::open(const ChannelAddress& at) {
    const auto failed = [&] {
        return unexpected("cannot listen on " + to_string(at) + ": " + errno_text());
    };
    Listener out;
    if (at.path.empty()) {
        out.fd_ = tcp_socket(at, AI_PASSIVE, [](int fd, const addrinfo& address) {
            const int on = 1;
            return ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                   ::bind(fd, address.ai_addr, address.ai_addrlen) == 0;
        });
        if (out.fd_ < 0 || ::listen(out.fd_, kBacklog) != 0) return failed();
        sockaddr_in6 bound{};
        socklen_t size = sizeof(bound);
        if (::getsockname(out.fd_, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
            return failed();
        out.port_ = ntohs(bound.sin6_port);  // where sin_port lies as well
        return out;
    }
    if (const auto other = Channel::connect(at, nullptr, 1000))
        return unexpected("another process listens on " + to_string(at));
    ::unlink(at.path.c_str());  // left by a process that was killed
    sockaddr_un address{};
    out.fd_ = unix_socket();
    const mode_t before = ::umask(0177);  // a socket that its owner alone may open
    const bool bound =
        out.fd_ >= 0 && fill(address, at.path) &&
        ::bind(out.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    ::umask(before);
    if (!bound || ::listen(out.fd_, kBacklog) != 0) return failed();
    out.path_ = at.path;
    return out;
}

int Listener::accept(int wait_ms) const {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, wait_ms) <= 0) return -1;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 || path_.empty() || is_same_user(fd)) return fd;
    ::close(fd);
    return -1;
}

}  // namespace trainyard::node::signer
