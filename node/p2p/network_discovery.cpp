// SPDX-License-Identifier: Apache-2.0
// How a node finds others: it dials addresses of its book, asks those it reaches for more, and
// tells what it knows.
#include <algorithm>

#include "node/p2p/network_impl.hpp"

namespace trainyard::p2p {
namespace {

constexpr size_t kDialsPerRound = 4;
constexpr size_t kKnownEnough = 1000;
constexpr runtime::Duration kAnswerTimeout{10'000};
constexpr uint64_t kSaveEvery_ms = 60'000;
constexpr runtime::Duration kSeedPauseMin{2'000}, kSeedPauseMax{600'000};
constexpr int kMalformedPoints = 34;

}  // namespace

/// Peers of whom others are never told.
bool Network::Impl::is_secret(const PeerId& peer) const {
    const auto& all = options.private_peers;
    return std::find(all.begin(), all.end(), peer) != all.end();
}

/// Connections to nodes that no settings name, and attempts at such.
size_t Network::Impl::outbound_count() const {
    return static_cast<size_t>(std::count_if(
        dials.begin(), dials.end(), [](const auto& dial) { return !dial.second.is_lasting(); }));
}

void Network::Impl::discover() {
    if (is_stopped) return;
    note_settled();
    const AddressBook::Random draw = [this] { return random(); };
    const auto may_dial = [this](const PeerId& peer) {
        return peer != self && dials.count(peer) == 0 && sessions.count(peer) == 0 &&
               !is_secret(peer) && !scores.ban(peer, now_ms());
    };
    for (size_t n = 0; n < kDialsPerRound && outbound_count() < options.outbound_max; ++n) {
        const auto next = book.pick(draw, wall_s(), may_dial);
        if (!next) {
            dial_seed();
            break;
        }
        book.on_attempt(next->id, wall_s());
        dial_once({{to_string(next->ip), next->port}, next->id}, Source::book);
    }
    const bool knows_few = book.new_count() + book.tried_count() < kKnownEnough;
    if (knows_few && now_ms() >= next_question_at_ms && !sessions.empty()) {
        auto at = sessions.begin();
        std::advance(at, random() % sessions.size());
        ask_for_addresses(at->first);
    }
    if (options.on_book && now_ms() >= book_saved_at_ms + kSaveEvery_ms) save_book();
    discovery_timer.start(options.discovery_interval, [me = weak_from_this()] {
        if (const auto impl = me.lock()) impl->discover();
    });
}

void Network::Impl::dial_once(const StaticPeer& peer, Source source) {
    if (dials.try_emplace(peer.id, peer, source, strand).second) dial(peer.id);
}

/// One after the other, and seldomer the longer that goes on.
void Network::Impl::dial_seed() {
    if (options.seeds.empty() || now_ms() < next_seed_at_ms) return;
    const StaticPeer& seed = options.seeds[next_seed++ % options.seeds.size()];
    NetworkOptions pace;
    pace.backoff_min = kSeedPauseMin;
    pace.backoff_max = kSeedPauseMax;
    const auto pause = backoff(pace, seed_failures++, random());
    next_seed_at_ms = now_ms() + static_cast<uint64_t>(pause.count());
    const bool is_new = seed.id != self && sessions.count(seed.id) == 0;
    if (is_new && !scores.ban(seed.id, now_ms())) dial_once(seed, Source::seed);
}

/// Whom we dialled is heard of there, and asked whom else it knows; who dialled us says where it
/// listens.
void Network::Impl::meet(const Session& session) {
    const PeerId& peer = session.peer();
    if (hides()) return;
    const auto dialled = dials.find(peer);
    const bool is_inbound = session.is_inbound() || dialled == dials.end();
    const uint16_t port_there =
        is_inbound ? session.peer_hello().listen_port : dialled->second.peer.endpoint.port;
    if (!is_secret(peer) && session.ip())
        book.hear({peer, *session.ip(), port_there}, *session.ip(), wall_s(), wall_s());
    if (!is_inbound) ask_for_addresses(peer);
}

/// Whoever hangs up at once, as a node without free places does, has not answered.
void Network::Impl::note_settled() {
    const auto settle_ms = static_cast<uint64_t>(options.settle_time.count());
    for (auto& [peer, dial] : dials) {
        const auto found = sessions.find(peer);
        if (dial.is_noted || found == sessions.end() || found->second->is_inbound()) continue;
        if (now_ms() - found->second->ready_since_ms() < settle_ms) continue;
        dial.is_noted = true;
        note_answered(*found->second, dial);
        if (dial.source != Source::seed) seed_failures = 0;
    }
}

void Network::Impl::note_answered(const Session& session, const Dial& dial) {
    if (is_secret(session.peer()) || !session.ip()) return;
    book.on_success({session.peer(), *session.ip(), dial.peer.endpoint.port}, wall_s());
}

void Network::Impl::ask_for_addresses(const PeerId& peer) {
    const auto every_ms = static_cast<uint64_t>(options.ask_interval.count());
    next_question_at_ms = now_ms() + every_ms / 2 + random() % (every_ms + 1);
    request(peer, Kind::get_peers, {}, kAnswerTimeout, strand,
            [me = weak_from_this(), peer](const Answer& answer) {
                if (const auto impl = me.lock()) impl->on_told(peer, answer);
            });
}

void Network::Impl::on_told(const PeerId& peer, const Answer& answer) {
    if (!answer || is_stopped) return;
    const auto told = decode_told(*answer);
    if (!told) return punish(peer, kMalformedPoints, "malformed list of addresses");
    const auto found = sessions.find(peer);
    if (found == sessions.end() || !found->second->ip()) return;
    const Ip source = *found->second->ip();
    size_t taken = 0;
    for (const ToldAddress& each : *told) {
        const PeerId& id = each.address.id;
        if (id == self || is_secret(id) || scores.ban(id, now_ms())) continue;
        const uint64_t seen_s = wall_s() - std::min<uint64_t>(wall_s(), each.age_hours * 3600ull);
        taken += book.hear(each.address, source, seen_s, wall_s()) ? 1 : 0;
    }
    log.debug("addresses told",
              {{"peer", short_name(peer)}, {"told", told->size()}, {"taken", taken}});
}

void Network::Impl::tell_addresses(const SessionPtr& session, uint64_t request_id) {
    Responder::Impl responder(weak_from_this(), session->peer(), request_id, Kind::peers);
    if (hides()) return responder.refuse(RequestError::unsupported);
    if (!session->take_address_question()) return responder.refuse(RequestError::throttled);
    const auto may_tell = [&](const PeerId& peer) {
        return peer != session->peer() && !is_secret(peer) && !scores.ban(peer, now_ms());
    };
    const auto told = book.sample([this] { return random(); }, kToldMax, wall_s(), may_tell);
    responder.answer(encode_told(told));
}

void Network::Impl::save_book() {
    book_saved_at_ms = now_ms();
    for (const auto& [peer, dial] : dials) {
        const auto found = sessions.find(peer);
        if (dial.is_noted && found != sessions.end()) note_answered(*found->second, dial);
    }
    options.on_book(book.encode());
}

}  // namespace trainyard::p2p
