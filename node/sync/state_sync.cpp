// SPDX-License-Identifier: Apache-2.0
// The actor around the state plan: asks, has answers judged on the pool, and imports in the end.
#include "node/sync/state_sync.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>

#include "node/sync/state_folder.hpp"

namespace trainyard::sync {
namespace {

namespace cl = consensus::light;
using p2p::Answer;
using p2p::Kind;
using p2p::PeerId;
using p2p::RequestError;

constexpr runtime::Duration kTick{100};
constexpr uint64_t kLogEvery_ms = 5'000;
constexpr int kLiePoints = 100;  ///< what is proven wrong ends a peer at once
constexpr uint32_t kBoundariesAtOnce = 16;

Outcome outcome_of(RequestError error) {
    return error == RequestError::throttled ? Outcome::throttled : Outcome::lost;
}

/// Of a state of so many chunks, once as they come and once as a store, half of the disk is enough.
uint64_t chunks_that_fit(const std::filesystem::path& folder) {
    std::error_code error;
    const auto space = std::filesystem::space(folder, error);
    return error ? 0 : space.available / (2 * state::kChunkBytesMax);
}

/// What the pool finds out about boundaries.
struct Judged {
    std::vector<std::pair<Height, Hash>> proven;
    std::string fault;    ///< of the peer
    std::string refusal;  ///< of the disk
};

}  // namespace

std::optional<TrustedBoundary> trusted_boundary_from(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    uint64_t epoch = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, epoch);
    const auto hash = fixed_from_hex<Hash>(text.substr(colon + 1));
    if (error != std::errc{} || end != text.data() + colon || !hash) return std::nullopt;
    return TrustedBoundary{{epoch}, *hash};
}

std::string StateSync::Progress::words() const {
    if (is_importing) return "the state of block " + std::to_string(height.value) + " is built";
    if (chunks > 0)
        return "the state of block " + std::to_string(height.value) + ": " +
               std::to_string(chunks_here) + " of " + std::to_string(chunks) + " chunks are here";
    return "epochs are proven up to " + std::to_string(next_epoch.value) +
           ", and a snapshot is sought";
}

struct StateSync::Impl : std::enable_shared_from_this<StateSync::Impl> {
    Impl(Parts p, Options o)
        : parts(std::move(p)),
          options(std::move(o)),
          strand(parts.runtime.make_strand()),
          timer(strand),
          folder(options.folder),
          plan(options.limits, options.trust ? options.trust->epoch : Epoch{}) {}

    void begin();
    void tick();
    void pump();
    void ask(const StateAsk& question);
    void on_answer(const StateAsk& question, Answer answer);
    void on_offers(const StateAsk& question, const Answer& answer);
    void on_boundaries(const StateAsk& question, const Answer& answer);
    void on_manifest_part(const StateAsk& question, const Answer& answer);
    void on_chunk(const StateAsk& question, Answer answer);
    void take_target();
    void judge_manifest(const Bytes& encoded, bool is_saved);
    void on_judged_manifest(uint64_t round, Result<state::CheckedManifest, std::string> checked,
                            std::set<uint64_t> missing, bool is_saved);
    void import();
    void on_imported(const Result<Done, std::string>& done, bool is_fault_ours);
    void end(End how);
    void fail(const std::string& why);
    void lie(const PeerId& peer, const std::string& why);
    void show();

    // On the pool; one such job at a time.
    [[nodiscard]] Judged judge(const std::vector<Bytes>& boundaries, bool saves);
    [[nodiscard]] Result<Done, std::string> take_boundary(const cl::Boundary& boundary);
    [[nodiscard]] std::vector<Bytes> saved_boundaries() const;
    [[nodiscard]] Result<Done, std::string> import_files(state::SnapshotReader& reader) const;

    [[nodiscard]] cl::LightChain::Start genesis() const {
        return cl::LightChain::at_genesis(options.identity, options.genesis_validators);
    }
    [[nodiscard]] Epoch next_epoch() const {
        return light ? light->at().epoch : options.trust->epoch;
    }
    [[nodiscard]] uint64_t now_ms() const { return parts.runtime.clock().steady_ms(); }

