// SPDX-License-Identifier: Apache-2.0
// Permits, wrapped messages, and the table of ways.
#include "node/p2p/routes.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/hash.hpp"

namespace trainyard::p2p {
namespace {

constexpr size_t kPermitBytes = 33 + 33 + 8 + 64;

Hash digest_of(const Hash& genesis, const PublicKey& sentry, uint64_t expires_s) {
    constexpr std::string_view kTag = "trainyard/permit/1";
    Bytes bytes(as_bytes(kTag).begin(), as_bytes(kTag).end());
    append(bytes, genesis.bytes);
    append(bytes, sentry.bytes);
    append_le(bytes, expires_s);
    return keccak256(bytes);
}

}  // namespace

Permit make_permit(const SecretKey& key, const Hash& genesis, const PublicKey& sentry,
                   uint64_t expires_s) {
    return {*public_key(key), sentry, expires_s,
            sign(key, digest_of(genesis, sentry, expires_s)).rs};
}

bool is_genuine(const Permit& permit, const Hash& genesis) {
    return verify(permit.validator, digest_of(genesis, permit.sentry, permit.expires_s),
                  permit.signature);
}

Bytes encode_permit(const Permit& permit) {
    Bytes out(permit.validator.begin(), permit.validator.end());
    append(out, permit.sentry.bytes);
    append_le(out, permit.expires_s);
    append(out, permit.signature.bytes);
    return out;
}

std::optional<Permit> decode_permit(BytesView from) {
    if (from.size() != kPermitBytes) return std::nullopt;
    return Permit{*fixed_from<PublicKey>(from.first(33)),
                  *fixed_from<PublicKey>(from.subspan(33, 33)), load_le<uint64_t>(from.data() + 66),
                  *fixed_from<CompactSig>(from.subspan(74, 64))};
}

std::optional<Kind> carrier_of(Kind kind) {
    switch (kind) {
        case Kind::bft_vote:
        case Kind::bft_certificate:
            return Kind::routed_vote;
        case Kind::bft_proposal:
            return Kind::routed_proposal;
        case Kind::bft_ask:
        case Kind::bft_block:
            return Kind::routed_repair;
        default:
            return std::nullopt;
    }
}

Bytes encode_routed(const Routed& routed) {
    ASSERT(carrier_of(routed.kind).has_value());
    Bytes out;
    out.reserve(kRoutedOverhead + routed.payload.size());
    append(out, routed.origin.bytes);
    append(out, routed.to.bytes);
    out.push_back(static_cast<uint8_t>(routed.kind));
    append(out, routed.payload);
    return out;
}

std::optional<Routed> decode_routed(Kind carrier, BytesView from) {
    if (from.size() < kRoutedOverhead) return std::nullopt;
    const KindRow* row = find_kind(from[kRoutedOverhead - 1]);
    const BytesView payload = from.subspan(kRoutedOverhead);
    if (row == nullptr || carrier_of(row->kind) != carrier) return std::nullopt;
    if (payload.size() > row->payload_max) return std::nullopt;
    return Routed{*fixed_from<PublicKey>(from.first(33)),
                  *fixed_from<PublicKey>(from.subspan(33, 33)), row->kind,
                  Bytes(payload.begin(), payload.end())};
}

const Routes::Way* Routes::find(const PublicKey& validator, const PublicKey& sentry) const {
    const auto found = ways_.find(validator);
    if (found == ways_.end()) return nullptr;
    for (const Way& way : found->second)
        if (way.sentry == sentry) return &way;
    return nullptr;
}

bool Routes::is_news(const Permit& permit, uint64_t now_s, bool is_stranger) const {
    // Twice the lifetime, for clocks that differ.
    const uint64_t latest_s = now_s + 2 * kPermitLifetime_s;
    if (permit.expires_s <= now_s || permit.expires_s > latest_s) return false;
    if (const Way* known = find(permit.validator, permit.sentry))
        return permit.expires_s > known->expires_s;
    size_t of_sentry = 0, all = 0;
    for (const auto& [validator, ways] : ways_) {
        all += ways.size();
        for (const Way& way : ways) of_sentry += way.sentry == permit.sentry ? 1 : 0;
    }
    return of_sentry < kPerSentryMax && all < (is_stranger ? kStrangersMax : kMax);
}

void Routes::take(const Permit& permit) {
    auto& ways = ways_[permit.validator];
    for (Way& way : ways) {
        if (way.sentry != permit.sentry) continue;
        way.expires_s = permit.expires_s;
        return;
    }
    ways.push_back({permit.sentry, permit.expires_s});
}

template <class Predicate>
void Routes::drop_where(const Predicate& is_gone) {
    for (auto at = ways_.begin(); at != ways_.end();) {
        std::erase_if(at->second, [&](const Way& way) { return is_gone(at->first, way); });
        at = at->second.empty() ? ways_.erase(at) : std::next(at);
    }
}

void Routes::drop(const PublicKey& validator, const PublicKey& sentry) {
    drop_where([&](const PublicKey& who, const Way& way) {
        return who == validator && way.sentry == sentry;
    });
}

void Routes::drop_sentry(const PublicKey& sentry) {
    drop_where([&](const PublicKey&, const Way& way) { return way.sentry == sentry; });
}

void Routes::drop_expired(uint64_t now_s) {
    drop_where([&](const PublicKey&, const Way& way) { return way.expires_s <= now_s; });
}

std::optional<PublicKey> Routes::way_to(const PublicKey& validator) const {
    const auto found = ways_.find(validator);
    if (found == ways_.end()) return std::nullopt;
    return found->second.front().sentry;
}

std::vector<PublicKey> Routes::sentries_of(const PublicKey& validator) const {
    std::vector<PublicKey> out;
    if (const auto found = ways_.find(validator); found != ways_.end())
        for (const Way& way : found->second) out.push_back(way.sentry);
    return out;
}

bool Routes::carries(const PublicKey& sentry, const PublicKey& validator) const {
    return find(validator, sentry) != nullptr;
}

std::vector<PublicKey> Routes::validators() const {
    std::vector<PublicKey> out;
    for (const auto& [validator, ways] : ways_) out.push_back(validator);
    return out;
}

}  // namespace trainyard::p2p
