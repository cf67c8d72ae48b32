// SPDX-License-Identifier: Apache-2.0
// Opening a signer, and letting it vote once no other machine uses its key.
#include "node/cli/node_voting.hpp"

#include "node/bft/journal.hpp"

namespace trainyard::node::cli {
namespace {

namespace cb = consensus::bft;
using signer::Doppelganger;

constexpr uint32_t kSignerPatienceMs = 15'000;
constexpr runtime::Duration kTick{100};
constexpr uint64_t kListenDeltas = 10;
constexpr char kConnecting[] =
    "waits for a quorum of validators before it listens for other users of its key";
constexpr char kListening[] = "listens for other users of its consensus key before it votes";
constexpr char kContention[] =
    "another machine uses this node's P2P key: peers gave up their connections for connections of "
    "that one. Stop one of the two; this node votes once it has kept a quorum's connections for "
    "40 s";
/// Twice the longest time until the other one has dialled again: pause, then handshake.
constexpr uint64_t kContentionMs = 40'000;
constexpr uint64_t kTellEveryMs = 60'000;

std::string_view name_of(cb::VoteKind kind) {
    switch (kind) {
        case cb::VoteKind::notarize:
            return "notarize";
        case cb::VoteKind::finalize:
            return "finalize";
        case cb::VoteKind::nullify:
            return "nullify";
    }
    return "unknown";
}

auto log_refusals(const runtime::Logger& log) {
    return [log](const cb::Vote& vote, signer::Refusal why) {
        log.error("refused to sign a vote", {{"vote", name_of(vote.kind)},
                                             {"epoch", vote.epoch.value},
                                             {"view", vote.view.value},
                                             {"why", signer::to_text(why)}});
    };
}

/// The journal of a data folder that is older than its signing database knows votes as well.
Result<Done, std::string> take_over_journal(signer::SigningDb& db, state::Kv& votes) {
    signer::History known;
    for (const auto& record : bft::Journal(votes).load()) {
        const auto message = cb::decode_message(record);
        const auto* vote = message ? std::get_if<cb::Vote>(&*message) : nullptr;
        const auto& owner = db.owner();
        if (vote != nullptr && !known.objection(*vote) &&
            verify(owner.key, cb::vote_digest(owner.chain, *vote), vote->signature))
            known.record(*vote);
    }
    if (known.views.empty() || known.newest() <= db.newest()) return Done{};
    if (db.merge_in(known)) return Done{};
    return unexpected(std::string("the signing database cannot be written: check the disk"));
}

}  // namespace

NodeVoting::NodeVoting(Parts parts)
    : parts_(std::move(parts)), strand_(parts_.runtime.make_strand()), timer_(strand_) {}
NodeVoting::~NodeVoting() = default;

Result<std::unique_ptr<NodeVoting>, std::string> NodeVoting::open(Parts parts) {
    std::unique_ptr<NodeVoting> out(new NodeVoting(std::move(parts)));
    const bool is_remote = !out->parts_.config.signer.empty();
    auto opened = is_remote ? out->open_remote() : out->open_local();
    if (!opened) return unexpected(opened.error());
    cb::Signer& inner = is_remote ? static_cast<cb::Signer&>(*out->remote_) : *out->local_;
    out->gate_ = std::make_unique<signer::Gate>(inner, kConnecting);
    return out;
}

Result<Done, std::string> NodeVoting::open_local() {
    const auto& keys = *parts_.setup.keys;
    consensus_key_ = *public_key(keys.consensus);
    const signer::Owner owner{{parts_.setup.chain.chain_id, parts_.setup.genesis_hash},
                              consensus_key_};
    // Buffered: the vote machine syncs the same store before a vote leaves (ADR 010).
    auto db = signer::SigningDb::open(parts_.votes, owner, state::Durability::buffered);
    if (!db) return unexpected(db.error());
    db_ = std::move(*db);
    if (db_->history().mark == signer::kNoMore)
        return unexpected(std::string(
            "this folder's signing database was retired by `slashing-protection export --retire`: "
            "its key votes elsewhere. Follow without `keys`, or import the other machine's export "
            "into a fresh data folder"));
    if (auto done = take_over_journal(*db_, parts_.votes); !done) return done;
    knows_nothing_ = db_->is_empty();
    local_ = std::make_unique<signer::GuardedSigner>(keys.consensus, keys.vrf, *db_,
                                                     log_refusals(parts_.log));
    return Done{};
}

Result<Done, std::string> NodeVoting::open_remote() {
    const auto address = signer::channel_address_from(parts_.config.signer);
    if (!address || (address->path.empty() && !address->key))
        return unexpected("signer: '" + parts_.config.signer +
                          "' is neither unix:PATH nor tls:<66 hex digits>@host:port");
    signer::RemoteSigner::Options options;
    options.address = *address;
    options.chain = {parts_.setup.chain.chain_id, parts_.setup.genesis_hash};
    if (address->path.empty()) options.tls = signer::make_signer_tls(parts_.setup.p2p_key);
    options.on_refusal = log_refusals(parts_.log);
    options.on_change = [log = parts_.log](const std::string& why) {
        if (why.empty()) return log.info("the signer answers");
        log.error("the signer is away, so this node does not vote", {{"why", why}});
    };
    auto remote =
        signer::RemoteSigner::open(std::move(options), parts_.runtime.clock(), kSignerPatienceMs);
    if (!remote) return unexpected(remote.error());
    remote_ = std::move(*remote);
    consensus_key_ = remote_->keys().consensus;
    const auto newest = remote_->newest();
    knows_nothing_ = newest && newest->is_empty;
    return Done{};
}

std::optional<signer::Position> NodeVoting::newest() {
    if (db_) return db_->newest();
    const auto reply = remote_->newest();
    return reply ? std::optional(reply->newest) : std::nullopt;
}

void NodeVoting::watch(Watch watch) {
    const std::lock_guard lock(mutex_);
    watch_.emplace(std::move(watch));
    Doppelganger::Options options;
    options.chain = {parts_.setup.chain.chain_id, parts_.setup.genesis_hash};
    options.key = consensus_key_;
    options.listen_ms = kListenDeltas * parts_.setup.chain.delta_ms;
    options.contention_ms = kContentionMs;
    options.is_new = knows_nothing_ && watch_->final_height == 0;
    options.is_vouched_for = !parts_.config.doppelganger_check;
    options.newest = [this] { return newest(); };
    check_.emplace(std::move(options));
    watch_->network.on_peer(strand_, [this](const p2p::PeerEvent& event) { on_peer(event); });
    strand_.post([this] { tick(); });
}

Doppelganger::Moment NodeVoting::moment() const {
    const Epoch epoch = watch_->where().epoch;
    const auto& sets = watch_->sets;
    return {parts_.runtime.clock().steady_ms(), epoch, sets.of_epoch(epoch),
            sets.of_epoch(epoch + 1)};
}

void NodeVoting::tick() {
    {
        const std::lock_guard lock(mutex_);
        settle(listens() ? check_->update(moment()) : Doppelganger::State::clear);
        if (state_ == Doppelganger::State::clear || state_ == Doppelganger::State::found) return;
    }
    timer_.start(kTick, [this] { tick(); });
}

void NodeVoting::hear(const p2p::PeerId& from, const cb::Message& message) {
    if (!listens()) return;
    const std::lock_guard lock(mutex_);
    if (!check_) return;
    const auto now = moment();
    check_->hear(from, message, now);
    settle(check_->update(now));
}

void NodeVoting::on_peer(const p2p::PeerEvent& event) {
    const std::lock_guard lock(mutex_);
    if (event.is_up) return check_->meet(event.peer, moment());
    check_->lose(event.peer, event.to_another);
    if (event.to_another) tell_of_contention(event);
}

void NodeVoting::tell_of_contention(const p2p::PeerEvent& event) {
    ++contentions_;
    const uint64_t now_ms = parts_.runtime.clock().steady_ms();
    if (told_of_contention_ms_ && now_ms - *told_of_contention_ms_ < kTellEveryMs) return;
    told_of_contention_ms_ = now_ms;
    parts_.log.warn("another machine uses this node's P2P key: stop one of the two",
                    {{"peer_that_gave_us_up", p2p::short_name(event.peer)}});
}

/// Called with the mutex held.
void NodeVoting::settle(Doppelganger::State state) {
    const bool waits =
        state == Doppelganger::State::connecting || state == Doppelganger::State::listening;
    if (waits && check_->is_in_contention()) gate_->shut(kContention);
    if (state == state_) return;
    state_ = state;
    if (waits && !check_->is_in_contention())
        gate_->shut(state == Doppelganger::State::listening ? kListening : kConnecting);
    if (state == Doppelganger::State::listening) {
        parts_.log.info("listens for other users of the consensus key before it votes",
                        {{"ms", kListenDeltas * parts_.setup.chain.delta_ms}});
    }
    if (state == Doppelganger::State::clear) let_vote();
    if (state == Doppelganger::State::found) found_another();
}

void NodeVoting::found_another() {
    const auto& vote = *check_->evidence();
    const std::string why =
        "another machine votes with this validator's key: a vote in epoch " +
        std::to_string(vote.epoch.value) + ", view " + std::to_string(vote.view.value) +
        " is newer than all that the signing database knows. Stop one of the two; if the key runs "
        "nowhere else, the database was lost or is an old copy: import the latest export, or start "
        "once with --no-doppelganger-check";
    gate_->shut(why);
    parts_.log.error("this node does not vote", {{"why", why}});
}

void NodeVoting::let_vote() {
    // Without a history of the key, views in which it may have voted before are left out.
    if (knows_nothing_ && !check_->is_chain_new()) {
        const auto here = watch_->where();
        const auto to = std::max(signer::Position{here.epoch, here.view + 2},
                                 check_->beyond_old_votes(*moment().set));
        const bool raised = db_ ? db_->raise_mark(to).has_value() : remote_->raise_mark(to);
        if (!raised) {
            gate_->shut("the signing database cannot be written");
            return;
        }
    }
    gate_->open();
    parts_.log.info("votes from now on", {{"key", consensus_key_}});
    if (watch_->on_open) watch_->on_open();
}

std::string NodeVoting::why_not_voting() const {
    if (auto why = gate_->why_shut(); !why.empty()) return why;
    const std::string trouble = remote_ ? remote_->trouble() : "";
    if (trouble.empty()) return "";
    return "the signer at " + parts_.config.signer + " does not answer: " + trouble;
}

void NodeVoting::add_metrics(metrics::Metrics& out) const {
    out.gauge("trainyard_signer_voting", "1 while votes are signed.",
              why_not_voting().empty() ? 1 : 0);
    {
        const std::lock_guard lock(mutex_);
        out.counter("trainyard_signer_contentions_total",
                    "Connections lost to another machine with this node's P2P key.", contentions_);
    }
    const auto counts = local_ ? local_->refusals() : remote_->refusals();
    metrics::Family refusals{"trainyard_signer_refusals_total",
                             "Votes not signed, by what the signing database objected to.",
                             metrics::Kind::counter,
                             {}};
    for (size_t i = 0; i < counts.size(); ++i)
        refusals.samples.push_back(
            {{{"reason", std::string(signer::name_of(static_cast<signer::Refusal>(i)))}},
             static_cast<double>(counts[i])});
    out.families.push_back(std::move(refusals));
}

}  // namespace trainyard::node::cli
