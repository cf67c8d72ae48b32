// SPDX-License-Identifier: Apache-2.0
// Training a job, committing what is trained, and leaving it.
#include "node/provider/worker.hpp"

#include <utility>

#include "node/provider/work.hpp"
#include "node/wallet/coins.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/step_name.hpp"
#include "training/engine.hpp"
#include "training/plan.hpp"

namespace trainyard::node::provider {
namespace {

Event note_of_wrong_products(Event step) {
    step.kind = Event::Kind::note;
    step.text = training::wrong_products_text(step.step);
    return step;
}

}  // namespace

using wallet::coins;
using wallet::in_coins;
using wallet::JobState;
using Nudge = wallet::MarketApi::Nudge;

ProviderWorker::ProviderWorker(wallet::MarketApi& market, ProviderOptions options)
    : market_(market),
      options_(std::move(options)),
      kept_(options_.folder + "/kept-blobs.csv"),
      dues_(options_.folder + "/bonds.csv") {}
ProviderWorker::~ProviderWorker() = default;

size_t ProviderWorker::remembered() const {
    const size_t in_hand =
        work_ ? work_->waiting.size() + work_->nudge_at.size() + work_->trials->size() : 0;
    return memory_.size() + waiting_.size() + offers_.size() + unfreed_.size() + dues_.size() +
           in_hand;
}

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
    const std::string trouble = head ? "" : head.error().text;
    if (trouble != trouble_)
        note(head ? "the node answers again" : "waits for the node: " + trouble);
    trouble_ = trouble;
    if (!head) return;
    head_ = *head;
    if (!holds_key()) return;
    if (work_)
        go_on();
    else
        find_work();
    release_blobs();
    collect_dues();
}

/// What is ours and nobody sends by itself.
void ProviderWorker::collect_dues() {
    for (const auto& line : lines_of(dues_.collect(market_, head_))) note(line);
    constexpr uint64_t kEveryBlocks = 16;
    if (head_ < freed_at_ + kEveryBlocks) return;
    freed_at_ = head_;
    for (const auto& [id, final_segments] : std::map(unfreed_)) {
        const auto job = market_.job(id);
        const bool is_due =
            job && (job->state == JobState::closed || job->final_segments >= final_segments);
        if (is_due && free_bond(id)) unfreed_.erase(id);
    }
}

void ProviderWorker::release_blobs() {
    constexpr uint64_t kEveryBlocks = 16;
    if (released_at_ != 0 && head_ < released_at_ + kEveryBlocks) return;
    released_at_ = head_;
    for (const uint64_t id : kept_.look_after(market_, options_.now_s(), options_.keep_s))
        if (!work_ || work_->id != id) conclude(id);
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
    work_->folder->mend();
    if (const auto plan = training::plan(material.program)) {
        work_->macs_per_step = plan->macs_per_step;
        work_->tokens_per_step = plan->tokens_per_step;
    }
    TrainerOptions trainer;
    trainer.program = std::move(material.program);
    trainer.data = std::move(material.data);
    trainer.run_seed = job.run_seed;
    trainer.attempt = job.attempt;
    trainer.folder = options_.folder + "/job-" + std::to_string(id);
    trainer.segments = spec.segments;
    trainer.steps_per_segment = spec.steps_per_segment;
    trainer.fault = options_.fault;
    trainer.make_backend = options_.make_backend;
    trainer.make_host_backend = options_.make_host_backend;
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
        if (step.wrong_products > 0) report(note_of_wrong_products(base));
    };
    trainer.on_note = [id, report = options_.on_event](std::string text) {
        if (!report) return;
        Event note;
        note.job = id;
        note.text = std::move(text);
        report(note);
    };
    work_->trainer = std::make_unique<Trainer>(std::move(trainer));
    work_->trials = std::make_unique<Trials>(market_, trials_options());
}

TrialsOptions ProviderWorker::trials_options() {
    TrialsOptions out;
    out.job = work_->id;
    out.defence = {work_->trainer->job(), options_.make_host_backend, options_.defence_background};
    out.on_event = [this](Event event) { emit(work_->complete(std::move(event))); };
    out.nudge = [this](Nudge what, uint32_t seg, bool at_once) { nudge(what, seg, at_once); };
    out.on_put_up = [this](uint32_t seg, uint32_t attempt) {
        dues_.note({work_->id, seg, attempt});
    };
    out.fetch_state = [this](uint32_t seg, const Hash& root) {
        return fetch_state(work_->id, seg, root, work_->program);
    };
    return out;
}

