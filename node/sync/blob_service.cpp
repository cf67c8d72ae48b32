// SPDX-License-Identifier: Apache-2.0
// The actor around blob stores and fetch plans.
#include "node/sync/blob_service.hpp"

#include <map>
#include <mutex>

#include "core/places.hpp"
#include "node/p2p/messages.hpp"

namespace trainyard::sync {

namespace {

using blobs::Ask;
using blobs::Manifest;
using blobs::Outcome;
using p2p::Answer;
using p2p::Kind;
using p2p::PeerId;
using p2p::RequestError;

constexpr runtime::Duration kTick{250};
constexpr int kWrongAnswerPoints = 34;

Outcome outcome_of(RequestError error) {
    return error == RequestError::throttled ? Outcome::throttled : Outcome::lost;
}

}  // namespace

struct BlobService::Impl : std::enable_shared_from_this<BlobService::Impl> {
    struct Job {
        Job(const Hash& i, const blobs::FetchLimits& limits, uint64_t now_ms)
            : id(i), began_ms(now_ms), plan(limits, now_ms) {}
        const Hash id;
        const uint64_t began_ms;
        blobs::FetchPlan plan;
        std::shared_ptr<blobs::ChunkWriter> writer;
        std::vector<std::pair<runtime::Strand, OnFetched>> waiting;
        bool is_finishing = false;
    };
    using JobPtr = std::shared_ptr<Job>;

    Impl(Parts p, Options o)
        : parts(std::move(p)),
          options(std::move(o)),
          strand(parts.runtime.make_strand()),
          timer(strand),
          serving({.all = options.serving_max, .of_one = options.serving_of_peer_max}) {}

    // Serving
    void attach();
    void serve(const PeerId& peer, p2p::Responder responder,
               std::function<std::optional<Bytes>()> read);
    void serve_manifest(const PeerId& peer, const Bytes& payload, p2p::Responder responder);
    void serve_chunk(const PeerId& peer, const Bytes& payload, p2p::Responder responder);

    // Fetching
    void fetch(const Hash& id, const runtime::Strand& on, OnFetched on_fetched);
    [[nodiscard]] bool make_room();
    void tick();
    void pump(const JobPtr& job);
    void ask(const JobPtr& job, const Ask& question);
    void on_have(const JobPtr& job, const PeerId& peer, const Answer& answer);
    void on_manifest(const JobPtr& job, const PeerId& peer, Answer answer);
    void on_checked_manifest(const JobPtr& job, const PeerId& peer,
                             std::optional<Manifest> manifest);
    void on_chunk(const JobPtr& job, const PeerId& peer, uint64_t index, Answer answer);
    void on_stored_chunk(const JobPtr& job, const PeerId& peer, uint64_t index,
                         const blobs::BlobResult<Done>& stored);
    void finish(const JobPtr& job);
    void end(const JobPtr& job, const Fetched& outcome);

    [[nodiscard]] uint64_t now_ms() const { return parts.runtime.clock().steady_ms(); }
    [[nodiscard]] bool is_current(const JobPtr& job) const {
        const auto found = jobs.find(job->id);
        return found != jobs.end() && found->second == job;
    }

