// SPDX-License-Identifier: Apache-2.0
// The shell around the vote machine.
#include "node/bft/bft_node.hpp"

#include <deque>
#include <map>
#include <mutex>

#include "consensus/bft/evidence.hpp"
#include "consensus/rules/block.hpp"
#include "node/bft/journal.hpp"
#include "node/bft/wire.hpp"
#include "node/runtime/pool_queue.hpp"

namespace trainyard::node::bft {
namespace cb = consensus::bft;
namespace {

constexpr size_t kServedMax = 64;  ///< old blocks that wait to be read for peers
constexpr size_t kSeenMax = 1024;  ///< blocks whose time to finality is being taken

/// The machine's checks: real signatures, and the chain's cheap half of validity.
class NodeChecks final : public cb::RealChecks {
public:
    NodeChecks(const chain::Chain& chain, const runtime::Clock& clock,
               std::function<bool(const Header&)> may_vote)
        : chain_(chain), clock_(clock), may_vote_(std::move(may_vote)) {}
    [[nodiscard]] bool may_vote_for(const Header& header) const override {
        return !may_vote_ || may_vote_(header);
    }
    [[nodiscard]] bool is_timely(const Header& parent, const Header& header) const override {
        return consensus::is_timely(header, parent, clock_.wall_ms() / 1000);
    }
    [[nodiscard]] bool is_body_of(const Header& header, BytesView body) const override {
        return chain_.is_body_of(header, body);
    }
    [[nodiscard]] bool is_plausible(const Header& parent, const Header& header) const override {
        return chain_.is_plausible(parent, header);
    }

private:
    const chain::Chain& chain_;
    const runtime::Clock& clock_;
    const std::function<bool(const Header&)> may_vote_;
};

cb::Verdict machine_verdict(chain::Verdict verdict) {
    switch (verdict) {
        case chain::Verdict::valid:
            return cb::Verdict::valid;
        case chain::Verdict::invalid:
            return cb::Verdict::invalid;
        case chain::Verdict::unavailable:
            return cb::Verdict::unavailable;
    }
    return cb::Verdict::unavailable;
}

}  // namespace

struct BftNode::Impl : std::enable_shared_from_this<BftNode::Impl> {
    Impl(Parts p, Options o)
        : parts(std::move(p)),
          options(std::move(o)),
          strand(parts.runtime.make_strand()),
          checks(parts.chain, parts.runtime.clock(), options.allows),
          journal(parts.votes),
          served(parts.runtime, {kServedMax, kServedMax, 1},
                 [this](const cb::ServeBlock& e) { serve(e); }),
          clock(parts.runtime.clock()) {}

    Parts parts;
    Options options;
    runtime::Strand strand;
    NodeChecks checks;
    Journal journal;
    /// Old blocks take long to read: not on the strand.
    runtime::PoolQueue<cb::ServeBlock, p2p::PeerId> served;
    const runtime::Clock& clock;
    std::unique_ptr<cb::Bft> machine;
    std::map<cb::TimerId, runtime::Timer> timers;
    std::deque<cb::Input> inputs;
    bool busy = false;

    mutable std::mutex mutex;  // guards what other threads read
    cb::Standing standing;
    cb::Waiting waiting;
    BftCounters counters;
    std::string halted;
    std::map<Hash, uint64_t> seen_us;  ///< when execution began; strand only

    // --- inputs

    /// What comes while no machine runs, before the start or after a halt, is of no use: peers say
    /// it again. Kept, it would be as much as they like.
    void give(cb::Input input) {
        if (machine == nullptr || is_halted()) return count([](BftCounters& c) { ++c.dropped; });
        inputs.push_back(std::move(input));
        drain();
    }

    void drain() {
        if (busy) return;
        busy = true;
        while (!inputs.empty() && !is_halted()) {
            const cb::Input next = std::move(inputs.front());
            inputs.pop_front();
            for (const cb::Effect& effect : machine->step(next)) {
                std::visit([this](const auto& e) { carry_out(e); }, effect);
                if (is_halted()) break;
            }
        }
        busy = false;
        const std::lock_guard lock(mutex);
        standing = machine->standing();
        waiting = machine->waiting();
        counters.waiting = inputs.size();
    }

    void count(const std::function<void(BftCounters&)>& change) {
        const std::lock_guard lock(mutex);
        change(counters);
    }

    void post(cb::Input input) {
        strand.post([self = shared_from_this(), in = std::move(input)]() mutable {
            self->give(std::move(in));
        });
    }