void ProviderWorker::go_on() {
    const auto job = market_.job(work_->id);
    if (!job) return;
    work_->counts->committed = job->tip;
    work_->trials->end_settled(*job);
    if (job->state == JobState::closed) return finish();
    const bool ours = job->provider == market_.self() && job->attempt == work_->attempt;
    if (!ours && !work_->is_left) {
        const bool voided = job->attempt != work_->attempt;
        leave(voided ? why_void(job->tip) : "the segment deadline was missed");
    }
    if (!work_->is_left && job->state == JobState::active) train_and_commit(*job);
    bool waits = false;  // a segment of ours is neither paid nor void
    for (uint32_t seg = job->final_segments; seg < job->tip; ++seg)
        waits = look_after(seg, *job) || waits;
    work_->forget_before(job->tip, job->final_segments);
    if (job->state == JobState::draining && job->final_segments == job->tip)
        nudge(Nudge::close, job->tip);
    if (!work_->is_left || waits) return;
    settle(work_->id);
    put_away();
}

/// A job that diverges here and nowhere else is not taken again.
std::string ProviderWorker::why_void(uint32_t seg) {
    const auto found = work_->trainer->divergence();
    if (!found || found->seg != seg) return "an audit voided segment " + std::to_string(seg);
    memory_[work_->id].is_given_back = true;
    (void)keep_refuted(folder_of(work_->id), work_->run_seed);  // this process knows it anyway
    return "auditors do not confirm that training diverges at " +
           wallet::step_name(found->step, work_->spec.steps_per_segment, seg) +
           ", as this machine claimed; test it with `trainyard verifier`";
}

void ProviderWorker::train_and_commit(const wallet::Job& job) {
    if (options_.now_s() > work_->spec.deadline_s) return nudge(Nudge::expire, job.tip);
    if (const auto failure = work_->trainer->failure(); !failure.empty()) return try_again(failure);
    const bool may_commit = head_ >= work_->commits_at;
    if (const auto found = work_->trainer->divergence(); found && found->seg == job.tip)
        return may_commit ? claim(*found) : void();
    work_->trainer->go_on(work_->next_segment(job.tip));
    if (auto record = work_->trainer->take(job.tip)) work_->waiting[job.tip] = std::move(*record);
    const auto waiting = work_->waiting.find(job.tip);
    if (may_commit && waiting != work_->waiting.end() && commit(job.tip, waiting->second))
        work_->waiting.erase(waiting);
}

/// The id of the blob that the node keeps. Once for a segment: it may have gigabytes.
wallet::Answer<Hash> ProviderWorker::keep_state(uint32_t seg, const Hash& root) {
    if (work_->kept && work_->kept->first == root) return work_->kept->second;
    const auto state = work_->folder->load_encoded_state(seg + 1);
    if (!state) return unexpected(state.error());
    auto blob = kept_.keep(market_, {work_->id, seg, wallet::BlobUse::state, {}, 0}, *state);
    if (blob) work_->kept.emplace(root, *blob);
    return blob;
}

/// Once a block, and told once.
bool ProviderWorker::commit_again_later(const std::string& failure) {
    work_->commits_at = head_ + 1;
    if (std::exchange(work_->commit_failure, failure) != failure) note(failure);
    return false;
}

bool ProviderWorker::commit(uint32_t seg, const training::SegmentRecord& record) {
    const auto claim = training::claim_of(record);
    const auto blob = keep_state(seg, claim.last_root);
    if (!blob) return commit_again_later("cannot store the state blob: " + blob.error().text);
    const uint32_t loss_bits = training::last_loss_bits(record);
    const auto sent = market_.commit(
        work_->id, {seg, claim.first_root, claim.last_root, claim.steps_root, loss_bits, *blob});
    if (!sent)
        return commit_again_later("cannot commit segment " + std::to_string(seg) + ": " +
                                  sent.error().text);
    work_->commit_failure.clear();
    work_->counts->committed = seg + 1;
    Event event = work_->event(Event::Kind::committed, seg);
    event.loss_bits = loss_bits;
    event.block = sent->block;
    event.tx = sent->tx;
    emit(std::move(event));
    return true;
}

