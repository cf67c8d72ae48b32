// SPDX-License-Identifier: Apache-2.0
// Messages, requests and answers between sessions and handlers.
#include "node/p2p/network_impl.hpp"

#include "core/assert.hpp"

namespace trainyard::p2p {

namespace {

constexpr size_t kPendingMax = 8192;
constexpr size_t kBacklogMessagesMax = 8192;
constexpr size_t kBacklogBytesMax = 64u << 20;
constexpr size_t kBacklogShares = 8;  ///< of which one peer may take one
constexpr size_t kBacklogPeersMax = 1024;
constexpr uint64_t kBacklogWarnEvery_ms = 1'000;
constexpr uint64_t kCostPerMessage = 64;
constexpr runtime::Duration kRefreshTime{500};
constexpr int64_t kClockOffsetWarn_ms = 500;
constexpr uint64_t kClockWarnEvery_ms = 600'000;
constexpr uint8_t kRefusedThrottled = 1;
constexpr uint8_t kRefusedUnsupported = 2;

bool is_answer(const Message& message) {
    return message.request_id != 0 && !find_kind(message.kind)->is_request();
}

Hash random_hash() {
    std::random_device source;
    Hash out;
    for (auto& byte : out.bytes) byte = static_cast<uint8_t>(source());
    return out;
}

NetworkOptions with_bounded_agent(NetworkOptions options) {
    options.agent.resize(std::min(options.agent.size(), kAgentBytesMax));
    return options;
}

}  // namespace

Network::Impl::Impl(runtime::Runtime& runtime_in, NetworkOptions options_in,
                    const runtime::Logger& logger)
    : runtime(runtime_in),
      options(with_bounded_agent(std::move(options_in))),
      log(logger.named("p2p")),
      strand(runtime.make_strand()),
      self(public_key(options.identity).value_or(PublicKey{})),
      acceptor(runtime.io()),
      resolver(runtime.io()),
      refresh_timer(strand),
      discovery_timer(strand),
      permit_timer(strand),
      random(std::random_device{}()),
      instance((static_cast<uint64_t>(std::random_device{}()) << 32) | std::random_device{}()),
      book(options.book.value_or(AddressBook(random_hash()))) {
    for (const StaticPeer& peer : hides() ? options.sentries : options.peers) add_dial(peer);
    const uint64_t wall_ms = runtime.clock().wall_ms();
    for (const Ban& ban : options.bans) {
        if (ban.until_wall_ms <= wall_ms) continue;
        scores.set_ban(ban.peer, ban.reason, ban.until_wall_ms - wall_ms, now_ms());
        bans.push_back(ban);
    }
}

void Network::Impl::on_message(const SessionPtr& session, Message message) {
    if (is_stopped) return;
    if (is_answer(message)) return on_answer_frame(session, std::move(message));
    const KindRow& row = *find_kind(message.kind);
    const uint64_t cost = kCostPerMessage + message.payload.size() + row.work_cost;
    const bool has_budget = session->take_tokens(row.lane, cost);
    if (!has_budget && !row.is_request()) return;
    switch (message.kind) {
        case Kind::permit:
            return on_permit(session, message);
        case Kind::no_route:
            return on_no_route(session, message);
        case Kind::routed_vote:
        case Kind::routed_proposal:
        case Kind::routed_repair:
            return on_routed(session, message);
        case Kind::get_peers:
            if (has_budget) return tell_addresses(session, message.request_id);
            break;
        default:
            break;
    }
    const auto found = handlers.find(message.kind);
    if (row.is_request() && (!has_budget || found == handlers.end())) {
        Responder::Impl(weak_from_this(), session->peer(), message.request_id, row.answer)
            .refuse(has_budget ? RequestError::unsupported : RequestError::throttled);
        return;
    }
    if (found != handlers.end()) hand_to(found->second, session->peer(), std::move(message));
}

void Network::Impl::on_answer_frame(const SessionPtr& session, Message message) {
    const auto found = pending.find(message.request_id);
    if (found == pending.end() || found->second.peer != session->peer())
        return session->note_waste();  // too late, or never asked for
    if (message.kind == found->second.answer) {
        return settle(message.request_id, std::move(message.payload));
    }
    if (message.kind != Kind::refused) return punish(session->peer(), 20, "answer of another kind");
    const bool throttled = message.payload == Bytes{kRefusedThrottled};
    settle(message.request_id,
           unexpected(throttled ? RequestError::throttled : RequestError::unsupported));
}

void Network::Impl::hand_to(const std::shared_ptr<Handler>& handler, const PeerId& peer,
                            Message message) {
    std::shared_ptr<Responder::Impl> responder;
    if (handler->on_request) {
        responder = std::make_shared<Responder::Impl>(weak_from_this(), peer, message.request_id,
                                                      find_kind(message.kind)->answer);
    }
    Backlog& all = handler->backlog;
    const auto own = handler->backlog_of(peer);
    const size_t bytes = message.payload.size();
    const bool is_own_full =
        own->messages >= kBacklogMessagesMax / kBacklogShares ||
        (own->messages > 0 && own->bytes + bytes > kBacklogBytesMax / kBacklogShares);
    if (is_own_full || all.messages >= kBacklogMessagesMax ||
        all.bytes + bytes > kBacklogBytesMax) {
        if (responder) responder->refuse(RequestError::throttled);
        const uint64_t now = now_ms();
        if (handler->warned_at_ms && now - *handler->warned_at_ms < kBacklogWarnEvery_ms) return;
        handler->warned_at_ms = now;
        return log.warn("handler too slow, messages dropped",
                        {{"kind", find_kind(message.kind)->name}, {"peer", short_name(peer)}});
    }
    all.add(bytes);
    own->add(bytes);
    handler->strand.post([me = shared_from_this(), handler, own, peer, responder, bytes,
                          payload = std::move(message.payload)]() mutable {
        if (!me->is_stopped && responder) {
            handler->on_request(peer, std::move(payload), Responder(std::move(responder)));
        } else if (!me->is_stopped) {
            handler->on_message(peer, std::move(payload));
        }
        handler->backlog.remove(bytes);
        own->remove(bytes);
    });
}

/// Of who waits for nothing none is remembered for long: peers come and go.
std::shared_ptr<Network::Impl::Backlog> Network::Impl::Handler::backlog_of(const PeerId& peer) {
    auto& own = backlog_of_peer[peer];
    if (own != nullptr) return own;
    const auto made = own = std::make_shared<Backlog>();
    if (backlog_of_peer.size() > kBacklogPeersMax)
        std::erase_if(backlog_of_peer, [](const auto& one) { return one.second->messages == 0; });
    return made;
}

void Network::Impl::send(const PeerId& to, Lane lane, Frame frame) {
    const auto found = sessions.find(to);
    if (found == sessions.end()) return;
    Session& session = *found->second;
    if (lane == Lane::bulk && session.unsent_bytes(lane) > 0 && is_bulk_full())
        return session.count_drop();
    session.send(lane, std::move(frame));
}

/// Answers in bulk are each peer's own, and those who ask and do not read may be many.
bool Network::Impl::is_bulk_full() const {
    size_t bytes = 0;
    for (const auto& [peer, session] : sessions) bytes += session->unsent_bytes(Lane::bulk);
    return bytes > options.bulk_queues_bytes_max;
}

void Network::Impl::request(const PeerId& to, Kind kind, const Bytes& payload,
                            runtime::Duration timeout, const runtime::Strand& on,
                            OnAnswer on_answer) {
    const auto fail = [&](RequestError error) {
        on.post([on_answer, error] { on_answer(unexpected(error)); });
    };
    if (sessions.count(to) == 0) return fail(RequestError::not_connected);
    if (pending.size() >= kPendingMax) return fail(RequestError::queue_full);
    const KindRow& row = *find_kind(kind);
    const uint64_t id = ++last_request_id;
    auto [at, is_new] = pending.try_emplace(
        id, Pending{to, row.answer, on, std::move(on_answer), runtime::Timer(strand)});
    ASSERT(is_new);
    at->second.timer.start(timeout, [me = weak_from_this(), id] {
        if (const auto impl = me.lock()) impl->settle(id, unexpected(RequestError::timed_out));
    });
    send(to, row.lane, encode_frame(kind, id, payload));
}

void Network::Impl::settle(uint64_t request_id, Answer answer) {
    const auto found = pending.find(request_id);
    if (found == pending.end()) return;
    found->second.timer.cancel();
    found->second.strand.post([me = shared_from_this(), answer = std::move(answer),
                               on_answer = std::move(found->second.on_answer)]() mutable {
        if (!me->is_stopped) on_answer(std::move(answer));
    });
    pending.erase(found);
}

void Network::Impl::punish(const PeerId& peer, int points, const std::string& reason) {
    // Of who is carried only the carrier is known: its lie, or what it should not have passed on.
    // Where there are several, one of them must not be able to silence the validator. One's own
    // sentries are believed.
    const bool is_carried = sessions.count(peer) == 0 && !hides();
    const auto carriers = is_carried ? routes.sentries_of(peer) : std::vector<PeerId>();
    if (carriers.size() == 1) return punish(carriers.front(), points, reason);
    if (carriers.size() > 1)
        return log.warn("a carried peer misbehaved", {{"peer", short_name(peer)}, {"why", reason}});
    auto ban_ms = static_cast<uint64_t>(options.ban_time.count());
    if (is_configured(peer)) ban_ms /= 10;
    note_problem(peer, reason);
    log.warn("peer misbehaved", {{"peer", short_name(peer)}, {"points", points}, {"why", reason}});
    if (scores.punish(peer, points, reason, ban_ms, now_ms())) send_off(peer, ban_ms, reason);
}

void Network::Impl::ban(const PeerId& peer, uint64_t time_ms, const std::string& reason) {
    note_problem(peer, reason);
    scores.set_ban(peer, reason, time_ms, now_ms());
    send_off(peer, time_ms, reason);
}

void Network::Impl::send_off(const PeerId& peer, uint64_t time_ms, const std::string& reason) {
    log.warn("peer banned",
             {{"peer", short_name(peer)}, {"seconds", time_ms / 1000}, {"why", reason}});
    note_bans();
    book.forget(peer);
    const auto found = sessions.find(peer);
    if (found != sessions.end()) SessionPtr(found->second)->leave("banned: " + reason);
}

void Network::Impl::unban(const PeerId& peer) {
    if (!scores.ban(peer, now_ms())) return;
    scores.lift_ban(peer);
    log.info("ban lifted", {{"peer", short_name(peer)}});
    note_bans();
    const auto found = dials.find(peer);
    if (found != dials.end() && !found->second.is_busy)
        found->second.timer.start(runtime::Duration(0), [this, peer] { dial(peer); });
}

void Network::Impl::note_bans() {
    std::vector<Ban> now;
    const uint64_t wall_ms = runtime.clock().wall_ms();
    for (auto& [peer, ban] : scores.bans(now_ms()))
        now.push_back({peer, wall_ms + std::min(ban.left_ms, UINT64_MAX - wall_ms), ban.reason});
    {
        const std::lock_guard lock(infos_mutex);
        bans = now;
    }
    if (options.on_bans) options.on_bans(now);
}

void Network::Impl::announce(const PeerEvent& event) {
    for (const auto& [on, handler] : peer_handlers) {
        on.post([me = shared_from_this(), handler = handler, event] {
            if (!me->is_stopped) handler(event);
        });
    }
}

void Network::Impl::note_problem(const PeerId& peer, const std::string& reason) {
    const std::lock_guard lock(infos_mutex);
    const auto found = infos.find(peer);
    if (found != infos.end()) found->second.last_problem = reason;
}

void Network::Impl::refresh() {
    {
        const std::lock_guard lock(infos_mutex);
        for (auto& [peer, info] : infos) {
            const auto found = sessions.find(peer);
            if (found != sessions.end()) found->second->describe(info);
            info.score = scores.ban(peer, now_ms()) ? 0 : scores.score(peer, now_ms());
        }
        book_counts = {book.new_count(), book.tried_count()};
    }
    change_routes([this] { routes.drop_expired(wall_s()); });
    watch_clock();
    refresh_timer.start(kRefreshTime, [me = weak_from_this()] {
        if (const auto impl = me.lock()) impl->refresh();
    });
}

std::optional<int64_t> Network::Impl::clock_ahead_ms() const {
    std::vector<int64_t> ahead;
    const std::lock_guard lock(infos_mutex);
    for (const auto& [peer, info] : infos)
        if (info.is_connected && info.clock_ahead_ms) ahead.push_back(*info.clock_ahead_ms);
    return median(std::move(ahead), kClocksLeast);
}

/// A wrong clock makes blocks with wrong times and audits that come too late.
void Network::Impl::watch_clock() {
    const auto offset_ms = clock_ahead_ms();
    if (!offset_ms || std::abs(*offset_ms) < kClockOffsetWarn_ms) return;
    if (clock_warned_at_ms && now_ms() - *clock_warned_at_ms < kClockWarnEvery_ms) return;
    clock_warned_at_ms = now_ms();
    log.warn("this machine's clock differs from those of its peers",
             {{"peers_ahead_ms", *offset_ms}, {"do", "check chrony or systemd-timesyncd"}});
}

void Responder::Impl::answer(const Bytes& payload) {
    if (payload.size() > find_kind(answer_kind)->payload_max) {
        return refuse(RequestError::unsupported);
    }
    if (!is_used.exchange(true)) reply(answer_kind, payload);
}

void Responder::Impl::refuse(RequestError why) {
    if (is_used.exchange(true)) return;
    const bool throttled = why == RequestError::throttled;
    reply(Kind::refused, {throttled ? kRefusedThrottled : kRefusedUnsupported});
}

void Responder::Impl::reply(Kind kind, const Bytes& payload) {
    const auto impl = network.lock();
    if (!impl || impl->is_stopped) return;
    const Lane lane = find_kind(answer_kind)->lane;
    impl->strand.post([impl, to = peer, lane, frame = encode_frame(kind, request_id, payload)] {
        impl->send(to, lane, frame);
    });
}

void Responder::answer(Bytes payload) const {
    impl_->answer(payload);
}
void Responder::refuse() const {
    impl_->refuse(RequestError::unsupported);
}
void Responder::throttle() const {
    impl_->refuse(RequestError::throttled);
}

}  // namespace trainyard::p2p