    const Parts parts;
    const Options options;
    const runtime::Strand strand;
    runtime::Timer timer;
    Places<PeerId> serving;
    std::map<Hash, JobPtr> jobs;
    mutable std::mutex progress_mutex;
    std::vector<FetchProgress> progress;
};

void BlobService::Impl::attach() {
    const auto with_id = [me = weak_from_this()](auto member) {
        return [me, member](const PeerId& peer, Bytes payload, p2p::Responder responder) {
            if (const auto impl = me.lock())
                (impl.get()->*member)(peer, payload, std::move(responder));
        };
    };
    parts.network.on_request(
        Kind::have_blob, strand,
        [me = weak_from_this()](const PeerId&, Bytes payload, p2p::Responder responder) {
            const auto impl = me.lock();
            const auto request = p2p::decode_blob_request(payload);
            if (!impl || !request) return responder.refuse();
            responder.answer(p2p::encode_has_blob(impl->parts.store.has(request->id)));
        });
    parts.network.on_request(Kind::get_blob_manifest, strand, with_id(&Impl::serve_manifest));
    parts.network.on_request(Kind::get_blob_chunk, strand, with_id(&Impl::serve_chunk));
}

void BlobService::Impl::serve(const PeerId& peer, p2p::Responder responder,
                              std::function<std::optional<Bytes>()> read) {
    const auto place = serving.take(peer);
    if (!place) return responder.throttle();
    parts.runtime.offload(
        [me = shared_from_this(), place, responder = std::move(responder), read = std::move(read)] {
            const auto bytes = read();
            bytes ? responder.answer(*bytes) : responder.refuse();
        });
}

void BlobService::Impl::serve_manifest(const PeerId& peer, const Bytes& payload,
                                       p2p::Responder responder) {
    const auto request = p2p::decode_blob_request(payload);
    if (!request) return responder.refuse();
    serve(peer, std::move(responder), [this, id = request->id]() -> std::optional<Bytes> {
        const auto manifest = parts.store.manifest(id);
        if (!manifest) return std::nullopt;
        return p2p::encode_blob_manifest({(*manifest)->size_bytes, (*manifest)->leaves});
    });
}

void BlobService::Impl::serve_chunk(const PeerId& peer, const Bytes& payload,
                                    p2p::Responder responder) {
    const auto request = p2p::decode_blob_request(payload);
    if (!request) return responder.refuse();
    serve(peer, std::move(responder), [this, request = *request]() -> std::optional<Bytes> {
        auto chunk = parts.store.chunk(request.id, request.chunk);
        if (!chunk) return std::nullopt;
        return *std::move(chunk);
    });
}

void BlobService::Impl::fetch(const Hash& id, const runtime::Strand& on, OnFetched on_fetched) {
    if (parts.store.has(id)) return on.post([on_fetched] { on_fetched(Done{}); });
    auto found = jobs.find(id);
    if (found == jobs.end()) {
        if (jobs.size() >= options.fetches_max && !make_room()) {
            const FetchFailure failure{FetchError::busy, "too many blobs are being fetched"};
            return on.post([on_fetched, failure] { on_fetched(unexpected(failure)); });
        }
        found = jobs.emplace(id, std::make_shared<Job>(id, options.limits, now_ms())).first;
        parts.log.info("fetching blob", {{"id", id}});
    }
    const JobPtr job = found->second;
    job->waiting.emplace_back(on, std::move(on_fetched));
    pump(job);
    if (!timer.is_pending()) tick();
}

/// Anybody may ask for blobs that are nowhere: of the searches that have found nothing the oldest
/// ends for another. False: all have found what they look for.
bool BlobService::Impl::make_room() {
    JobPtr oldest;
    for (const auto& [id, job] : jobs)
        if (!job->writer && (!oldest || job->began_ms < oldest->began_ms)) oldest = job;
    if (!oldest) return false;
    end(oldest, unexpected(FetchFailure{FetchError::busy, "too many blobs are sought"}));
    return true;
}

void BlobService::Impl::tick() {
    for (const auto& [id, job] : std::map(jobs)) pump(job);
    std::vector<FetchProgress> now_at;  // without those that have just ended
    for (const auto& [id, job] : jobs)
        now_at.push_back({id, job->plan.chunks_done(), job->plan.chunks_total(),
                          runtime::Duration(now_ms() - job->began_ms)});
    {
        const std::lock_guard lock(progress_mutex);
        progress = std::move(now_at);
    }
    if (jobs.empty()) return;
    timer.start(kTick, [me = weak_from_this()] {
        if (const auto impl = me.lock()) impl->tick();
    });
}

void BlobService::Impl::pump(const JobPtr& job) {
    if (!is_current(job) || job->is_finishing) return;
    if (job->plan.is_complete() && job->writer) return finish(job);
    if (job->plan.has_stalled(now_ms())) {
        return end(job, unexpected(FetchFailure{
                            FetchError::no_source,
                            "no connected peer gave blob " + to_hex(job->id.bytes) + ", " +
                                std::to_string(job->plan.chunks_done()) + " chunks came"}));
    }
    for (const Ask& question : job->plan.next(parts.network.connected(), now_ms())) {
        ask(job, question);
    }
}

void BlobService::Impl::ask(const JobPtr& job, const Ask& question) {
    const p2p::BlobRequest request{job->id, static_cast<uint32_t>(question.chunk)};
    const Kind kind = question.what == Ask::What::have       ? Kind::have_blob
                      : question.what == Ask::What::manifest ? Kind::get_blob_manifest
                                                             : Kind::get_blob_chunk;
    parts.network.request(
        question.peer, kind, p2p::encode_blob_request(request), options.answer_timeout, strand,
        [me = weak_from_this(), job, question](Answer answer) {
            const auto impl = me.lock();
            if (!impl || !impl->is_current(job)) return;
            switch (question.what) {
                case Ask::What::have:
                    return impl->on_have(job, question.peer, answer);
                case Ask::What::manifest:
                    return impl->on_manifest(job, question.peer, std::move(answer));
                case Ask::What::chunk:
                    return impl->on_chunk(job, question.peer, question.chunk, std::move(answer));
            }
        });
}

void BlobService::Impl::on_have(const JobPtr& job, const PeerId& peer, const Answer& answer) {
    const auto has = answer ? p2p::decode_has_blob(*answer) : std::nullopt;
    if (answer && !has) parts.network.punish(peer, kWrongAnswerPoints, "malformed has_blob");
    job->plan.on_have(peer, has, now_ms());
    pump(job);
}

void BlobService::Impl::on_manifest(const JobPtr& job, const PeerId& peer, Answer answer) {
    if (!answer) {
        job->plan.on_manifest(peer, outcome_of(answer.error()), 0, now_ms());
        return pump(job);
    }
    auto checked = std::make_shared<std::optional<Manifest>>();
    parts.runtime.offload(
        [checked, id = job->id, bytes = *std::move(answer)] {
            auto decoded = p2p::decode_blob_manifest(bytes);
            if (!decoded) return;
            Manifest manifest{decoded->size_bytes, std::move(decoded->leaves)};
            if (blobs::verify_manifest(id, manifest)) *checked = std::move(manifest);
        },
        strand,
        [me = shared_from_this(), job, peer, checked] {
            if (me->is_current(job)) me->on_checked_manifest(job, peer, std::move(*checked));
        });
}

void BlobService::Impl::on_checked_manifest(const JobPtr& job, const PeerId& peer,
                                            std::optional<Manifest> manifest) {
    if (!manifest) {
        parts.network.punish(peer, kWrongAnswerPoints, "manifest does not give the blob's id");
        job->plan.on_manifest(peer, Outcome::wrong, 0, now_ms());
        return pump(job);
    }
    const uint64_t chunks = manifest->leaves.size();
    auto writer = parts.store.chunk_writer(job->id, *std::move(manifest));
    if (!writer) {
        return end(job, unexpected(FetchFailure{FetchError::store, writer.error().detail}));
    }
    job->writer = *std::move(writer);
    job->plan.on_manifest(peer, Outcome::good, chunks, now_ms());
    pump(job);
}

void BlobService::Impl::on_chunk(const JobPtr& job, const PeerId& peer, uint64_t index,
                                 Answer answer) {
    if (!answer) {
        job->plan.on_chunk(peer, index, outcome_of(answer.error()), now_ms());
        return pump(job);
    }
    auto stored = std::make_shared<std::optional<blobs::BlobResult<Done>>>();
    parts.runtime.offload([stored, index, writer = job->writer,
                           bytes = *std::move(answer)] { *stored = writer->put(index, bytes); },
                          strand,
                          [me = shared_from_this(), job, peer, index, stored] {
                              if (me->is_current(job))
                                  me->on_stored_chunk(job, peer, index, **stored);
                          });
}

void BlobService::Impl::on_stored_chunk(const JobPtr& job, const PeerId& peer, uint64_t index,
                                        const blobs::BlobResult<Done>& stored) {
    if (stored) {
        job->plan.on_chunk(peer, index, Outcome::good, now_ms());
    } else if (stored.error().error == blobs::BlobError::wrong_chunk) {
        parts.network.punish(peer, kWrongAnswerPoints, "wrong chunk of a blob");
        job->plan.on_chunk(peer, index, Outcome::wrong, now_ms());
    } else {
        return end(job, unexpected(FetchFailure{FetchError::store, stored.error().detail}));
    }
    pump(job);
}

void BlobService::Impl::finish(const JobPtr& job) {
    job->is_finishing = true;
    auto done = std::make_shared<std::optional<blobs::BlobResult<Done>>>();
    parts.runtime.offload(
        [done, writer = job->writer] { *done = writer->finish(); }, strand,
        [me = shared_from_this(), job, done] {
            if (**done) return me->end(job, Done{});
            me->end(job, unexpected(FetchFailure{FetchError::store, (**done).error().detail}));
        });
}

void BlobService::Impl::end(const JobPtr& job, const Fetched& outcome) {
    jobs.erase(job->id);
    job->writer.reset();
    if (outcome) {
        parts.log.info("blob fetched", {{"id", job->id}, {"chunks", job->plan.chunks_total()}});
    } else {
        parts.log.warn("blob not fetched", {{"id", job->id}, {"why", outcome.error().detail}});
    }
    for (const auto& [on, on_fetched] : job->waiting) {
        on.post([on_fetched = on_fetched, outcome] { on_fetched(outcome); });
    }
}

BlobService::BlobService(Parts parts, Options options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {
    impl_->attach();
}

BlobService::~BlobService() = default;

void BlobService::fetch(const Hash& id, const runtime::Strand& strand, OnFetched on_fetched) {
    impl_->strand.post([impl = impl_, id, strand, on_fetched = std::move(on_fetched)] {
        impl->fetch(id, strand, on_fetched);
    });
}

std::vector<FetchProgress> BlobService::progress() const {
    const std::lock_guard lock(impl_->progress_mutex);
    return impl_->progress;
}

}  // namespace trainyard::sync
