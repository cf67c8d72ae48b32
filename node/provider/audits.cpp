// SPDX-License-Identifier: Apache-2.0
// The provider's duties after a commitment: bundles, openings, and calls that move a segment on.
#include "node/provider/gradient_file.hpp"
#include "node/provider/work.hpp"

#include "training/draws.hpp"

namespace trainyard::node::provider {
namespace {

using wallet::Phase;
using wallet::SegmentState;
using Nudge = wallet::MarketApi::Nudge;

wallet::UnitOpening to_wire(const training::UnitOpening& o) {
    wallet::UnitOpening out;
    out.t = o.t;
    out.j = o.j;
    out.unit_loss_bits = o.unit.loss_bits;
    out.unit_grad_root = o.unit.grad_root;
    out.unit_path = o.unit_path;
    out.grad_root = o.tuple.grad_root;
    out.norm_bits = o.tuple.norm_bits;
    out.loss_bits = o.tuple.loss_bits;
    out.nonfinite = o.tuple.nonfinite;
    out.step_path = o.step_path;
    return out;
}

}  // namespace

/// Does what is due for a segment, and for another's what moves it on, since ours are paid after
/// it. False if it is not ours.
bool ProviderWorker::look_after(uint32_t seg, const wallet::Job& job) {
    const auto segment = market_.segment(work_->id, seg);
    if (!segment) return true;
    const bool ours = segment->provider == market_.self();
    if (ours && work_->trials->look_after(seg, *segment, head_)) return true;
    if (segment->state == SegmentState::committed) {
        if (seg == job.final_segments) note_wait(seg);
        nudge(Nudge::open_audit, seg);
    } else if (segment->state == SegmentState::accepted) {
        if (ours) note_accepted(seg);
        if (seg == job.final_segments) nudge(Nudge::finalize, seg);
    } else if (head_ > segment->phase_deadline) {
        nudge(segment->state == SegmentState::disputed ? Nudge::timeout : Nudge::advance, seg);
    } else if (ours && segment->state == SegmentState::l0) {
        const auto phase = market_.phase(work_->id, seg);
        if (phase && *phase == Phase::serve) serve(seg, *segment);
        if (phase && *phase == Phase::open) open(seg);
    }
    return ours;
}

/// Said once of a segment that holds up pay, if nothing but auditors' time does.
void ProviderWorker::note_wait(uint32_t seg) {
    if (seg < work_->waits_told) return;
    const auto blocks = market_.audit_wait(work_->id, seg);
    if (!blocks || *blocks == 0) return;
    work_->waits_told = seg + 1;
    note("segment " + std::to_string(seg) + " waits for auditors: about " +
         std::to_string(*blocks) + " blocks");
}

void ProviderWorker::note_accepted(uint32_t seg) {
    work_->folder->forget_log(seg);
    if (seg < work_->accepted) return;
    work_->accepted = seg + 1;
    work_->counts->accepted = seg + 1;
    emit(work_->event(Event::Kind::accepted, seg));
}

/// Gradients that are not there or damaged come from training the segment again.
Result<std::vector<Bytes>, std::string> ProviderWorker::make_bundles(
    uint32_t seg, const std::vector<training::AuditDraws>& draws) {
    auto record = work_->folder->load_record(seg);
    if (!record) return unexpected(record.error());
    auto first = state_before(*work_->trainer->job(), seg);
    if (!first) return unexpected(first.error());
    const training::SegmentLog log{
        std::move(*record), std::move(*first),
        std::make_shared<GradientReader>(work_->folder->log_path(seg),
                                         training::parameter_shapes(work_->program)),
        options_.fault};
    const auto backend = options_.make_backend();
    for (bool is_rebuilt = false;; is_rebuilt = true) {
        auto bundles = training::make_bundles(work_->program, *backend, log, draws);
        if (bundles) return std::move(*bundles);
        if (bundles.error() != training::EngineError::bad_log || is_rebuilt)
            return unexpected(std::string(training::to_text(bundles.error())));
        note("the log of segment " + std::to_string(seg) + " is gone; it is trained again");
        if (auto done = work_->trainer->rebuild(seg); !done) return unexpected(done.error());
    }
}

void ProviderWorker::serve(uint32_t seg, const wallet::Segment& segment) {
    const auto auditors = market_.auditors(work_->id, seg);
    const auto limits = market_.audit_limits();
    if (!auditors || !limits) return;
    std::vector<training::AuditDraws> draws;
    for (const auto& auditor : *auditors) {
        const auto units = market_.units_of(work_->id, seg, auditor);
        const auto seed = market_.tile_seed(work_->id, seg, auditor);
        if (!units || !seed) return;
        auto& own = draws.emplace_back();
        for (const auto& unit : *units) own.units.push_back({unit.t, unit.j});
        own.tiles = training::tile_draws(work_->program, *seed, limits->tiles);
    }
    const auto bundles = make_bundles(seg, draws);
    if (!bundles)
        return note("segment " + std::to_string(seg) + " cannot be served: " + bundles.error());
    std::vector<wallet::BundleEntry> entries;
    for (size_t k = 0; k < bundles->size(); ++k) {
        const auto blob =
            kept_.keep(market_, {work_->id, seg, wallet::BlobUse::bundle, {}, 0}, (*bundles)[k]);
        if (!blob) return note("cannot store a bundle: " + blob.error().text);
        entries.push_back({(*auditors)[k], *blob});
    }
    const auto index = kept_.keep(market_, {work_->id, seg, wallet::BlobUse::bundle, {}, 0},
                                  wallet::encode_bundle_index(entries));
    if (!index) return note("cannot store a bundle index: " + index.error().text);
    const auto sent = market_.serve(work_->id, seg, *index);
    if (!sent)
        return note("cannot serve segment " + std::to_string(seg) + ": " + sent.error().text);
    Event event = work_->event(Event::Kind::served, seg);
    event.block = sent->block;
    event.tx = sent->tx;
    event.text = "round " + std::to_string(segment.round);
    emit(std::move(event));
}

void ProviderWorker::open(uint32_t seg) {
    const auto units = market_.units_to_open(work_->id, seg);
    if (!units) return;
    const auto record = work_->folder->load_record(seg);
    if (!record) return note("no record of segment " + std::to_string(seg) + ": " + record.error());
    std::vector<wallet::UnitOpening> openings;
    for (const auto& unit : *units) {
        const bool inside = unit.t >= record->first_step &&
                            unit.t - record->first_step < record->steps() &&
                            unit.j < work_->program.run.micro_batches;
        if (!inside) return note("the chain asks for a unit outside the segment");
        openings.push_back(to_wire(training::open_unit(*record, unit.t, unit.j)));
    }
    const auto sent = market_.open(work_->id, seg, openings);
    if (!sent) return note("cannot open segment " + std::to_string(seg) + ": " + sent.error().text);
    Event event = work_->event(Event::Kind::opened, seg);
    event.block = sent->block;
    event.tx = sent->tx;
    emit(std::move(event));
}

/// Validators do these too; the provider is the one who waits for them, so it lends a hand after a
/// few blocks.
void ProviderWorker::nudge(Nudge what, uint32_t seg, bool at_once) {
    constexpr uint64_t kNudgeBlocks = 6;  // before a call that others may make, too
    const uint64_t wait_blocks = at_once ? 0 : kNudgeBlocks;
    const auto due = work_->nudge_at.try_emplace({seg, what}, head_ + wait_blocks).first;
    if (head_ < due->second) return;
    due->second = head_ + kNudgeBlocks;
    const auto possible = market_.can_nudge(what, work_->id, seg);
    if (possible && *possible) (void)market_.nudge(what, work_->id, seg);
}

}  // namespace trainyard::node::provider
