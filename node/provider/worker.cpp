// SPDX-License-Identifier: Apache-2.0
// Finding work, training it, committing what is trained.
#include "node/provider/worker.hpp"

#include "node/provider/work.hpp"
#include "training/plan.hpp"

namespace trainyard::node::provider {

using wallet::JobState;

std::string_view to_text(Event::Kind kind) {
    constexpr std::string_view names[] = {"note",      "skipped", "taken",    "step",
                                          "committed", "served",  "opened",   "accepted",
                                          "paid",      "voided",  "finished", "failed"};
    return names[static_cast<size_t>(kind)];
}

ProviderWorker::ProviderWorker(wallet::MarketApi& market, ProviderOptions options)
    : market_(market), options_(std::move(options)) {}
ProviderWorker::~ProviderWorker() = default;

void ProviderWorker::emit(Event event) const {
    if (options_.on_event) options_.on_event(event);
}

void ProviderWorker::note(std::string text) const {
    Event event;
    event.text = std::move(text);
    emit(std::move(event));
}

void ProviderWorker::tick() {
    const auto head = market_.block_number();
    if (!head) return;
    head_ = *head;
    if (work_)
        go_on();
    else
        find_work();
}

/// First what is ours already, then what is open, oldest first.
void ProviderWorker::find_work() {
    const auto count = market_.job_count();
    if (!count) return;
    for (uint64_t id = 0; id < *count && !work_; ++id) {
        if (done_.contains(id)) continue;
        const auto job = market_.job(id);
        if (!job) return;
        if (job->state == JobState::closed) {
            done_[id] = true;
        } else if (job->state != JobState::open && job->provider == market_.self()) {
            if (!resume(id, *job)) return;
        }
    }
    for (uint64_t id = 0; id < *count && !work_; ++id)
        if (!done_.contains(id)) consider(id);
}

bool ProviderWorker::resume(uint64_t id, const wallet::Job& job) {
    const auto spec = market_.spec(id);
    if (!spec) return false;
    auto material = fetch_material(market_, *spec, options_.rules);
    if (!material) {
        note("job " + std::to_string(id) + " is ours but cannot go on yet: " + material.error());
        return false;
    }
    note("going on with job " + std::to_string(id) + " from segment " + std::to_string(job.tip));
    begin(id, job, *spec, std::move(*material));
    return true;
}

void ProviderWorker::consider(uint64_t id) {
    const auto job = market_.job(id);
    if (!job || job->state != JobState::open) return;
    const auto spec = market_.spec(id);
    if (!spec) return;
    std::string reason = why_not(*spec, options_.rules, market_.self(), options_.now_s());
    if (reason.empty()) {
        auto material = fetch_material(market_, *spec, options_.rules);
        reason = material ? take(id, *spec) : material.error();
        if (reason.empty()) {
            const auto taken = market_.job(id);
            if (taken) begin(id, *taken, *spec, std::move(*material));
            return;
        }
    }
    if (skipped_[id] == reason) return;
    skipped_[id] = reason;
    Event event;
    event.kind = Event::Kind::skipped;
    event.job = id;
    event.text = std::move(reason);
    emit(std::move(event));
}

std::string ProviderWorker::ensure_stake(const Uint256& bond_wei) {
    const auto record = market_.provider(market_.self());
    if (!record) return record.error().text;
    const auto missing = checked_sub(bond_wei, record->free_wei).value_or(Uint256{});
    if (record->registered && missing.is_zero()) return "";
    Uint256 amount = missing;
    if (!record->registered) {
        const auto least = market_.stake_minimum();
        if (!least) return least.error().text;
        amount = std::max(missing, *least);
    }
    if (record->stake_wei + amount > options_.stake_wei_max)
        return "its bond of " + to_decimal(bond_wei) + " wei needs more stake than --stake allows";
    const auto sent = record->registered ? market_.add_stake(amount)
                                         : market_.register_provider(options_.name, "", amount);
    if (!sent) return "cannot stake: " + sent.error().text;
    note("staked " + to_decimal(amount) + " wei as a provider");
    return "";
}

std::string ProviderWorker::take(uint64_t id, const wallet::JobSpec& spec) {
    const auto bond = market_.bond(id);
    if (!bond) return bond.error().text;
    if (auto reason = ensure_stake(*bond); !reason.empty()) return reason;
    const auto taken = market_.take(id);
    if (!taken) return "it cannot be taken: " + taken.error().text;
    Event event;
    event.kind = Event::Kind::taken;
    event.job = id;
    event.segments = spec.segments;
    event.block = taken->block;
    event.tx = taken->tx;
    event.text = "bond " + to_decimal(*bond) + " wei";
    emit(std::move(event));
    return "";
}

void ProviderWorker::begin(uint64_t id, const wallet::Job& job, const wallet::JobSpec& spec,
                           JobMaterial material) {
    work_ = std::make_unique<Work>();
    work_->id = id;
    work_->spec = spec;
    work_->run_seed = job.run_seed;
    work_->attempt = job.attempt;
    work_->accepted = job.final_segments;
    work_->program = material.program;
    work_->folder =
        std::make_unique<JobFolder>(options_.folder + "/job-" + std::to_string(id), work_->program);
    if (const auto plan = training::plan(material.program)) {
        work_->macs_per_step = plan->macs_per_step;
        work_->tokens_per_step = plan->tokens_per_step;
    }
    TrainerOptions trainer;
    trainer.program = std::move(material.program);
    trainer.data = std::move(material.data);
    trainer.run_seed = job.run_seed;
    trainer.folder = options_.folder + "/job-" + std::to_string(id);
    trainer.segments = spec.segments;
    trainer.steps_per_segment = spec.steps_per_segment;
    trainer.fault = options_.fault;
    trainer.make_backend = options_.make_backend;
    trainer.background = options_.background;
    Event base;
    base.kind = Event::Kind::step;
    base.job = id;
    base.steps = spec.segments * spec.steps_per_segment;
    base.segments = spec.segments;
    base.macs_per_step = work_->macs_per_step;
    base.tokens_per_step = work_->tokens_per_step;
    trainer.on_step = [counts = work_->counts, base,
                       report = options_.on_event](const StepNote& step) mutable {
        if (!report) return;
        base.step = step.step;
        base.loss_bits = step.loss_bits;
        base.committed = counts->committed;
        base.accepted = counts->accepted;
        report(base);
    };
    work_->trainer = std::make_unique<Trainer>(std::move(trainer));
}

void ProviderWorker::go_on() {
    const auto job = market_.job(work_->id);
    if (!job) return;
    work_->counts->committed = job->tip;
    if (job->state == JobState::closed) return finish();
    const bool ours = job->provider == market_.self() && job->attempt == work_->attempt;
    if (!ours) {
        const bool voided = job->attempt != work_->attempt;
        return leave(voided ? "an audit voided segment " + std::to_string(job->tip)
                            : "the segment deadline was missed");
    }
    if (job->state == JobState::active) train_and_commit(*job);
    for (uint32_t seg = job->final_segments; seg < job->tip && work_; ++seg) look_after(seg, *job);
    if (!work_) return;
    work_->folder->forget_before(job->final_segments);
    if (job->state == JobState::draining && job->final_segments == job->tip)
        nudge(wallet::MarketApi::Nudge::close, 0);
}

void ProviderWorker::train_and_commit(const wallet::Job& job) {
    const auto failure = work_->trainer->failure();
    if (!failure.empty()) {
        done_[work_->id] = true;
        return leave("training cannot go on: " + failure);
    }
    work_->trainer->go_on(work_->next_segment(job.tip));
    if (auto record = work_->trainer->take(job.tip)) work_->waiting[job.tip] = std::move(*record);
    const auto waiting = work_->waiting.find(job.tip);
    if (waiting != work_->waiting.end() && commit(job.tip, waiting->second))
        work_->waiting.erase(waiting);
}

bool ProviderWorker::commit(uint32_t seg, const training::SegmentRecord& record) {
    const auto claim = training::claim_of(record);
    const auto state = work_->folder->load_encoded_state(seg + 1);
    if (!state) return note(state.error().text), false;
    const auto blob = market_.put_blob(*state);
    if (!blob) return note("cannot store the state blob: " + blob.error().text), false;
    const uint32_t loss_bits = training::last_loss_bits(record);
    const auto sent = market_.commit(
        work_->id, {seg, claim.first_root, claim.last_root, claim.steps_root, loss_bits, *blob});
    if (!sent)
        return note("cannot commit segment " + std::to_string(seg) + ": " + sent.error().text),
               false;
    work_->counts->committed = seg + 1;
    Event event = work_->event(Event::Kind::committed, seg);
    event.loss_bits = loss_bits;
    event.block = sent->block;
    event.tx = sent->tx;
    emit(std::move(event));
    return true;
}

void ProviderWorker::leave(const std::string& why) {
    Event event = work_->event(Event::Kind::voided, 0);
    event.text = why;
    put_away();
    emit(std::move(event));
}

void ProviderWorker::put_away() {
    work_->trainer.reset();  // first, so that it leaves no log behind
    work_->folder->forget_logs();
    work_.reset();
}

void ProviderWorker::finish() {
    done_[work_->id] = true;
    // The bond is free after `close`; an error only means that it was freed with it.
    (void)market_.nudge(wallet::MarketApi::Nudge::free_bond, work_->id, 0);
    const auto credit = market_.credit(market_.self());
    if (credit && !credit->is_zero()) {
        const auto sent = market_.withdraw();
        Event event = work_->event(sent ? Event::Kind::paid : Event::Kind::failed, 0);
        event.text = sent ? to_decimal(*credit) : "cannot withdraw: " + sent.error().text;
        if (sent) event.block = sent->block, event.tx = sent->tx;
        emit(std::move(event));
    }
    Event event = work_->event(Event::Kind::finished, 0);
    ++jobs_finished_;
    put_away();
    emit(std::move(event));
}

}  // namespace trainyard::node::provider
