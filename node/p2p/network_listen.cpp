// SPDX-License-Identifier: Apache-2.0
// How connections begin and end: listening, dialling, duplicates, limits and bans.
#include <algorithm>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/bind_executor.hpp>

#include "node/p2p/network_impl.hpp"
#include "node/runtime/asio.hpp"

namespace trainyard::p2p {
namespace asio = boost::asio;

namespace {

constexpr runtime::Duration kAcceptPause{100};
constexpr int kMalformedPoints = 100;

Endpoint endpoint_of(const asio::ip::tcp::socket& socket) {
    boost::system::error_code error;
    const auto remote = socket.remote_endpoint(error);
    return error ? Endpoint{} : Endpoint{remote.address().to_string(), remote.port()};
}

PeerInfo new_info(const PeerId& peer, const Endpoint& endpoint, Source source) {
    PeerInfo info;
    info.id = peer;
    info.endpoint = endpoint;
    info.source = source;
    info.score = Scores::kSpotless;
    return info;
}

}  // namespace

Result<Done, NetFailure> Network::Impl::start() {
    if (!is_valid_secret(options.identity)) {
        return unexpected(NetFailure{NetError::bad_identity_key, "the P2P key is not a valid key"});
    }
    tls = TlsContext::make(
        [this](BytesView key) { return identity_extension(options.identity, key); },
        protocol_name(options.genesis));
    if (!tls) return unexpected(NetFailure{NetError::tls, "OpenSSL made no certificate"});
    Error error;
    const auto address = asio::ip::make_address(options.listen.host, error);
    if (error) {
        return unexpected(NetFailure{NetError::bad_listen_address,
                                     "'" + options.listen.host + "' is not an IP address"});
    }
    const Tcp::endpoint at(address, options.listen.port);
    acceptor.open(at.protocol(), error);
    if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(at, error);
    if (!error) acceptor.listen(Tcp::acceptor::max_listen_connections, error);
    if (error) {
        Error ignored;
        acceptor.close(ignored);
        return unexpected(NetFailure{NetError::port_in_use,
                                     "cannot listen on " + to_string(options.listen) + ": " +
                                         error.message() + "; another node may be running there"});
    }
    port = acceptor.local_endpoint(error).port();
    log.info("listening", {{"address", to_string(Endpoint{options.listen.host, port})},
                           {"id", to_hex(self.bytes)}});
    strand.post([me = shared_from_this()] {
        me->refresh();
        me->accept();
        if (!me->hides()) me->discover();
        for (auto& [peer, dial] : me->dials) {
            // The smaller key goes first; mostly there is then one connection and not two.
            const auto delay = me->self < peer ? runtime::Duration(0) : me->options.backoff_min;
            dial.timer.start(delay, [impl = me, id = peer] { impl->dial(id); });
        }
    });
    return Done{};
}

void Network::Impl::stop() {
    if (is_stopped.exchange(true)) return;
    strand.post([me = shared_from_this()] {
        Error ignored;
        me->acceptor.close(ignored);
        me->refresh_timer.cancel();
        me->discovery_timer.cancel();
        me->permit_timer.cancel();
        me->dials.clear();
        me->pending.clear();
        for (const SessionPtr& session : std::set(me->greeting)) session->close("stopping");
        for (const auto& [peer, session] : std::map(me->sessions)) session->leave("node stops");
        me->sessions.clear();
    });
}

void Network::Impl::accept() {
    if (is_stopped) return;
    const asio::any_io_executor executor = strand.impl()->executor;
    acceptor.async_accept(
        executor,
        asio::bind_executor(strand.impl()->executor, [me = shared_from_this()](const Error& error,
                                                                               Tcp::socket socket) {
            if (me->is_stopped) return;
            if (error) {
                // Out of file descriptors, mostly: waiting is all that helps.
                me->log.warn("cannot accept", {{"why", error.message()}});
                auto pause = std::make_shared<runtime::Timer>(me->strand);
                return pause->start(kAcceptPause, [me, pause] { me->accept(); });
            }
            const Endpoint remote = endpoint_of(socket);
            me->make_room_for_greeting();
            me->adopt(std::move(socket), std::nullopt, remote);
            me->accept();
        }));
}

/// Whoever opens connections and says nothing must not shut others out.
void Network::Impl::make_room_for_greeting() {
    std::vector<SessionPtr> inbound;
    std::vector<Greeter> greeters;
    for (const SessionPtr& session : greeting) {
        if (!session->is_inbound()) continue;
        inbound.push_back(session);
        greeters.push_back({group_of(session->ip().value_or(Ip{})), session->begun_ms()});
    }
    if (inbound.size() < options.handshakes_max) return;
    inbound[whom_to_cut_short(greeters)]->close("others wait to connect");
}

void Network::Impl::adopt(Tcp::socket socket, std::optional<PeerId> expected, Endpoint remote) {
    const auto ip = ip_from(endpoint_of(socket).host);
    // Who hides does not say where it listens.
    const uint16_t listen_port = hides() ? uint16_t{0} : port.load();
    const auto session = std::make_shared<Session>(Session::Setup{
        .socket = std::move(socket),
        .tls = tls,
        .owner = weak_from_this(),
        .strand = strand,
        .clock = runtime.clock(),
        .options = options,
        .hello = {options.genesis, instance, listen_port, options.agent},
        .remote = std::move(remote),
        .ip = ip,
        .expected = std::move(expected),
    });
    greeting.insert(session);
    session->start();
}

bool Network::Impl::is_configured(const PeerId& peer) const {
    const auto found = dials.find(peer);
    return found != dials.end() && found->second.is_lasting();
}

void Network::Impl::add_dial(const StaticPeer& peer) {
    if (peer.id == self) return;
    const auto [at, is_new] = dials.try_emplace(peer.id, peer, Source::settings, strand);
    at->second.peer = peer;
    at->second.source = Source::settings;
    const std::lock_guard lock(infos_mutex);
    const auto info =
        infos.try_emplace(peer.id, new_info(peer.id, peer.endpoint, Source::settings)).first;
    info->second.source = Source::settings;
}

void Network::Impl::remove_dial(const PeerId& peer) {
    dials.erase(peer);
    const auto found = sessions.find(peer);
    if (found != sessions.end()) return SessionPtr(found->second)->leave("removed by the operator");
    const std::lock_guard lock(infos_mutex);
    const auto info = infos.find(peer);
    if (info != infos.end() && !info->second.is_connected) infos.erase(info);
}

void Network::Impl::dial(const PeerId& peer) {
    const auto found = dials.find(peer);
    if (is_stopped || found == dials.end()) return;
    Dial& to = found->second;
    if (to.is_busy || sessions.count(peer) != 0) return;
    if (const auto ban = scores.ban(peer, now_ms())) {
        if (!to.is_lasting()) return void(dials.erase(found));
        return to.timer.start(runtime::Duration(ban->left_ms + 1), [this, peer] { dial(peer); });
    }
    to.is_busy = true;
    to.is_noted = false;
    const Endpoint& endpoint = to.peer.endpoint;
    resolver.async_resolve(
        endpoint.host, std::to_string(endpoint.port), Tcp::resolver::numeric_service,
        asio::bind_executor(strand.impl()->executor,
                            [me = shared_from_this(), peer](
                                const Error& error, const Tcp::resolver::results_type& addresses) {
                                const auto again = me->dials.find(peer);
                                if (me->is_stopped || again == me->dials.end()) return;
                                if (error) return me->dial_failed(peer, error.message());
                                me->connect(again->second, addresses);
                            }));
}

void Network::Impl::connect(Dial& to, const Tcp::resolver::results_type& addresses) {
    const PeerId peer = to.peer.id;
    const auto socket = std::make_shared<Tcp::socket>(strand.impl()->executor);
    to.timer.start(options.handshake_timeout, [socket] {
        Error ignored;
        socket->close(ignored);
    });
    asio::async_connect(
        *socket, addresses,
        [me = shared_from_this(), peer, socket](const Error& error, const Tcp::endpoint&) {
            const auto again = me->dials.find(peer);
            if (me->is_stopped || again == me->dials.end()) return;
            again->second.timer.cancel();
            if (error) return me->dial_failed(peer, error.message());
            me->adopt(std::move(*socket), peer, again->second.peer.endpoint);
        });
}

void Network::Impl::dial_failed(const PeerId& peer, const std::string& reason) {
    Dial& to = dials.at(peer);
    to.is_busy = false;
    note_problem(peer, reason);
    // Of addresses from the book many are stale.
    const bool is_worth_a_line = to.is_lasting() && to.failures == 0;
    const auto level = is_worth_a_line ? runtime::LogLevel::info : runtime::LogLevel::debug;
    log.log(
        level, to.is_lasting() ? "peer not reached, trying again" : "peer not reached",
        {{"peer", short_name(peer)}, {"address", to_string(to.peer.endpoint)}, {"why", reason}});
    dial_later(peer);
}

void Network::Impl::dial_later(const PeerId& peer) {
    const auto found = dials.find(peer);
    if (is_stopped || found == dials.end()) return;
    if (found->second.is_busy || sessions.count(peer) != 0) return;
    if (!found->second.is_lasting()) return void(dials.erase(found));
    const auto delay = backoff(options, found->second.failures++, random());
    found->second.timer.start(delay, [this, peer] { dial(peer); });
}

// Why a peer whose hello has come may not stay, if so.
std::optional<std::string> Network::Impl::objection(const Session& session) {
    const PeerId& peer = session.peer();
    if (peer == self) return "that is this node itself";
    if (const auto ban = scores.ban(peer, now_ms())) return "banned: " + ban->reason;
    if (is_configured(peer) || sessions.count(peer) != 0) return std::nullopt;
    if (hides()) return "this node talks to its sentries alone";
    if (is_secret(peer) || !session.is_inbound()) return std::nullopt;
    std::vector<Guest> guests;
    for (const auto& [id, guest] : sessions)
        if (guest->is_inbound() && !is_configured(id) && !is_secret(id))
            guests.push_back({id, group_of(guest->ip().value_or(Ip{})), guest->ready_since_ms()});
    if (guests.size() < options.inbound_max) return std::nullopt;
    const auto leaves = whom_to_replace(guests, group_of(session.ip().value_or(Ip{})));
    if (!leaves) return "too many connections";
    SessionPtr(sessions.at(*leaves))->leave("its network has the most connections here");
    return std::nullopt;
}

void Network::Impl::on_ready(const SessionPtr& session) {
    greeting.erase(session);
    if (is_stopped) return session->close("stopping");
    if (auto why = objection(*session)) return session->leave(*why);
    const auto found = sessions.find(session->peer());
    if (found == sessions.end()) return came_up(session);
    const SessionPtr older = found->second;
    if (!newer_link_wins(self, session->peer(), older->link(), session->link())) {
        return session->leave(std::string(kDuplicate));
    }
    found->second = session;
    session->take_unsent_of(*older);
    older->leave(std::string(kDuplicate));
}

void Network::Impl::came_up(const SessionPtr& session) {
    const PeerId peer = session->peer();
    sessions[peer] = session;
    const auto dialled = dials.find(peer);
    bool was_carried = false;
    {
        const std::lock_guard lock(infos_mutex);
        PeerInfo& info = infos[peer];
        was_carried = info.is_connected;
        session->describe(info);
        info.is_connected = true;
        info.source = dialled == dials.end() ? Source::incoming : dialled->second.source;
        info.sentry.reset();
        info.score = scores.score(peer, now_ms());
        info.last_problem.clear();
        log.info("peer connected", {{"peer", short_name(peer)},
                                    {"address", to_string(info.endpoint)},
                                    {"direction", info.is_inbound ? "in" : "out"},
                                    {"agent", info.agent}});
    }
    if (was_carried) announce({peer, false, "it connects itself"});
    announce({peer, true, ""});
    meet(*session);
    show_permits(session);
}

void Network::Impl::on_closed(const SessionPtr& session, const Ending& ending) {
    greeting.erase(session);
    if (is_stopped) return;
    const PeerId peer = session->peer();
    if (ending.is_offence && peer != PeerId{}) punish(peer, kMalformedPoints, ending.reason);
    const auto found = sessions.find(peer);
    const bool was_up = found != sessions.end() && found->second == session;
    if (was_up) {
        sessions.erase(found);
        went_down(peer, ending.reason, is_to_another(peer, ending));
    }
    const auto& expected = session->expected();
    const auto dialled = expected ? dials.find(*expected) : dials.end();
    if (dialled != dials.end()) {
        dialled->second.is_busy = false;
        if (!was_up && sessions.count(*expected) == 0) {
            return dial_failed(*expected, ending.reason);
        }
    }
    dial_later(expected.value_or(peer));
}

/// A second connection of this node that the peer prefers has had the peer's hello or waits for it:
/// the peer judges only after ours, which is sent once the handshake is over.
bool Network::Impl::is_to_another(const PeerId& peer, const Ending& ending) const {
    if (ending.reason != "goodbye: " + std::string(kDuplicate)) return false;
    return std::none_of(greeting.begin(), greeting.end(),
                        [&](const SessionPtr& other) { return other->peer() == peer; });
}

void Network::Impl::went_down(const PeerId& peer, const std::string& reason, bool to_another) {
    log.info("peer left", {{"peer", short_name(peer)}, {"why", reason}});
    {
        const std::lock_guard lock(infos_mutex);
        const auto found = infos.find(peer);
        const bool lasted =
            found->second.connected_ms > static_cast<uint64_t>(options.backoff_max.count());
        if (is_configured(peer)) {
            if (lasted) dials.at(peer).failures = 0;
            found->second.is_connected = false;
            found->second.last_problem = reason;
        } else {
            infos.erase(found);
        }
    }
    end_charge(peer);
    change_routes([&] { routes.drop_sentry(peer); });
    std::vector<uint64_t> lost;
    for (const auto& [id, request] : pending) {
        if (request.peer == peer) lost.push_back(id);
    }
    for (const uint64_t id : lost) settle(id, unexpected(RequestError::not_connected));
    announce({peer, false, reason, to_another});
    if (routes.way_to(peer)) note_carried(peer);
}

}  // namespace trainyard::p2p