/// There is no state after such a segment, so that the job ends with it.
void ProviderWorker::claim(const Divergence& found) {
    const auto sent =
        market_.commit_divergence(work_->id, {found.seg, found.first_root, found.step});
    if (!sent)
        return void(commit_again_later("cannot claim that training diverges in segment " +
                                       std::to_string(found.seg) + ": " + sent.error().text));
    work_->counts->committed = found.seg + 1;
    Event event = work_->event(Event::Kind::diverged, found.seg);
    event.step = found.step;
    event.steps = work_->spec.steps_per_segment;
    event.block = sent->block;
    event.tx = sent->tx;
    event.text = coins(work_->spec.price_wei * Uint256(event.step) / Uint256(event.steps));
    emit(std::move(event));
}

/// What stopped training may pass, as a full disk does; a provider that does not come back to its
/// job is fined once its deadline is over, one that gives it back pays half.
void ProviderWorker::try_again(const std::string& failure) {
    constexpr uint64_t kPatienceBlocks = 10;
    constexpr uint32_t kTriesMax = 3;
    if (work_->failed_at == 0) {
        work_->failed_at = head_;
        if (work_->tries < kTriesMax)
            note("training stopped: " + failure + "; trying again in " +
                 std::to_string(kPatienceBlocks) + " blocks");
    }
    if (work_->tries == kTriesMax) return give_back(failure);
    if (head_ < work_->failed_at + kPatienceBlocks) return;
    work_->failed_at = 0;
    ++work_->tries;
    work_->trainer->try_again();
}

void ProviderWorker::give_back(const std::string& why) {
    const auto sent = market_.release(work_->id);
    memory_[work_->id].is_given_back = true;
    leave("training cannot go on: " + why +
          (sent ? "; the job was given back, for half the fine of a missed deadline"
                : "; the job cannot be given back: " + sent.error().text));
}

/// No more training; what was committed is still served, and paid if it is right.
void ProviderWorker::leave(const std::string& why) {
    work_->is_left = true;
    work_->trainer->stop();
    Event event = work_->event(Event::Kind::voided, 0);
    event.text = why;
    emit(std::move(event));
}

void ProviderWorker::put_away() {
    work_->trials.reset();
    work_->trainer.reset();  // first, so that it leaves no log behind
    work_->folder->forget_logs();
    memory_[work_->id].is_settled = true;
    waiting_.erase(work_->id);
    work_.reset();
}

/// Of a job that is closed: takes home what it holds of ours, and forgets it with its states.
void ProviderWorker::conclude(uint64_t id) {
    if (wallet::file_exists(folder_of(id))) {
        if (!memory_[id].is_settled) settle(id);
        forget_states(folder_of(id));
    }
    memory_.erase(id);
    waiting_.erase(id);
    offers_.drop(id);
}

/// True once the job holds no bond of ours. It may still cover segments of others before ours.
bool ProviderWorker::free_bond(uint64_t id) {
    constexpr uint32_t kCallsMax = 16;
    const auto job = market_.job(id);
    if (!job) return false;
    for (uint32_t calls = 0;; ++calls) {
        const auto bond = market_.bond_of(id, market_.self());
        if (!bond) return false;
        if (bond->is_zero()) return true;
        const bool is_useless = calls > job->attempt;  // each looks past one void
        if (is_useless || calls == kCallsMax) return false;
        if (!market_.nudge(Nudge::free_bond, id, 0)) return false;
    }
}

/// Takes home what a job still holds of ours when our part of it is over.
void ProviderWorker::settle(uint64_t id) {
    if (!free_bond(id)) {
        const auto job = market_.job(id);
        unfreed_[id] = job ? job->tip : 0;
    }
    const auto credit = market_.credit(market_.self());
    if (!credit || credit->is_zero()) return;
    const auto sent = market_.withdraw();
    const bool is_in_hand = work_ && work_->id == id;
    Event event = is_in_hand ? work_->event(Event::Kind::paid, 0) : Event{};
    event.kind = sent ? Event::Kind::paid : Event::Kind::failed;
    event.job = id;
    event.text = sent ? to_decimal(*credit) : "cannot withdraw: " + sent.error().text;
    if (sent) event.block = sent->block, event.tx = sent->tx;
    emit(std::move(event));
}

void ProviderWorker::finish() {
    settle(work_->id);
    if (!work_->is_left) {
        ++jobs_finished_;
        emit(work_->event(Event::Kind::finished, 0));
    }
    const uint64_t id = work_->id;
    put_away();
    conclude(id);
    released_at_ = 0;  // what nobody asks for any more goes now
}

}  // namespace trainyard::node::provider
