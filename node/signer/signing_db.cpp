// SPDX-License-Identifier: Apache-2.0
// Records of the signing database, and one batch for each change.
#include "node/signer/signing_db.hpp"

#include "core/big_endian.hpp"
#include "state/world.hpp"

namespace trainyard::node::signer {
namespace {

using consensus::bft::Vote;

constexpr std::string_view kOwnerKey = "sign/owner", kMarkKey = "sign/mark", kViews = "sign/view";
constexpr uint8_t kVersion = 1;
constexpr size_t kOwnerBytes = 1 + 8 + Hash::size() + PublicKey::size();
constexpr uint8_t kNotarized = 1, kFinalized = 2, kNullified = 4;
constexpr size_t kSlack = 1024;  ///< views beyond kViewsKept before some are dropped

Bytes key_of(const Position& at) {
    Bytes key;
    append(key, as_bytes(kViews));
    append_be(key, at.epoch.value);
    append_be(key, at.view.value);
    return key;
}

Bytes encode_view(const SignedView& v) {
    Bytes out{static_cast<uint8_t>((v.notarized ? kNotarized : 0) | (v.finalized ? kFinalized : 0) |
                                   (v.nullified ? kNullified : 0))};
    if (v.notarized) append(out, v.notarized->bytes);
    if (v.finalized) append(out, v.finalized->bytes);
    return out;
}

std::optional<SignedView> decode_view(BytesView from) {
    if (from.empty() || from[0] == 0 || from[0] > (kNotarized | kFinalized | kNullified))
        return std::nullopt;
    SignedView out;
    const uint8_t flags = from[0];
    const size_t hashes = ((flags & kNotarized) != 0 ? 1 : 0) + ((flags & kFinalized) != 0 ? 1 : 0);
    if (from.size() != 1 + hashes * Hash::size()) return std::nullopt;
    from = from.subspan(1);
    if ((flags & kNotarized) != 0) {
        out.notarized = fixed_from<Hash>(from.first(Hash::size()));
        from = from.subspan(Hash::size());
    }
    if ((flags & kFinalized) != 0) out.finalized = fixed_from<Hash>(from);
    out.nullified = (flags & kNullified) != 0;
    return out;
}

Bytes encode_mark(const Position& mark) {
    Bytes out;
    append_le(out, mark.epoch.value);
    append_le(out, mark.view.value);
    return out;
}

Bytes encode_owner(const Owner& owner) {
    Bytes out{kVersion};
    append_le(out, owner.chain.chain_id);
    append(out, owner.chain.genesis_hash.bytes);
    append(out, owner.key.bytes);
    return out;
}

std::string describe(const Owner& owner) {
    return "key " + to_hex0x(owner.key.bytes) + " on chain " +
           std::to_string(owner.chain.chain_id) + ", genesis " +
           to_hex0x(owner.chain.genesis_hash.bytes);
}

}  // namespace

Result<std::optional<Owner>, std::string> SigningDb::owner_of(const state::Kv& kv) {
    const auto bytes = kv.get(as_bytes(kOwnerKey));
    if (kv.read_failure()) return unexpected(std::string(state::to_text(*kv.read_failure())));
    if (!bytes) return std::optional<Owner>();
    if (bytes->size() != kOwnerBytes || (*bytes)[0] != kVersion)
        return unexpected(
            std::string("its owner is written in a form that this release does not know"));
    const BytesView from(*bytes);
    Owner owner;
    owner.chain.chain_id = load_le<uint64_t>(from.data() + 1);
    owner.chain.genesis_hash = *fixed_from<Hash>(from.subspan(9, Hash::size()));
    owner.key = *fixed_from<PublicKey>(from.subspan(9 + Hash::size()));
    return std::optional(owner);
}

Result<History, std::string> read_history(const state::Kv& kv) {
    History out;
    std::optional<std::string> damage;
    const auto mark = kv.get(as_bytes(kMarkKey));
    if (mark && mark->size() != 16) return unexpected(std::string("its mark is damaged"));
    if (mark) out.mark = {{load_le<uint64_t>(mark->data())}, {load_le<uint64_t>(mark->data() + 8)}};
    kv.scan(as_bytes(kViews), [&](BytesView key, BytesView value) {
        const auto view = decode_view(value);
        if (key.size() != kViews.size() + 16 || !view) {
            damage = "its record " + to_hex(key) + " is damaged";
            return false;
        }
        const Position at{{load_be<uint64_t>(&key[kViews.size()])},
                          {load_be<uint64_t>(&key[kViews.size() + 8])}};
        if (at >= out.mark) out.views.emplace(at, *view);
        return true;
    });
    if (!damage && kv.read_failure()) damage = std::string(state::to_text(*kv.read_failure()));
    if (damage) return unexpected(std::move(*damage));
    return out;
}

Result<std::unique_ptr<SigningDb>, std::string> SigningDb::open(state::Kv& kv, const Owner& owner,
                                                                state::Durability durability) {
    const auto held = owner_of(kv);
    if (!held) return unexpected("the signing database cannot be read: " + held.error());
    if (*held && **held != owner)
        return unexpected("the signing database belongs to " + describe(**held) + ", not to " +
                          describe(owner) + ": use another data folder");
    auto history = read_history(kv);
    if (!history) return unexpected("the signing database cannot be read: " + history.error());
    if (!*held) {
        state::Batch batch;
        batch.put(as_bytes(kOwnerKey), encode_owner(owner));
        if (auto done = kv.write(batch, state::Durability::synced); !done)
            return unexpected("the signing database cannot be written: " +
                              std::string(state::to_text(done.error())));
    }
    std::unique_ptr<SigningDb> db(new SigningDb(kv, owner, durability));
    db->history_ = std::move(*history);
    return db;
}

Result<Done, Refusal> SigningDb::admit(const consensus::bft::ChainIdentity& chain,
                                       const Vote& vote) {
    if (chain != owner_.chain) return unexpected(Refusal::other_chain);
    const std::lock_guard lock(mutex_);
    if (const auto refusal = history_.objection(vote)) return unexpected(*refusal);
    if (history_.holds(vote)) return Done{};
    const Position at{vote.epoch, vote.view};
    History next;  // of this view alone
    if (const auto found = history_.views.find(at); found != history_.views.end())
        next.views.emplace(*found);
    next.record(vote);
    state::Batch batch;
    batch.put(key_of(at), encode_view(next.views.at(at)));
    if (!kv_.write(batch, durability_)) return unexpected(Refusal::not_stored);
    history_.views[at] = next.views.at(at);
    if (history_.views.size() <= kViewsKept + kSlack) return Done{};
    History shorter = history_;
    shorter.prune(kViewsKept);
    // Old records that stay longer do no harm; the next vote tries again.
    (void)replace(std::move(shorter));
    return Done{};
}

Result<Done, state::KvError> SigningDb::replace(History next) {
    state::Batch batch;
    batch.put(as_bytes(kMarkKey), encode_mark(next.mark));
    for (const auto& [at, view] : history_.views)
        if (next.views.count(at) == 0) batch.erase(key_of(at));
    for (const auto& [at, view] : next.views) {
        const auto found = history_.views.find(at);
        if (found == history_.views.end() || found->second != view)
            batch.put(key_of(at), encode_view(view));
    }
    if (auto done = kv_.write(batch, state::Durability::synced); !done) return done;
    history_ = std::move(next);
    return Done{};
}

bool SigningDb::holds(const Vote& vote) const {
    const std::lock_guard lock(mutex_);
    return history_.holds(vote);
}
History SigningDb::history() const {
    const std::lock_guard lock(mutex_);
    return history_;
}
Position SigningDb::newest() const {
    const std::lock_guard lock(mutex_);
    return history_.newest();
}
bool SigningDb::is_empty() const {
    const std::lock_guard lock(mutex_);
    return history_.views.empty() && history_.mark == Position{};
}

Result<Done, state::KvError> SigningDb::raise_mark(const Position& to) {
    const std::lock_guard lock(mutex_);
    if (to <= history_.mark) return Done{};
    History next = history_;
    next.raise_mark(to);
    return replace(std::move(next));
}

Result<std::vector<Position>, state::KvError> SigningDb::merge_in(const History& other) {
    const std::lock_guard lock(mutex_);
    History next = history_;
    auto conflicts = merge(next, other);
    if (auto done = replace(std::move(next)); !done) return unexpected(done.error());
    return conflicts;
}

}  // namespace trainyard::node::signer