    void on_bytes(p2p::Kind kind, const p2p::PeerId& peer, const Bytes& payload) {
        auto message = cb::decode_message(payload);
        if (!message || !may_carry(kind, *message)) {
            const auto why = message ? "message under a wrong kind" : cb::to_text(message.error());
            parts.network.punish(peer, 25, why);
            return;
        }
        if (options.on_heard) options.on_heard(peer, *message);
        give(cb::Received{peer, std::move(*message)});
    }

    void on_peer(const p2p::PeerEvent& event) {
        if (event.is_up) give(cb::PeerConnected{event.peer});
    }

    double seconds_since(uint64_t then_us) const {
        return static_cast<double>(clock.steady_us() - then_us) / 1e6;
    }

    bool is_halted() const {
        const std::lock_guard lock(mutex);
        return !halted.empty();
    }

    void halt(const std::string& why) {
        {
            const std::lock_guard lock(mutex);
            if (!halted.empty()) return;
            halted = why;
        }
        parts.log.error("the node stands still", {{"why", why}});
        if (options.on_halt) options.on_halt(why);
    }

    // --- effects

    void carry_out(const cb::Persist& e) {
        const uint64_t before_us = clock.steady_us();
        const bool kept = journal.append(e.epoch, e.view, e.record, e.sync).has_value();
        const double took_s = seconds_since(before_us);
        if (e.sync) count([&](BftCounters& c) { c.fsync.add(took_s); });
        if (!kept)
            halt("the vote journal cannot be written: check the disk, then start the node again");
    }
    void carry_out(const cb::Forget& e) {
        if (!journal.forget(e.epoch, e.below)) parts.log.warn("old votes could not be deleted");
    }
    void carry_out(const cb::Send& e) {
        parts.network.send(e.to, kind_of(e.message), cb::encode_message(e.message));
    }
    void carry_out(const cb::Broadcast& e) {
        const auto bytes = cb::encode_message(e.message);
        const auto kind = kind_of(e.message);
        if (!e.followers_only && e.first == cb::Peer{}) return parts.network.broadcast(kind, bytes);
        const auto set = parts.chain.sets().of_epoch(machine->standing().epoch);
        if (e.first != cb::Peer{}) parts.network.send(e.first, kind, bytes);
        for (const auto& peer : parts.network.connected()) {
            const bool is_meant = !e.followers_only || !set->find_p2p_key(peer);
            if (is_meant && peer != e.first) parts.network.send(peer, kind, bytes);
        }
    }
    void carry_out(const cb::SetTimer& e) {
        const auto standing_now = machine->standing();
        // The last epoch's timers stay: one of them may pace the first view of this one.
        const auto is_dead = [&](const cb::TimerId& id) {
            if (id.epoch != standing_now.epoch) return id.epoch + 1 < standing_now.epoch;
            return standing_now.view.value > 2 && id.view < standing_now.view - 2;
        };
        std::erase_if(timers, [&](const auto& entry) { return is_dead(entry.first); });
        auto [it, is_new] = timers.try_emplace(e.id, strand);
        it->second.start(runtime::Duration(e.after_ms),
                         [self = shared_from_this(), id = e.id] { self->give(cb::Timeout{id}); });
    }
    void carry_out(const cb::Build& e) {
        count([](BftCounters& c) { ++c.proposed; });
        chain::BuildRequest request{
            .parent = e.parent,
            .parent_hash = e.parent_hash,
            .extra_data = e.extra_data,
            .prev_randao = e.prev_randao,
            .beneficiary = options.beneficiary,
            .now_s = clock.wall_ms() / 1000,
        };
        parts.runtime.offload(
            [self = shared_from_this(), request, at = std::pair(e.epoch, e.view)]() mutable {
                auto& p = self->parts;
                // The others have so long to execute it, and do so no faster than it is built.
                const uint64_t end_us =
                    self->clock.steady_us() + self->options.params.execute_ms * 1000;
                request.is_time_up = [&clock = self->clock, end_us] {
                    return clock.steady_us() > end_us;
                };
                const auto source = p.pool.best(request.parent_hash);
                self->post(cb::BuiltBlock{at.first, at.second, request.parent_hash,
                                          p.chain.build(request, source)});
            });
    }
    void carry_out(const cb::Execute& e) {
        if (!checks.may_vote_for(e.block->header)) return;
        if (seen_us.size() >= kSeenMax) seen_us.clear();
        seen_us.emplace(e.block->hash, clock.steady_us());
        parts.runtime.offload([self = shared_from_this(), block = e.block] {
            const uint64_t before_us = self->clock.steady_us();
            const auto verdict = machine_verdict(self->parts.chain.execute(*block));
            const double took_s = self->seconds_since(before_us);
            self->count([&](BftCounters& c) { c.execution.add(took_s); });
            if (verdict == cb::Verdict::invalid)
                self->parts.log.warn("refused a block",
                                     {{"height", block->header.number}, {"hash", block->hash}});
            self->post(cb::BlockVerdict{block->hash, verdict});
        });
    }
    void carry_out(const cb::Certified& e) {
        count([](BftCounters& c) { ++c.certified; });
        parts.chain.certify(e.block->hash);
    }
    void carry_out(const cb::Finalized& e) {
        if (!checks.may_vote_for(e.block->header)) return;
        const auto seen = seen_us.find(e.block->hash);
        count([&](BftCounters& c) {
            ++c.finalised;
            if (seen != seen_us.end()) c.finality.add(seconds_since(seen->second));
        });
        if (seen != seen_us.end()) seen_us.erase(seen);
        const auto done = parts.chain.finalise(e.block->hash, *e.certificate);
        if (!done) halt(done.error().what);
    }
    void carry_out(const cb::ServeBlock& e) {
        const bool is_taken = served.post(e.to, e, 1);
        if (!is_taken) count([](BftCounters& c) { ++c.dropped; });
    }
    void serve(const cb::ServeBlock& e) {
        const auto block = parts.chain.final_block(e.hash);
        if (block == nullptr) return;
        const cb::Message message = cb::BlockMessage{block};
        parts.network.send(e.to, kind_of(message), cb::encode_message(message));
    }
    void carry_out(const cb::ServeBoundary& e) {
        const auto certificate = parts.chain.boundary_certificate(e.epoch);
        if (certificate != nullptr) carry_out(cb::Send{e.to, cb::Cert{certificate}});
    }
    void carry_out(const cb::Behind& e) {
        parts.log.info("behind the others, catching up", {{"to", e.block->header.number}});
        if (options.on_behind) options.on_behind(e);
    }
    void carry_out(const cb::Misbehaved& e) { parts.network.punish(e.peer, 25, e.why); }
    void carry_out(const cb::GaveUp& e) {
        count([&](BftCounters& c) { ++c.gave_up[static_cast<size_t>(e.cause)]; });
    }
    void carry_out(const cb::Evidence& e) {
        count([](BftCounters& c) { ++c.offences; });
        const auto set = parts.chain.sets().of_epoch(e.first.epoch);
        const auto& who = set->at(e.first.signer);
        parts.log.warn("a validator broke a voting rule",
                       {{"validator", who.address}, {"view", e.first.view.value}});
        if (options.on_evidence)
            options.on_evidence(who.address, cb::encode_evidence(e.first, e.second));
    }
    void carry_out(const cb::Diverged& e) { halt(chain::diverged_words(e.block->hash)); }
};

BftNode::BftNode(Parts parts, Options options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {}
BftNode::~BftNode() = default;

void BftNode::attach() {
    for (const p2p::Kind kind : kBftKinds) {
        impl_->parts.network.on(kind, impl_->strand,
                                [impl = impl_, kind](const p2p::PeerId& peer, Bytes payload) {
                                    impl->on_bytes(kind, peer, payload);
                                });
    }
    impl_->parts.network.on_peer(
        impl_->strand, [impl = impl_](const p2p::PeerEvent& event) { impl->on_peer(event); });
}

void BftNode::start() {
    impl_->strand.post([impl = impl_] {
        cb::Recovered recovered{impl->parts.chain.final_point(), impl->journal.load()};
        impl->machine =
            std::make_unique<cb::Bft>(impl->options.params, impl->parts.chain.sets(),
                                      std::move(recovered), impl->options.signer, impl->checks);
        impl->inputs.push_front(cb::Start{});
        impl->drain();
    });
}

void BftNode::ask_signer_again() {
    impl_->strand.post([impl = impl_] {
        if (impl->machine == nullptr) return;
        const auto at = impl->machine->standing();
        impl->give(cb::Timeout{{cb::TimerKind::retry, at.epoch, at.view}});
    });
}

void BftNode::synced() {
    impl_->post(cb::Synced{impl_->parts.chain.final_point()});
}

cb::Standing BftNode::standing() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->standing;
}

BftNode::Picture BftNode::picture() const {
    const std::lock_guard lock(impl_->mutex);
    return {impl_->standing, impl_->waiting};
}

BftCounters BftNode::counters() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->counters;
}

void BftNode::halt(const std::string& why) {
    impl_->halt(why);
}

std::string BftNode::halted() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->halted;
}

}  // namespace trainyard::node::bft