    const Parts parts;
    const Options options;
    const runtime::Strand strand;
    runtime::Timer timer;
    const StateFolder folder;
    StatePlan plan;
    std::optional<cl::LightChain> light;  ///< on the pool, one job at a time

    std::optional<Hash> target;  ///< that the members below belong to
    std::optional<cl::Boundary> boundary;
    Bytes manifest_bytes;
    bool is_judging = false;
    uint64_t round = 0;  ///< of judging: answers to older ones are void
    std::shared_ptr<const state::CheckedManifest> manifest;
    bool is_importing = false, has_ended = false;
    std::atomic<bool> stops = false;
    uint64_t bytes_received = 0;
    uint64_t logged_at_ms = 0, begun_at_ms = 0;
    mutable std::mutex mutex;
    Progress progress;  ///< under the mutex
};

// --- beginning: what an earlier run has left

void StateSync::Impl::begin() {
    begun_at_ms = now_ms();
    if (auto made = folder.make(); !made) return fail(made.error());
    auto limits = options.limits;
    limits.chunks_max = std::min(limits.chunks_max, chunks_that_fit(options.folder));
    if (!options.trust) light.emplace(options.chain, genesis());
    auto judged = std::make_shared<Judged>();
    parts.runtime.offload(
        [me = shared_from_this(), judged] { *judged = me->judge(me->saved_boundaries(), false); },
        strand,
        [me = shared_from_this(), judged, limits] {
            me->plan = StatePlan(limits, me->next_epoch());
            for (const auto& [height, block] : judged->proven) me->plan.on_proven(height, block);
            if (const auto id = me->folder.begun()) me->plan.prefer(*id);
            me->tick();
        });
}

std::vector<Bytes> StateSync::Impl::saved_boundaries() const {
    std::vector<Bytes> out;
    for (Epoch at = plan.next_epoch();; ++at) {
        const auto saved = folder.boundary(at);
        if (!saved) return out;
        out.push_back(cl::encode_boundary(*saved));
    }
}

void StateSync::Impl::tick() {
    if (has_ended) return;
    pump();
    show();
    timer.start(kTick, [weak = weak_from_this()] {
        if (const auto me = weak.lock()) me->tick();
    });
}

void StateSync::Impl::pump() {
    if (has_ended || is_importing) return;
    for (const PeerId& peer : plan.take_liars())
        lie(peer, "it offers a snapshot of a block that is not the final one");
    for (const StateAsk& question : plan.next(parts.network.connected(), now_ms())) ask(question);
    if (plan.is_hopeless(now_ms())) {
        parts.log.warn("nobody offers a snapshot of a proven block; blocks are synced instead");
        return end(End::none_offered);
    }
    take_target();
    if (plan.has_manifest_parts() && !is_judging) judge_manifest(manifest_bytes, false);
    if (plan.is_complete()) import();
}

// --- questions and answers

void StateSync::Impl::ask(const StateAsk& question) {
    Kind kind = Kind::get_snapshots;
    Bytes payload;
    runtime::Duration timeout = options.answer_timeout;
    const auto index = static_cast<uint32_t>(question.index);
    switch (question.what) {
        case StateAsk::What::offers:
            break;
        case StateAsk::What::boundaries:
            kind = Kind::get_boundaries;
            payload = p2p::encode_get_boundaries({{question.index}, kBoundariesAtOnce});
            break;
        case StateAsk::What::manifest:
        case StateAsk::What::chunk:
            kind = Kind::get_snapshot_part;
            timeout = options.part_timeout;
            payload = p2p::encode_get_snapshot_part(
                {question.id, question.what == StateAsk::What::manifest, index});
            break;
    }
    parts.network.request(question.peer, kind, std::move(payload), timeout, strand,
                          [weak = weak_from_this(), question](Answer answer) {
                              if (const auto me = weak.lock())
                                  me->on_answer(question, std::move(answer));
                          });
}

void StateSync::Impl::on_answer(const StateAsk& question, Answer answer) {
    if (has_ended) return;
    if (answer) bytes_received += answer->size();
    switch (question.what) {
        case StateAsk::What::offers:
            on_offers(question, answer);
            break;
        case StateAsk::What::boundaries:
            on_boundaries(question, answer);
            break;
        case StateAsk::What::manifest:
            on_manifest_part(question, answer);
            break;
        case StateAsk::What::chunk:
            on_chunk(question, std::move(answer));
            break;
    }
    pump();
}

