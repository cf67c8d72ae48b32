// SPDX-License-Identifier: Apache-2.0
// The actor around the sync plan.
#include "node/sync/block_sync.hpp"

#include <algorithm>
#include <mutex>

#include "core/block.hpp"
#include "node/runtime/pool_queue.hpp"

namespace trainyard::sync {

namespace {

using p2p::Answer;
using p2p::FinalisedBlock;
using p2p::Kind;
using p2p::PeerId;

constexpr runtime::Duration kTick{250};
constexpr runtime::Duration kBlockTimeout{3'000};
constexpr size_t kBlockAsksMax = 4;
constexpr size_t kServingMax = 16;  ///< questions of peers that wait; others are told to slow down
constexpr size_t kServingShares = 4;  ///< of which one peer has one
constexpr int kMalformedPoints = 34;
constexpr int kBadBlockPoints = 50;
// Leaves room in the message for lengths; a single block always fits its own kind and so this one.
constexpr size_t kAnswerBytesMax = 3'500'000;

}  // namespace

struct BlockSync::Impl : std::enable_shared_from_this<BlockSync::Impl> {
    using Serve = std::function<void()>;
    struct BlockFetch {
        Hash hash;
        std::vector<PeerId> peers;  // still to ask, last first
        runtime::Strand strand;
        std::function<void(std::optional<Bytes>)> on_block;
    };

    Impl(Parts p, Options o)
        : parts(std::move(p)),
          options(std::move(o)),
          strand(parts.runtime.make_strand()),
          timer(strand),
          served(parts.runtime, {kServingMax, kServingMax, 1, kServingShares},
                 [](const Serve& serve) { serve(); }),
          plan(options.limits, parts.target.status().finalised_height) {}

    void attach();
    void tick();
    void announce(std::optional<PeerId> to);
    void pump();
    void ask(const RangeAsk& question);
    void on_answer(const RangeAsk& question, const Answer& answer);
    void apply(Batch batch);
    void on_batch(const Batch& batch, const Result<Done, SyncTarget::Refusal>& outcome);
    void serve_blocks(const PeerId& peer, const Bytes& payload, p2p::Responder responder);
    void serve_block(const PeerId& peer, const Bytes& payload, p2p::Responder responder);
    void fetch_next(std::shared_ptr<BlockFetch> fetch);

    [[nodiscard]] uint64_t now_ms() const { return parts.runtime.clock().steady_ms(); }
    [[nodiscard]] Height own_height() const { return parts.target.status().finalised_height; }

