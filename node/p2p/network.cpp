// SPDX-License-Identifier: Apache-2.0
// The public face of the network: from any thread onto its strand.
#include "node/p2p/network.hpp"

#include "core/assert.hpp"
#include "node/p2p/network_impl.hpp"

namespace trainyard::p2p {

Network::Network(runtime::Runtime& runtime, NetworkOptions options, const runtime::Logger& logger)
    : impl_(std::make_shared<Impl>(runtime, std::move(options), logger)) {}

Network::~Network() {
    stop();
}

void Network::on(Kind kind, const runtime::Strand& strand, OnMessage handler) {
    ASSERT(find_kind(kind) != nullptr && !find_kind(kind)->is_request());
    impl_->handlers[kind] =
        std::make_shared<Impl::Handler>(strand, std::move(handler), OnRequest{});
}

void Network::on_request(Kind kind, const runtime::Strand& strand, OnRequest handler) {
    ASSERT(find_kind(kind) != nullptr && find_kind(kind)->is_request());
    impl_->handlers[kind] =
        std::make_shared<Impl::Handler>(strand, OnMessage{}, std::move(handler));
}

void Network::on_peer(const runtime::Strand& strand, OnPeer handler) {
    impl_->peer_handlers.emplace_back(strand, std::move(handler));
}

Result<Done, NetFailure> Network::start() {
    return impl_->start();
}
void Network::stop() {
    impl_->stop();
}
const PeerId& Network::id() const {
    return impl_->self;
}
uint16_t Network::port() const {
    return impl_->port;
}

void Network::send(const PeerId& to, Kind kind, Bytes payload) {
    const KindRow& row = *find_kind(kind);
    ASSERT(!row.is_request());
    if (payload.size() > row.payload_max) {
        return impl_->log.error("message too large to send",
                                {{"kind", row.name}, {"bytes", payload.size()}});
    }
    impl_->strand.post([impl = impl_, to, &row, frame = encode_frame(kind, 0, payload),
                        shared = std::make_shared<const Bytes>(std::move(payload))] {
        if (!impl->is_stopped) impl->send_message(to, row, frame, shared);
    });
}

void Network::broadcast(Kind kind, Bytes payload) {
    const KindRow& row = *find_kind(kind);
    ASSERT(!row.is_request());
    if (payload.size() > row.payload_max) {
        return impl_->log.error("message too large to send",
                                {{"kind", row.name}, {"bytes", payload.size()}});
    }
    impl_->strand.post([impl = impl_, &row, frame = encode_frame(kind, 0, payload),
                        shared = std::make_shared<const Bytes>(std::move(payload))] {
        if (!impl->is_stopped) impl->broadcast(row, frame, shared);
    });
}

void Network::request(const PeerId& to, Kind kind, Bytes payload, runtime::Duration timeout,
                      const runtime::Strand& strand, OnAnswer on_answer) {
    const KindRow& row = *find_kind(kind);
    ASSERT(row.is_request() && payload.size() <= row.payload_max);
    impl_->strand.post([impl = impl_, to, kind, payload = std::move(payload), timeout, strand,
                        on_answer = std::move(on_answer)] {
        if (!impl->is_stopped) impl->request(to, kind, payload, timeout, strand, on_answer);
    });
}

void Network::punish(const PeerId& peer, int points, std::string_view reason) {
    impl_->strand.post([impl = impl_, peer, points, reason = std::string(reason)] {
        if (!impl->is_stopped) impl->punish(peer, points, reason);
    });
}

void Network::ban(const PeerId& peer, runtime::Duration time, std::string_view reason) {
    const auto time_ms = static_cast<uint64_t>(std::max<int64_t>(0, time.count()));
    impl_->strand.post([impl = impl_, peer, time_ms, reason = std::string(reason)] {
        if (!impl->is_stopped) impl->ban(peer, time_ms, reason);
    });
}

void Network::unban(const PeerId& peer) {
    impl_->strand.post([impl = impl_, peer] {
        if (!impl->is_stopped) impl->unban(peer);
    });
}

std::vector<Ban> Network::bans() const {
    const uint64_t wall_ms = impl_->runtime.clock().wall_ms();
    const std::lock_guard lock(impl_->infos_mutex);
    std::vector<Ban> out;
    for (const auto& ban : impl_->bans)
        if (ban.until_wall_ms > wall_ms) out.push_back(ban);
    return out;
}

void Network::add_peer(const StaticPeer& peer) {
    impl_->strand.post([impl = impl_, peer] {
        if (impl->is_stopped) return;
        impl->add_dial(peer);
        impl->dial(peer.id);
    });
}

void Network::remove_peer(const PeerId& peer) {
    impl_->strand.post([impl = impl_, peer] {
        if (!impl->is_stopped) impl->remove_dial(peer);
    });
}

std::optional<int64_t> Network::clock_ahead_ms() const {
    return impl_->clock_ahead_ms();
}

Network::BookCounts Network::book_counts() const {
    const std::lock_guard lock(impl_->infos_mutex);
    return impl_->book_counts;
}

Bytes Network::address_book() const {
    return impl_->book.encode();
}

std::vector<PeerInfo> Network::peers() const {
    const std::lock_guard lock(impl_->infos_mutex);
    std::vector<PeerInfo> out;
    for (const auto& [peer, info] : impl_->infos) out.push_back(info);
    return out;
}

std::vector<PeerId> Network::connected() const {
    const std::lock_guard lock(impl_->infos_mutex);
    std::vector<PeerId> out;
    for (const auto& [peer, info] : impl_->infos) {
        if (info.is_connected) out.push_back(peer);
    }
    return out;
}

bool Network::is_connected(const PeerId& peer) const {
    const std::lock_guard lock(impl_->infos_mutex);
    const auto found = impl_->infos.find(peer);
    return found != impl_->infos.end() && found->second.is_connected;
}

}  // namespace trainyard::p2p