void StateSync::Impl::on_offers(const StateAsk& question, const Answer& answer) {
    auto offers = answer ? p2p::decode_snapshots(*answer) : std::nullopt;
    if (answer && !offers) lie(question.peer, "malformed snapshots");
    const Outcome outcome = offers   ? Outcome::good
                            : answer ? Outcome::wrong
                                     : outcome_of(answer.error());
    plan.on_offers(question, outcome,
                   offers ? *std::move(offers) : std::vector<p2p::SnapshotOffer>{}, now_ms());
}

void StateSync::Impl::on_boundaries(const StateAsk& question, const Answer& answer) {
    const Epoch asked{question.index};
    if (!answer) return plan.on_boundaries(question, outcome_of(answer.error()), asked, now_ms());
    auto boundaries = p2p::decode_boundaries(*answer);
    if (!boundaries) {
        lie(question.peer, "malformed boundaries");
        return plan.on_boundaries(question, Outcome::wrong, asked, now_ms());
    }
    if (boundaries->empty()) return plan.on_boundaries(question, Outcome::good, asked, now_ms());
    auto judged = std::make_shared<Judged>();
    parts.runtime.offload([me = shared_from_this(), judged,
                           list = *std::move(boundaries)] { *judged = me->judge(list, true); },
                          strand,
                          [me = shared_from_this(), judged, question] {
                              if (!judged->refusal.empty()) return me->fail(judged->refusal);
                              if (!judged->fault.empty()) me->lie(question.peer, judged->fault);
                              for (const auto& [height, block] : judged->proven)
                                  me->plan.on_proven(height, block);
                              me->plan.on_boundaries(
                                  question, judged->fault.empty() ? Outcome::good : Outcome::wrong,
                                  me->next_epoch(), me->now_ms());
                              me->pump();
                          });
}

/// The trusted boundary is the first, and is known by its hash alone.
Result<Done, std::string> StateSync::Impl::take_boundary(const cl::Boundary& from_peer) {
    if (light) {
        const auto done = light->advance(from_peer);
        if (!done) return unexpected(std::string(cl::to_text(done.error())));
        return Done{};
    }
    if (hash_header(from_peer.header) != options.trust->block)
        return unexpected("epoch " + std::to_string(options.trust->epoch.value) +
                          " ends with block " + to_hex0x(hash_header(from_peer.header).bytes) +
                          " there, which is not the trusted one");
    if (consensus::boundary_of(options.trust->epoch, options.chain.epoch_length).value !=
        from_peer.header.number)
        return unexpected(std::string("the trusted block is not the last one of that epoch"));
    auto start = cl::LightChain::at_boundary(options.chain, genesis(), from_peer);
    if (!start) return unexpected(std::string(cl::to_text(start.error())));
    light.emplace(options.chain, *std::move(start));
    return Done{};
}

Judged StateSync::Impl::judge(const std::vector<Bytes>& boundaries, bool saves) {
    Judged out;
    for (const Bytes& encoded : boundaries) {
        const Epoch epoch = next_epoch();
        const auto decoded = cl::decode_boundary(encoded);
        const auto taken =
            decoded
                ? take_boundary(*decoded)
                : Result<Done, std::string>(unexpected(std::string("a boundary does not decode")));
        if (!taken) {
            out.fault = "boundary of epoch " + std::to_string(epoch.value) + ": " + taken.error();
            return out;
        }
        if (auto saved = saves ? folder.put_boundary(epoch, encoded) : Done{}; !saved) {
            out.refusal = saved.error();
            return out;
        }
        out.proven.emplace_back(Height{decoded->header.number}, hash_header(decoded->header));
    }
    return out;
}

void StateSync::Impl::on_manifest_part(const StateAsk& question, const Answer& answer) {
    if (!answer) return plan.on_manifest_part(question, outcome_of(answer.error()), 0, now_ms());
    if (question.index == 0) manifest_bytes.clear();
    append(manifest_bytes, *answer);
    const bool fits = manifest_bytes.size() <= state::kManifestBytesMax;
    plan.on_manifest_part(question, fits ? Outcome::good : Outcome::wrong, answer->size(),
                          now_ms());
}

