// SPDX-License-Identifier: Apache-2.0
// Duplicate connections, backoff, scores and bans; and the texts that name peers and endpoints.
#include "node/p2p/peer_rules.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/assert.hpp"

namespace trainyard::p2p {

namespace {

constexpr uint64_t kPointRegainedEveryMs = 1000;
constexpr unsigned kDoublingsMax = 20;

std::optional<uint16_t> port_from(std::string_view text) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

}  // namespace

std::string short_name(const PeerId& peer) {
    return to_hex(BytesView(peer.bytes).subspan(1, 4));  // byte 0 is only the sign of y
}

std::optional<Endpoint> endpoint_from(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = port_from(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::nullopt;
    }
    if (!port || host.empty()) return std::nullopt;
    return Endpoint{std::string(host), *port};
}

std::optional<Endpoint> peer_endpoint_from(std::string_view text) {
    auto endpoint = endpoint_from(text);
    return endpoint && endpoint->port != 0 ? std::move(endpoint) : std::nullopt;
}

std::string to_string(const Endpoint& endpoint) {
    const bool is_v6 = endpoint.host.find(':') != std::string::npos;
    const std::string host = is_v6 ? "[" + endpoint.host + "]" : endpoint.host;
    return host + ":" + std::to_string(endpoint.port);
}

std::optional<StaticPeer> static_peer_from(std::string_view text) {
    const size_t at = text.find('@');
    if (at == std::string_view::npos) return std::nullopt;
    const auto id = fixed_from_hex<PublicKey>(text.substr(0, at));
    auto endpoint = peer_endpoint_from(text.substr(at + 1));
    if (!id || !endpoint) return std::nullopt;
    return StaticPeer{std::move(*endpoint), *id};
}

bool newer_link_wins(const PeerId& self, const PeerId& peer, const Link& older, const Link& newer) {
    if (older.instance != newer.instance || older.is_inbound == newer.is_inbound) return true;
    const bool smaller_is_self = self < peer;
    const bool newer_dialled_by_self = !newer.is_inbound;
    return smaller_is_self == newer_dialled_by_self;
}

std::optional<PeerId> whom_to_replace(const std::vector<Guest>& guests,
                                      const std::array<uint8_t, 5>& newcomer) {
    std::map<std::array<uint8_t, 5>, size_t> places;
    for (const Guest& guest : guests) ++places[guest.group];
    const auto fullest =
        std::max_element(places.begin(), places.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto own = places.find(newcomer);
    const size_t owns = own == places.end() ? 0 : own->second;
    if (fullest == places.end() || fullest->second < owns + 2) return std::nullopt;
    const Guest* latest = nullptr;
    for (const Guest& guest : guests)
        if (guest.group == fullest->first && (!latest || guest.since_ms >= latest->since_ms))
            latest = &guest;
    return latest->id;
}

size_t whom_to_cut_short(const std::vector<Greeter>& greeters) {
    ASSERT(!greeters.empty());
    std::map<std::array<uint8_t, 5>, size_t> places;
    for (const Greeter& greeter : greeters) ++places[greeter.group];
    const auto comes_first = [&](const Greeter& a, const Greeter& b) {
        const size_t of_a = places[a.group], of_b = places[b.group];
        return of_a != of_b ? of_a > of_b : a.since_ms < b.since_ms;
    };
    const auto found = std::min_element(greeters.begin(), greeters.end(), comes_first);
    return static_cast<size_t>(found - greeters.begin());
}

runtime::Duration backoff(const NetworkOptions& options, unsigned failures, uint64_t random) {
    const auto least = static_cast<uint64_t>(options.backoff_min.count());
    const auto most = static_cast<uint64_t>(options.backoff_max.count());
    const uint64_t full = std::min(most, least << std::min(failures, kDoublingsMax));
    return runtime::Duration(full - random % (full / 2 + 1));
}

std::string_view to_string(Source source) {
    switch (source) {
        case Source::incoming:
            return "incoming";
        case Source::settings:
            return "settings";
        case Source::seed:
            return "seed";
        case Source::book:
            return "book";
        case Source::carried:
            return "carried";
    }
    return "unknown";
}

std::optional<int64_t> median(std::vector<int64_t> values, size_t least) {
    if (values.empty() || values.size() < least) return std::nullopt;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

int Scores::regained(const Record& record, uint64_t now_ms) {
    if (now_ms < record.at_ms) return 0;  // still banned
    const uint64_t points = (now_ms - record.at_ms) / kPointRegainedEveryMs;
    return static_cast<int>(
        std::min<uint64_t>(kSpotless, static_cast<uint64_t>(record.score) + points));
}

int Scores::score(const PeerId& peer, uint64_t now_ms) const {
    const auto found = records_.find(peer);
    return found == records_.end() ? kSpotless : regained(found->second, now_ms);
}

bool Scores::punish(const PeerId& peer, int points, std::string_view reason, uint64_t ban_ms,
                    uint64_t now_ms) {
    if (ban(peer, now_ms)) return false;
    if (records_.size() >= kRecordsMax && records_.count(peer) == 0) make_room(now_ms);
    auto [at, is_new] = records_.try_emplace(peer);
    Record& record = at->second;
    const int before = is_new ? kSpotless : regained(record, now_ms);
    record.score = std::max(0, before - points);
    record.at_ms = now_ms;
    if (record.score > 0) return false;
    set_ban(peer, reason, ban_ms, now_ms);
    return true;
}

void Scores::set_ban(const PeerId& peer, std::string_view reason, uint64_t ban_ms,
                     uint64_t now_ms) {
    if (records_.size() >= kRecordsMax && records_.count(peer) == 0) make_room(now_ms);
    const uint64_t until_ms = now_ms + std::min(ban_ms, UINT64_MAX - now_ms);
    // A ban ends with half the points, so that the next offence weighs more than the first.
    records_[peer] = {kSpotless / 2, until_ms, until_ms, std::string(reason)};
}

std::vector<std::pair<PeerId, Scores::Ban>> Scores::bans(uint64_t now_ms) const {
    std::vector<std::pair<PeerId, Ban>> out;
    for (const auto& [peer, record] : records_)
        if (record.banned_until_ms > now_ms)
            out.emplace_back(peer, Ban{record.reason, record.banned_until_ms - now_ms});
    return out;
}

std::optional<Scores::Ban> Scores::ban(const PeerId& peer, uint64_t now_ms) const {
    const auto found = records_.find(peer);
    if (found == records_.end() || found->second.banned_until_ms <= now_ms) return std::nullopt;
    return Ban{found->second.reason, found->second.banned_until_ms - now_ms};
}

void Scores::make_room(uint64_t now_ms) {
    auto first_to_end = records_.begin();
    for (auto at = records_.begin(); at != records_.end();) {
        const bool is_banned = at->second.banned_until_ms > now_ms;
        if (!is_banned && regained(at->second, now_ms) == kSpotless) {
            const bool was_first = at == first_to_end;
            at = records_.erase(at);
            if (was_first) first_to_end = at;
            continue;
        }
        if (at->second.banned_until_ms < first_to_end->second.banned_until_ms) first_to_end = at;
        ++at;
    }
    if (records_.size() >= kRecordsMax) records_.erase(first_to_end);
}

}  // namespace trainyard::p2p