    const Parts parts;
    const Options options;
    const runtime::Strand strand;
    runtime::Timer timer;
    /// Peers' questions do not keep blocks from being executed. What waits in it owns nothing.
    runtime::PoolQueue<Serve, PeerId> served;
    SyncPlan plan;
    bool is_asking = false;  ///< from the start until the target takes no more blocks
    p2p::Status announced;
    uint64_t announced_at_ms = 0;
    mutable std::mutex mutex;
    Progress progress;  // under the mutex
};

void BlockSync::Impl::attach() {
    const auto weak = weak_from_this();
    parts.network.on_peer(strand, [weak](const p2p::PeerEvent& event) {
        const auto me = weak.lock();
        if (!me) return;
        if (!event.is_up) return me->plan.on_peer_down(event.peer);
        me->announce(event.peer);
    });
    parts.network.on(Kind::status, strand, [weak](const PeerId& peer, Bytes payload) {
        const auto me = weak.lock();
        if (!me) return;
        const auto status = p2p::decode_status(payload);
        if (!status) return me->parts.network.punish(peer, kMalformedPoints, "malformed status");
        me->plan.on_status(peer, status->finalised_height);
        me->pump();
    });
    parts.network.on_request(Kind::get_blocks, strand,
                             [weak](const PeerId& peer, Bytes payload, p2p::Responder responder) {
                                 if (const auto me = weak.lock())
                                     me->serve_blocks(peer, payload, std::move(responder));
                             });
    parts.network.on_request(Kind::get_block, strand,
                             [weak](const PeerId& peer, Bytes payload, p2p::Responder responder) {
                                 if (const auto me = weak.lock())
                                     me->serve_block(peer, payload, std::move(responder));
                             });
}

void BlockSync::Impl::tick() {
    const p2p::Status status = parts.target.status();
    const auto every_ms = static_cast<uint64_t>(options.status_interval.count());
    if (status != announced && now_ms() - announced_at_ms >= every_ms) announce(std::nullopt);
    plan.on_own_height(status.finalised_height, now_ms());
    pump();
    timer.start(kTick, [me = weak_from_this()] {
        if (const auto impl = me.lock()) impl->tick();
    });
}

void BlockSync::Impl::announce(std::optional<PeerId> to) {
    const p2p::Status status = parts.target.status();
    if (to) return parts.network.send(*to, Kind::status, p2p::encode_status(status));
    announced = status;
    announced_at_ms = now_ms();
    parts.network.broadcast(Kind::status, p2p::encode_status(status));
}

void BlockSync::Impl::pump() {
    if (!is_asking) return;
    for (const RangeAsk& question : plan.next(now_ms())) ask(question);
    if (auto batch = plan.take_ready()) apply(*std::move(batch));
    const Height own = own_height(), shown = plan.best_shown();
    const std::lock_guard lock(mutex);
    progress = {own, shown, plan.is_catching_up() && shown > own};
}

void BlockSync::Impl::ask(const RangeAsk& question) {
    parts.network.request(
        question.peer, Kind::get_blocks, p2p::encode_get_blocks({question.from, question.count}),
        options.answer_timeout, strand, [weak = weak_from_this(), question](Answer answer) {
            if (const auto me = weak.lock()) me->on_answer(question, answer);
        });
}

void BlockSync::Impl::on_answer(const RangeAsk& question, const Answer& answer) {
    auto blocks = answer ? p2p::decode_blocks(*answer) : std::nullopt;
    if (answer && !blocks) {
        parts.network.punish(question.peer, kMalformedPoints, "malformed answer with blocks");
    }
    if (blocks) {
        plan.on_blocks(question, *std::move(blocks), now_ms());
    } else {
        plan.on_failed(question, now_ms());
    }
    pump();
}

void BlockSync::Impl::apply(Batch batch) {
    auto shared = std::make_shared<const Batch>(std::move(batch));
    auto outcome = std::make_shared<Result<Done, SyncTarget::Refusal>>(Done{});
    parts.runtime.offload(
        [this, shared, outcome] {
            for (const FinalisedBlock& block : shared->blocks) {
                *outcome = parts.target.apply_final(block);
                if (!*outcome) return;
            }
        },
        strand, [me = shared_from_this(), shared, outcome] { me->on_batch(*shared, *outcome); });
}

void BlockSync::Impl::on_batch(const Batch& batch,
                               const Result<Done, SyncTarget::Refusal>& outcome) {
    if (outcome) {
        plan.on_applied(batch, own_height(), now_ms());
        parts.log.info("blocks synced", {{"from", batch.from.value},
                                         {"count", batch.blocks.size()},
                                         {"peer", p2p::short_name(batch.peer)},
                                         {"best_known", plan.best_known().value}});
    } else {
        if (outcome.error().is_own)
            is_asking = false;
        else
            parts.network.punish(batch.peer, kBadBlockPoints, "bad block: " + outcome.error().why);
        plan.on_rejected(batch, own_height(), now_ms());
    }
    pump();
    if (outcome && options.on_progress) {
        const Height height = own_height();
        options.on_progress(height, height >= plan.best_known());
    }
}

void BlockSync::Impl::serve_blocks(const PeerId& peer, const Bytes& payload,
                                   p2p::Responder responder) {
    const auto request = p2p::decode_get_blocks(payload);
    if (!request) return responder.refuse();
    const auto serve = [weak = weak_from_this(), request = *request, responder] {
        const auto me = weak.lock();
        if (!me) return;
        std::vector<FinalisedBlock> blocks;
        size_t bytes = 0;
        for (uint32_t i = 0; i < request.count; ++i) {
            auto block = me->parts.target.final_block(request.from_height + i);
            if (!block) break;
            bytes += block->block.size() + block->certificate.size();
            if (!blocks.empty() && bytes > kAnswerBytesMax) break;
            blocks.push_back(*std::move(block));
        }
        responder.answer(p2p::encode_blocks(blocks));
    };
    if (!served.post(peer, serve, 1)) responder.throttle();
}

void BlockSync::Impl::serve_block(const PeerId& peer, const Bytes& payload,
                                  p2p::Responder responder) {
    const auto hash = p2p::decode_get_block(payload);
    if (!hash) return responder.refuse();
    const auto serve = [weak = weak_from_this(), hash = *hash, responder] {
        const auto me = weak.lock();
        if (!me) return;
        auto block = me->parts.target.block(hash);
        block ? responder.answer(*std::move(block)) : responder.refuse();
    };
    if (!served.post(peer, serve, 1)) responder.throttle();
}

void BlockSync::Impl::fetch_next(std::shared_ptr<BlockFetch> fetch) {
    if (fetch->peers.empty()) {
        return fetch->strand.post([fetch] { fetch->on_block(std::nullopt); });
    }
    const PeerId peer = fetch->peers.back();
    fetch->peers.pop_back();
    parts.network.request(
        peer, Kind::get_block, p2p::encode_get_block(fetch->hash), kBlockTimeout, strand,
        [weak = weak_from_this(), fetch, peer](Answer answer) {
            const auto me = weak.lock();
            if (!me) return;
            if (!answer) return me->fetch_next(fetch);
            const auto block = decode_block(*answer);
            if (!block || hash_header(block->header) != fetch->hash) {
                me->parts.network.punish(peer, kMalformedPoints, "another block than asked for");
                return me->fetch_next(fetch);
            }
            auto bytes = std::make_shared<Bytes>(*std::move(answer));
            fetch->strand.post([fetch, bytes] { fetch->on_block(std::move(*bytes)); });
        });
}

BlockSync::BlockSync(Parts parts, Options options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {
    impl_->attach();
}

BlockSync::~BlockSync() = default;

void BlockSync::start() {
    impl_->strand.post([me = impl_] {
        me->is_asking = true;
        me->tick();
    });
}

void BlockSync::catch_up(Height height) {
    impl_->strand.post([me = impl_, height] {
        me->plan.want(height);
        me->pump();
    });
}

BlockSync::Progress BlockSync::progress() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->progress;
}

void BlockSync::fetch_block(const Hash& hash, std::optional<PeerId> prefer,
                            const runtime::Strand& strand,
                            std::function<void(std::optional<Bytes>)> on_block) {
    auto fetch = std::make_shared<Impl::BlockFetch>(
        Impl::BlockFetch{hash, impl_->parts.network.connected(), strand, std::move(on_block)});
    auto& peers = fetch->peers;
    const auto preferred = prefer ? std::find(peers.begin(), peers.end(), *prefer) : peers.end();
    if (preferred != peers.end()) std::rotate(preferred, preferred + 1, peers.end());
    if (peers.size() > kBlockAsksMax) peers.erase(peers.begin(), peers.end() - kBlockAsksMax);
    impl_->strand.post([me = impl_, fetch] { me->fetch_next(fetch); });
}

}  // namespace trainyard::sync
