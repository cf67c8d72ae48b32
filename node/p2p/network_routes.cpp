// SPDX-License-Identifier: Apache-2.0
// Messages of validators that hide behind sentries: permits, and what passes on their strength.
//
// A validator with sentries sends what concerns consensus through all of them; a sentry passes it
// on to everybody, or to one. Others send a hidden validator's messages to the sentry that has
// shown them a permit. A message is passed on at most twice: by the origin's sentry and by the
// receiver's. Who receives it believes its origin because the two have a connection, or because the
// origin's permit names the node that it came from, or because that is a sentry of its own.
#include <algorithm>

#include "node/p2p/network_impl.hpp"

namespace trainyard::p2p {
namespace {

constexpr int kBadPermitPoints = 34;
constexpr runtime::Duration kPermitRenewal{1'200'000};

}  // namespace

bool Network::Impl::is_sentry(const PeerId& peer) const {
    return std::any_of(options.sentries.begin(), options.sentries.end(),
                       [&](const StaticPeer& sentry) { return sentry.id == peer; });
}

void Network::Impl::send_message(const PeerId& to, const KindRow& row, const Frame& frame,
                                 const std::shared_ptr<const Bytes>& payload) {
    if (sessions.count(to) != 0 || !carrier_of(row.kind)) return send(to, row.lane, frame);
    const Routed routed{self, to, row.kind, *payload};
    if (hides()) {
        for (const StaticPeer& sentry : options.sentries) send_routed(sentry.id, routed);
    } else if (const auto via = routes.way_to(to)) {
        send_routed(*via, routed);
    }
}

void Network::Impl::broadcast(const KindRow& row, const Frame& frame,
                              const std::shared_ptr<const Bytes>& payload) {
    const bool is_carried = carrier_of(row.kind).has_value();
    if (is_carried && hides()) {
        for (const StaticPeer& sentry : options.sentries)
            send_routed(sentry.id, {self, PeerId{}, row.kind, *payload});
        return;
    }
    // A copy, since a session that fails while it is written to leaves the map.
    for (const auto& [peer, session] : std::map(sessions)) session->send(row.lane, frame);
    if (!is_carried) return;
    for (const PeerId& validator : carried_validators())
        send_routed(*routes.way_to(validator), {self, validator, row.kind, *payload});
}

/// Anybody can sign a permit with a key that he has just made: no copies are sent for such.
std::vector<PeerId> Network::Impl::carried_validators() const {
    auto out = routes.validators();
    std::erase_if(out, [this](const PeerId& validator) {
        return sessions.count(validator) != 0 || !may_be_validator(validator);
    });
    return out;
}

void Network::Impl::send_routed(const PeerId& via, const Routed& routed) {
    const Kind carrier = *carrier_of(routed.kind);
    send(via, find_kind(carrier)->lane, encode_frame(carrier, 0, encode_routed(routed)));
}

// --- the validator

void Network::Impl::grant_permits() {
    for (const StaticPeer& sentry : options.sentries) {
        if (sessions.count(sentry.id) == 0) continue;
        const auto permit =
            make_permit(options.identity, options.genesis, sentry.id, wall_s() + kPermitLifetime_s);
        send(sentry.id, find_kind(Kind::permit)->lane,
             encode_frame(Kind::permit, 0, encode_permit(permit)));
    }
    permit_timer.start(kPermitRenewal, [me = weak_from_this()] {
        if (const auto impl = me.lock()) impl->grant_permits();
    });
}

// --- the sentry

void Network::Impl::on_permit(const SessionPtr& session, const Message& message) {
    const auto permit = decode_permit(message.payload);
    const PeerId& peer = session->peer();
    if (permit && permit->validator == peer && permit->sentry == self)
        return take_charge(session, *permit, message.payload);
    if (permit && permit->validator == self) return;
    if (permit && permit->sentry == peer) return take_route(session, *permit);
    punish(peer, kBadPermitPoints, "a permit that is not of this peer");
}

void Network::Impl::take_charge(const SessionPtr& session, const Permit& permit,
                                const Bytes& payload) {
    const PeerId& peer = session->peer();
    if (!is_secret(peer))
        return log.warn("a validator asks to be carried that p2p.private does not name",
                        {{"peer", to_hex(peer.bytes)}});
    if (!is_genuine(permit, options.genesis))
        return punish(peer, kBadPermitPoints, "a permit with a wrong signature");
    if (charges.insert_or_assign(peer, payload).second)
        log.info("carries messages for a validator", {{"peer", short_name(peer)}});
    const Frame frame = encode_frame(Kind::permit, 0, payload);
    for (const auto& [other, to] : std::map(sessions))
        if (other != peer) to->send(find_kind(Kind::permit)->lane, frame);
}

void Network::Impl::show_permits(const SessionPtr& session) {
    if (hides()) return grant_permits();
    for (const auto& [validator, payload] : charges)
        if (validator != session->peer())
            session->send(find_kind(Kind::permit)->lane, encode_frame(Kind::permit, 0, payload));
}

void Network::Impl::end_charge(const PeerId& validator) {
    if (charges.erase(validator) == 0) return;
    const Bytes payload(validator.begin(), validator.end());
    const Frame frame = encode_frame(Kind::no_route, 0, payload);
    for (const auto& [other, to] : std::map(sessions))
        to->send(find_kind(Kind::no_route)->lane, frame);
}

/// From a validator that this node carries for to everybody.
void Network::Impl::fan_out(const SessionPtr& from, const Routed& routed) {
    deliver(routed);
    const Kind carrier = *carrier_of(routed.kind);
    const Frame frame = encode_frame(carrier, 0, encode_routed(routed));
    for (const auto& [peer, to] : std::map(sessions))
        if (to != from) to->send(find_kind(carrier)->lane, frame);
    for (const PeerId& validator : carried_validators())
        if (validator != routed.origin)
            send_routed(*routes.way_to(validator),
                        {routed.origin, validator, routed.kind, routed.payload});
}

// --- everybody

void Network::Impl::take_route(const SessionPtr& session, const Permit& permit) {
    if (!routes.is_news(permit, wall_s(), !may_be_validator(permit.validator))) return;
    if (!is_genuine(permit, options.genesis))
        return punish(session->peer(), kBadPermitPoints, "a permit with a wrong signature");
    const bool is_first = !routes.way_to(permit.validator);
    routes.take(permit);
    if (is_first && sessions.count(permit.validator) == 0) note_carried(permit.validator);
}

void Network::Impl::note_carried(const PeerId& validator) {
    const PeerId sentry = *routes.way_to(validator);
    {
        const std::lock_guard lock(infos_mutex);
        PeerInfo& info = infos[validator];
        info.id = validator;
        info.source = Source::carried;
        info.sentry = sentry;
        info.is_connected = true;
        info.score = scores.score(validator, now_ms());
    }
    log.info("validator reached through a sentry",
             {{"peer", short_name(validator)}, {"sentry", short_name(sentry)}});
    announce({validator, true, ""});
}

void Network::Impl::on_no_route(const SessionPtr& session, const Message& message) {
    const auto validator = fixed_from<PeerId>(message.payload);
    if (!validator) return punish(session->peer(), kBadPermitPoints, "a malformed withdrawal");
    change_routes([&] { routes.drop(*validator, session->peer()); });
}

/// Tells of validators that are reached no more.
void Network::Impl::change_routes(const std::function<void()>& change) {
    const auto before = routes.validators();
    change();
    for (const PeerId& validator : before) {
        if (sessions.count(validator) != 0) continue;
        const auto via = routes.way_to(validator);
        {
            const std::lock_guard lock(infos_mutex);
            const auto info = infos.find(validator);
            if (info == infos.end()) continue;
            info->second.sentry = via;
            if (via) continue;
            info->second.is_connected = false;
            info->second.source = Source::settings;
            if (!is_configured(validator)) infos.erase(info);
        }
        announce({validator, false, "no sentry reaches it"});
    }
}

void Network::Impl::on_routed(const SessionPtr& session, const Message& message) {
    const auto routed = decode_routed(message.kind, message.payload);
    const PeerId& peer = session->peer();
    if (!routed) return punish(peer, kBadPermitPoints, "a malformed message through a sentry");
    const bool is_believed =
        routed->origin == peer || is_sentry(peer) || routes.carries(peer, routed->origin);
    if (!is_believed || routed->origin == self) return session->count_drop();
    if (routed->to == self) return deliver(*routed);
    const bool is_ward = charges.count(peer) != 0 && routed->origin == peer;
    if (routed->to.is_zero()) return is_ward ? fan_out(session, *routed) : deliver(*routed);
    const auto direct = sessions.find(routed->to);
    const bool may_pass = is_ward || charges.count(routed->to) != 0;
    if (!may_pass) return session->count_drop();
    if (direct != sessions.end()) return send_routed(routed->to, *routed);
    const auto via = routes.way_to(routed->to);
    if (via && is_ward) send_routed(*via, *routed);
}

void Network::Impl::deliver(const Routed& routed) {
    const auto handler = handlers.find(routed.kind);
    if (handler == handlers.end() || scores.ban(routed.origin, now_ms())) return;
    hand_to(handler->second, routed.origin, Message{routed.kind, 0, routed.payload});
}

}  // namespace trainyard::p2p