void StateSync::Impl::on_chunk(const StateAsk& question, Answer answer) {
    if (!answer) return plan.on_chunk(question, outcome_of(answer.error()), now_ms());
    if (!manifest || target != question.id) {
        return plan.on_chunk(question, Outcome::lost, now_ms());
    }
    if (!plan.wants_chunk(question.index))  // another was faster
        return plan.on_chunk(question, Outcome::good, now_ms());
    auto stored = std::make_shared<Result<Done, std::string>>(Done{});
    auto fits = std::make_shared<bool>(false);
    parts.runtime.offload(
        [me = shared_from_this(), checked = manifest, question, stored, fits,
         chunk = *std::move(answer)] {
            *fits = chunk.size() <= state::kChunkBytesMax &&
                    keccak256(chunk) == checked->manifest.chunks[question.index];
            if (*fits) *stored = me->folder.put_chunk(question.id, question.index, chunk);
        },
        strand,
        [me = shared_from_this(), question, stored, fits] {
            if (me->has_ended) return;
            if (!*fits) me->lie(question.peer, "wrong chunk of a snapshot");
            // The folder of a target that was dropped meanwhile is gone.
            const bool is_current = me->target == question.id;
            if (!*stored && is_current) return me->fail(stored->error());
            me->plan.on_chunk(question, *fits ? Outcome::good : Outcome::wrong, me->now_ms());
            me->pump();
        });
}

// --- the snapshot

/// Follows the plan's choice; a snapshot that was begun by an earlier run has files already.
void StateSync::Impl::take_target() {
    const auto& chosen = plan.target();
    const auto id = chosen ? std::optional(chosen->id) : std::nullopt;
    if (id == target) return;
    target = id;
    ++round;
    is_judging = false;
    manifest.reset();
    manifest_bytes.clear();
    boundary.reset();
    if (!id) return;
    const Epoch epoch = consensus::epoch_of(chosen->height, options.chain.epoch_length);
    boundary = folder.boundary(epoch);
    if (!boundary) return fail("the boundary of epoch " + std::to_string(epoch.value) + " is gone");
    if (auto begun = folder.begin(*id); !begun) return fail(begun.error());
    parts.log.info("snapshot chosen", {{"height", chosen->height.value},
                                       {"chunks", chosen->chunks},
                                       {"bytes", chosen->size_bytes},
                                       {"id", *id}});
    if (const auto saved = folder.manifest(*id)) judge_manifest(*saved, true);
}

void StateSync::Impl::judge_manifest(const Bytes& encoded, bool is_saved) {
    is_judging = true;
    struct Verdict {
        Result<state::CheckedManifest, std::string> checked = unexpected(std::string());
        std::set<uint64_t> missing;
    };
    auto verdict = std::make_shared<Verdict>();
    parts.runtime.offload(
        [me = shared_from_this(), verdict, encoded, offer = *plan.target(), proven = *boundary] {
            verdict->checked = check_snapshot(
                encoded, {offer, proven, me->options.genesis_block, me->options.chain});
            if (verdict->checked)
                verdict->missing = me->folder.missing_chunks(offer.id, verdict->checked->manifest);
        },
        strand,
        [me = shared_from_this(), verdict, at = round, is_saved] {
            me->on_judged_manifest(at, std::move(verdict->checked), std::move(verdict->missing),
                                   is_saved);
        });
}

void StateSync::Impl::on_judged_manifest(uint64_t at,
                                         Result<state::CheckedManifest, std::string> checked,
                                         std::set<uint64_t> missing, bool is_saved) {
    if (has_ended || at != round) return;
    is_judging = false;
    if (!checked) {
        if (!is_saved) {
            lie(plan.manifest_peer(), checked.error());
            plan.on_wrong_manifest();
        }
        return pump();
    }
    const auto saved =
        is_saved ? Result<Done, std::string>(Done{})
                 : folder.put_manifest(*target, state::encode_manifest(checked->manifest));
    if (!saved) return fail(saved.error());
    const size_t total = checked->manifest.chunks.size();
    parts.log.info("manifest of the snapshot is here",
                   {{"chunks", total}, {"chunks_here", total - missing.size()}});
    manifest = std::make_shared<const state::CheckedManifest>(*std::move(checked));
    plan.on_manifest(std::move(missing));
    pump();
}

Result<Done, std::string> StateSync::Impl::import_files(state::SnapshotReader& reader) const {
    for (uint64_t i = 0; i < manifest->manifest.chunks.size(); ++i) {
        if (stops) return unexpected(std::string("the node stops"));
        const auto chunk = folder.chunk(*target, i);
        if (!chunk) return unexpected(chunk.error());
        if (auto added = reader.add(*chunk); !added) return added;
    }
    state::Batch boundaries;
    for (Epoch at = options.trust ? options.trust->epoch : Epoch{};; ++at) {
        const auto saved = folder.boundary(at);
        if (!saved) break;
        boundaries.put(options.boundary_key(at), cl::encode_boundary(*saved));
    }
    const auto counts = reader.finish(boundaries);
    if (!counts) return unexpected(counts.error());
    return Done{};
}

void StateSync::Impl::import() {
    is_importing = true;
    parts.log.info("all chunks are here, the state is built", {{"bytes", bytes_received}});
    auto done = std::make_shared<Result<Done, std::string>>(Done{});
    auto is_fault_ours = std::make_shared<bool>(false);
    parts.runtime.offload(
        [me = shared_from_this(), done, is_fault_ours] {
            state::SnapshotReader reader(*me->manifest, &me->parts.store);
            *done = me->import_files(reader);
            *is_fault_ours = me->stops || reader.has_store_failed();
            if (*done || *is_fault_ours) return;
            if (!state::erase_all(me->parts.store)) *is_fault_ours = true;
        },
        strand,
        [me = shared_from_this(), done, is_fault_ours] { me->on_imported(*done, *is_fault_ours); });
}

/// Every chunk was the manifest's, so that whoever offered the manifest has lied, if anybody did.
void StateSync::Impl::on_imported(const Result<Done, std::string>& done, bool is_fault_ours) {
    is_importing = false;
    if (has_ended) return;
    if (done) {
        parts.log.info("state synced", {{"height", manifest->block.header.number},
                                        {"chunks", manifest->manifest.chunks.size()},
                                        {"bytes", bytes_received},
                                        {"ms", now_ms() - begun_at_ms}});
        return end(End::synced);
    }
    if (is_fault_ours) return fail(done.error());
    folder.forget(*target);
    for (const PeerId& peer : plan.reject_target())
        lie(peer, "it offered a snapshot that is none: " + done.error());
    take_target();
    pump();
}

// --- the end, and what people see

void StateSync::Impl::end(End how) {
    has_ended = true;
    timer.cancel();
    show();
    if (options.on_end) options.on_end(how);
}

void StateSync::Impl::fail(const std::string& why) {
    if (has_ended) return;
    if (!stops) parts.log.error("the state cannot be synced", {{"why", why}});
    end(End::failed);
}

void StateSync::Impl::lie(const PeerId& peer, const std::string& why) {
    parts.log.warn("a peer lies", {{"peer", p2p::short_name(peer)}, {"why", why}});
    parts.network.punish(peer, kLiePoints, why);
}

void StateSync::Impl::show() {
    Progress now;
    now.next_epoch = plan.next_epoch();
    now.bytes_received = bytes_received;
    now.is_importing = is_importing;
    if (boundary) {
        now.height = {boundary->header.number};
        now.time_s = boundary->header.timestamp;
    }
    if (manifest) {
        now.chunks = manifest->manifest.chunks.size();
        now.chunks_here = now.chunks - plan.chunks_missing();
    }
    const bool is_due = now_ms() - logged_at_ms >= kLogEvery_ms;
    if (is_due && !has_ended) {
        logged_at_ms = now_ms();
        parts.log.info("state sync", {{"at", now.words()}, {"bytes", bytes_received}});
    }
    const std::lock_guard lock(mutex);
    progress = now;
}

StateSync::StateSync(Parts parts, Options options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {}

StateSync::~StateSync() = default;

void StateSync::start() {
    impl_->strand.post([me = impl_] { me->begin(); });
}

void StateSync::stop() {
    impl_->stops = true;
}

StateSync::Progress StateSync::progress() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->progress;
}

}  // namespace trainyard::sync
