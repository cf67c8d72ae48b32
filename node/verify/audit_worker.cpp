// SPDX-License-Identifier: Apache-2.0
// One pass over the open jobs: which audits name us, which phases are due.
#include "node/verify/audit_worker.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "node/verify/audit_queue.hpp"
#include "node/verify/case_builder.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::verify {
namespace {

using wallet::MarketApi;
using wallet::Phase;
using wallet::SegmentState;

constexpr uint64_t kTurnBlocks = 4;  ///< for so many blocks one rank has the right to nudge
/// So close to a deadline an absent blob counts as not served. That takes 20 s of looking for it,
/// 80 blocks of the fastest chains.
constexpr uint64_t kGiveUpBlocks = 96;
constexpr uint64_t kSendBlocks = 2;  ///< until a commitment that is sent stands in a block

constexpr uint64_t kNever = UINT64_MAX;
constexpr uint64_t kRetryBlocks = 2;       ///< what is due and not done is tried again
constexpr uint64_t kExpireBlocks = 64;     ///< the same, for the end of a job
constexpr uint64_t kPatienceBlocks = 256;  ///< whatever is expected: an event may have been missed
constexpr uint64_t kEventBlocksMax = 128;  ///< farther behind, all jobs are looked at
constexpr size_t kSegmentsMax = 128;       ///< looked at in one tick, but for those of the last job

}  // namespace

/// What the judging task and the worker both touch.
struct AuditWorker::Shared {
    explicit Shared(const std::string& folder) : kept(folder + "/kept-blobs.csv") {}
    wallet::KeptBlobs kept;
    std::mutex mutex;        ///< guards what follows
    std::set<Seat> judging;  ///< waiting for it, too
    AuditQueue audits, replays;
    std::map<Seat, std::string> in_the_way;  ///< what was last said of it
    uint64_t head = 0;
    AuditCounters counters;

    /// What is judged now, and since which block.
    std::pair<AuditQueue::Batch, uint64_t> take(AuditQueue& queue) {
        const std::lock_guard lock(mutex);
        auto batch = queue.take(head);
        for (const Seat& seat : batch.late) judging.erase(seat);
        counters.late += batch.late.size();
        return {std::move(batch), head};
    }
    /// Whether what is in the way is news.
    bool judged(const Seat& seat, const CaseResult& result) {
        const std::lock_guard lock(mutex);
        const bool is_forgotten = judging.erase(seat) == 0;
        if (result)
            in_the_way.erase(seat);
        else if (!is_forgotten &&
                 std::exchange(in_the_way[seat], result.error().text) == result.error().text)
            return false;
        ++(result ? counters.answered : counters.errors);
        if (result && result->answer.verdict == wallet::Verdict::mismatch) ++counters.mismatches;
        return true;
    }
    void forget_before(uint64_t job, uint32_t seg) {
        const std::lock_guard lock(mutex);
        judging.erase(judging.lower_bound({job}), judging.lower_bound({job, seg}));
        in_the_way.erase(in_the_way.lower_bound({job}), in_the_way.lower_bound({job, seg}));
    }
};

struct AuditWorker::View {
    uint64_t id = 0;
    wallet::Job job;
    Memory& memory;
};

AuditWorker::AuditWorker(MarketApi& market, Verifier& verifier, Verifier& replayer, Verifier& mover,
                         AuditWorkerOptions options)
    : market_(market),
      verifier_(verifier),
      replayer_(replayer),
      options_(std::move(options)),
      book_(options_.folder),
      dues_(options_.folder + "/bonds.csv"),
      disputes_(market, mover, dues_,
                {options_.dispute_bond_wei_max, options_.memory_bytes_max, options_.move_background,
                 options_.say}),
      shared_(std::make_shared<Shared>(options_.folder)) {
    for (const Seat& seat : book_.seats()) memory_[seat.job].seen.insert(seat);
}

AuditWorker::~AuditWorker() = default;

AuditCounters AuditWorker::counters() const {
    const std::lock_guard lock(shared_->mutex);
    AuditCounters out = shared_->counters;
    out.waiting = shared_->audits.size() + shared_->replays.size();
    const DisputeCounters disputes = disputes_.counters();
    out.disputes = disputes.opened;
    out.dispute_moves = disputes.moves;
    return out;
}

size_t AuditWorker::remembered() const {
    size_t out = memory_.size() + disputes_.remembered() + dues_.size();
    for (const auto& [id, memory] : memory_) out += memory.seen.size() + memory.nudged_at.size();
    const std::lock_guard lock(shared_->mutex);
    return out + shared_->in_the_way.size() + shared_->audits.remembered() +
           shared_->replays.remembered();
}

void AuditWorker::say(const std::string& text) const {
    if (options_.say) options_.say(text);
}

void AuditWorker::tick() {
    const auto head = market_.block_number();
    if (!head) return;
    head_ = *head;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->head = head_;
    }
    if (!learn_limits() || !notice_changes()) return;
    segments_left_ = kSegmentsMax;
    for (const uint64_t id : agenda_.take(head_, {}))
        if (segments_left_ > 0)
            look_at_job(id);
        else
            agenda_.look_at(id, head_);
    judge_waiting();
    disputes_.free_memory();
    release_blobs();
    for (const auto& line : lines_of(dues_.collect(market_, head_))) say(line);
}

void AuditWorker::release_blobs() {
    constexpr uint64_t kEveryBlocks = 16;
    if (head_ < released_at_ + kEveryBlocks) return;
    released_at_ = head_;
    (void)shared_->kept.look_after(market_, options_.now_s(), wallet::kKeepModel_s);
}

/// What the chain promises of us. False if the node does not answer.
bool AuditWorker::learn_limits() {
    if (limits_) return true;
    const auto limits = market_.audit_limits();
    if (!limits) return false;
    limits_ = *limits;
    const uint64_t due = limits_->memory_bytes_max, ours = options_.memory_bytes_max;
    if (ours != 0 && ours < due)
        say("this chain counts on " + std::to_string(due >> 20) +
            " MiB for an audit, and verifier.memory-mb is " + std::to_string(ours >> 20) +
            ": audits of larger jobs will stay unanswered, which is fined");
    return true;
}

/// New jobs, and those that events name since the last look; all where that cannot be told. False
/// if the node does not answer.
bool AuditWorker::notice_changes() {
    const auto count = market_.job_count();
    if (!count) return false;
    if (head_ > events_read_to_ + kEventBlocksMax) {
        jobs_known_ = 0;
    } else if (head_ > events_read_to_) {
        const auto changed = market_.changed_jobs(events_read_to_ + 1, head_);
        if (!changed) jobs_known_ = 0;  // there may be more events than a node tells at once
        for (const uint64_t id : changed.value_or(std::vector<uint64_t>{}))
            if (id < *count) agenda_.look_at(id, head_);
    }
    for (; jobs_known_ < *count; ++jobs_known_) agenda_.look_at(jobs_known_, head_);
    events_read_to_ = head_;
    return true;
}

void AuditWorker::look_at_job(uint64_t id) {
    const auto job = market_.job(id);
    if (!job) return agenda_.look_at(id, head_ + 1);
    Memory& memory = memory_[id];
    const bool is_closed = job->state == wallet::JobState::closed;
    const uint32_t over = is_closed ? UINT32_MAX : job->final_segments;
    forget_before(memory, over);
    shared_->forget_before(id, over);
    disputes_.keep_only(id, over, job->tip);
    if (is_closed) return forget_closed(id);
    if (!memory.spec) {
        auto spec = market_.spec(id);
        if (!spec) return agenda_.look_at(id, head_ + 1);
        memory.spec = std::move(*spec);
    }
    const uint64_t next = look_at_view({id, *job, memory});
    if (next == kNever)
        agenda_.rest(id);
    else
        agenda_.look_at(id, std::min(next, head_ + kPatienceBlocks));
}

void AuditWorker::forget_closed(uint64_t id) {
    memory_.erase(id);
    const std::lock_guard lock(shared_->mutex);
    shared_->audits.forget(id);
    shared_->replays.forget(id);
}

/// The block from which on something may be due; kNever: an event will tell.
uint64_t AuditWorker::look_at_view(const View& view) {
    const wallet::Job& job = view.job;
    uint64_t next = kNever;
    for (uint32_t seg = job.final_segments; seg < job.tip; ++seg)
        next = std::min(next, look_at_segment(view, seg));
    if (job.state == wallet::JobState::active) {
        if (head_ > job.segment_deadline) nudge(Nudge::evict, view, job.tip);
        next = std::min(next, std::max(job.segment_deadline + 1, head_ + kRetryBlocks));
    }
    if (job.state == wallet::JobState::draining && job.final_segments == job.tip) {
        nudge(Nudge::close, view, job.tip);
        next = std::min(next, head_ + kRetryBlocks);
    }
    const bool waits = job.state == wallet::JobState::open || job.state == wallet::JobState::active;
    if (waits) nudge(Nudge::expire, view, job.tip);
    return next;
}

uint64_t AuditWorker::look_at_segment(const View& view, uint32_t seg) {
    segments_left_ -= std::min<size_t>(segments_left_, 1);
    const auto segment = market_.segment(view.id, seg);
    if (!segment) return head_ + 1;
    if (segment->state != SegmentState::disputed)
        disputes_.on_elsewhere({view.id, seg, segment->attempt});
    switch (segment->state) {
        case SegmentState::committed:
            nudge(Nudge::open_audit, view, seg);
            return head_ + kRetryBlocks;
        case SegmentState::l0:
        case SegmentState::l1: {
            const bool is_busy = take_part(view, seg, *segment);
            const uint64_t next = end_phase(Nudge::advance, view, seg, *segment);
            return is_busy ? std::min(next, head_ + 1) : next;
        }
        case SegmentState::convicted:
            return end_phase(Nudge::advance, view, seg, *segment);
        case SegmentState::appealed: {
            const bool is_busy = disputes_.on_appealed(case_of(view, seg, *segment), head_);
            const uint64_t next = end_phase(Nudge::advance, view, seg, *segment);
            return is_busy ? head_ + 1 : next;
        }
        case SegmentState::disputed: {
            const DisputeLook look = disputes_.on_disputed(case_of(view, seg, *segment));
            const Caller caller = look.wins_by_the_clock ? Caller::winner : Caller::anyone;
            const uint64_t next = end_phase(Nudge::timeout, view, seg, *segment, caller);
            return look.is_busy ? head_ + 1 : next;
        }
        case SegmentState::accepted:
            if (seg != view.job.final_segments) return kNever;
            nudge(Nudge::finalize, view, seg);
            return std::max(segment->phase_deadline, head_ + kRetryBlocks);
        default:
            return kNever;
    }
}

/// Moves on what waits for nobody but its deadline; the block to look again.
uint64_t AuditWorker::end_phase(Nudge what, const View& view, uint32_t seg,
                                const wallet::Segment& segment, Caller caller) {
    if (head_ <= segment.phase_deadline) return segment.phase_deadline + 1;
    nudge(what, view, seg, caller);
    return head_ + kRetryBlocks;
}

CaseRequest AuditWorker::case_of(const View& view, uint32_t seg,
                                 const wallet::Segment& segment) const {
    const Seat seat{view.id, seg, segment.attempt, segment.state, segment.round};
    CaseRequest out{*view.memory.spec, view.job.run_seed, seat, segment, market_.self()};
    out.limits = *limits_;
    out.blob_bytes_max = options_.blob_bytes_max;
    out.map_blob = options_.map_blob;
    out.waits = false;
    return out;
}

/// True while we have something to do in this phase, or do not know.
bool AuditWorker::take_part(const View& view, uint32_t seg, const wallet::Segment& segment) {
    const auto phase = market_.phase(view.id, seg);
    if (!phase) return true;
    if (*phase != Phase::commit && *phase != Phase::reveal) return false;
    const auto auditors = market_.auditors(view.id, seg);
    if (!auditors) return true;
    if (std::find(auditors->begin(), auditors->end(), market_.self()) == auditors->end())
        return false;
    const Seat seat{view.id, seg, segment.attempt, segment.state, segment.round};
    if (view.memory.seen.insert(seat).second) {
        const std::lock_guard lock(shared_->mutex);
        ++shared_->counters.drawn;
    }
    const auto mine = market_.answer_of(view.id, seg, market_.self());
    if (!mine || head_ > segment.phase_deadline) return true;
    const bool must_commit = *phase == Phase::commit && mine->commitment.is_zero();
    const bool must_reveal = *phase == Phase::reveal && !mine->commitment.is_zero() &&
                             mine->verdict == wallet::Verdict::none;
    if (must_commit) start_judging(view, seat, segment);
    if (must_reveal) reveal(view, seat);
    return must_commit || must_reveal;
}

/// What was kept of segments that are final, of which nothing is asked any more.
void AuditWorker::forget_before(Memory& memory, uint32_t seg) {
    while (!memory.seen.empty() && memory.seen.begin()->seg < seg) {
        book_.forget(*memory.seen.begin());
        memory.seen.erase(memory.seen.begin());
    }
    memory.nudged_at.erase(memory.nudged_at.begin(),
                           memory.nudged_at.lower_bound({seg, Nudge::open_audit}));
}

/// Answers in the book are committed again after a restart; a new one is worked out elsewhere and
/// committed on a later pass.
void AuditWorker::start_judging(const View& view, const Seat& seat,
                                const wallet::Segment& segment) {
    if (const auto answer = book_.find(seat)) {
        const Hash commitment = wallet::answer_commitment(
            {Uint256(seat.job), seat.seg, seat.attempt, seat.level, seat.round, market_.self(),
             answer->verdict, answer->answers, answer->salt});
        const auto sent = market_.commit_answer(seat.job, seat.seg, commitment);
        say(sent ? "committed an answer for " + seat.text()
                 : "cannot commit an answer for " + seat.text() + ": " + sent.error().text);
        return;
    }
    {
        const std::lock_guard lock(shared_->mutex);
        if (!shared_->judging.insert(seat).second) return;
    }
    CaseRequest request = case_of(view, seat.seg, segment);
    request.give_up_at = segment.phase_deadline - std::min(kGiveUpBlocks, segment.phase_deadline);
    waiting_.push_back(std::move(request));
}

namespace {

/// The next segment begins with it, whoever trains that one; what to say of it.
std::string publish_state(MarketApi& market, wallet::KeptBlobs& kept, const Seat& seat,
                          BytesView state) {
    const auto sent = kept.keep(market, {seat.job, seat.seg, wallet::BlobUse::state, {}, 0}, state);
    return "; the state of its end was not to be had and " +
           (sent ? "is published now" : "cannot be published: " + sent.error().text);
}

bool is_replay(const CaseRequest& request) {
    return request.seat.level == SegmentState::l1;
}

/// Keeps the answer, if there is one; what to say of it.
std::string keep_answer(AnswerBook& book, const Seat& seat, CaseResult& result) {
    if (!result) return "cannot judge " + seat.text() + " yet: " + result.error().text;
    result->answer.salt = wallet::random_fixed<Hash>();
    if (auto kept = book.keep(seat, result->answer); !kept)
        return "cannot keep an answer: " + kept.error().text;
    const bool matches = result->answer.verdict == wallet::Verdict::match;
    return (matches ? "match: " : "MISMATCH: ") + seat.text() + ": " + result->finding;
}

}  // namespace

/// Each case that this pass found is a turn of its thread; which case a turn is for is decided when
/// it comes.
void AuditWorker::judge_waiting() {
    const std::vector<CaseRequest> found = std::exchange(waiting_, {});
    {
        const std::lock_guard lock(shared_->mutex);
        for (const CaseRequest& request : found) {
            const uint64_t deadline = request.segment.phase_deadline;
            AuditQueue& queue = is_replay(request) ? shared_->replays : shared_->audits;
            queue.add(request, deadline - std::min(kSendBlocks, deadline));
        }
    }
    for (const CaseRequest& request : found)
        (is_replay(request) ? options_.replay_background
                            : options_.background)(judging(is_replay(request)));
}

/// One turn: the cases that are judged now, if any.
std::function<void()> AuditWorker::judging(bool replays) {
    return [shared = shared_, &market = market_, &verifier = replays ? replayer_ : verifier_,
            &queue = replays ? shared_->replays : shared_->audits, book = book_,
            say = options_.say]() mutable {
        const auto taken = shared->take(queue);
        const AuditQueue::Batch& batch = taken.first;
        if (say)
            for (const Seat& seat : batch.late) say("too late to judge " + seat.text());
        size_t tried = 0;
        judge_cases(market, verifier, batch.cases, [&](size_t i, CaseResult result) {
            if (result || result.error().was_tried) ++tried;
            const Seat& seat = batch.cases[i].seat;
            std::string text = keep_answer(book, seat, result);
            if (result && !result->unserved.empty())
                text += publish_state(market, shared->kept, seat, result->unserved);
            if (shared->judged(seat, result) && say) say(text);
        });
        if (batch.cases.empty()) return;
        const std::lock_guard lock(shared->mutex);
        queue.learn(batch.cases.front().seat.job, tried, shared->head - taken.second);
    };
}

void AuditWorker::reveal(const View& view, const Seat& seat) {
    const auto answer = book_.find(seat);
    if (!answer) return say("the answer for " + seat.text() + " is lost; it cannot be revealed");
    const auto sent = market_.reveal_answer(view.id, seat.seg, *answer);
    if (!sent) return say("cannot reveal " + seat.text() + ": " + sent.error().text);
    book_.forget(seat);
    const std::lock_guard lock(shared_->mutex);
    ++shared_->counters.revealed;
}

/// The right to send moves from rank to rank, so that not everyone pays for the same call and a
/// silent one delays it by a few blocks only.
bool AuditWorker::my_turn(uint64_t id, uint32_t seg) const {
    return (head_ / kTurnBlocks + id + seg) % std::max<size_t>(options_.ranks, 1) == options_.rank;
}

void AuditWorker::nudge(Nudge what, const View& view, uint32_t seg, Caller caller) {
    if (caller == Caller::anyone && !my_turn(view.id, seg)) return;
    // Nobody waits for the end of a job that nobody works on.
    const uint64_t pause = what == Nudge::expire ? kExpireBlocks : kRetryBlocks;
    const auto [last, is_first] = view.memory.nudged_at.try_emplace({seg, what}, head_);
    if (!is_first && head_ < last->second + pause) return;
    last->second = head_;
    const auto possible = market_.can_nudge(what, view.id, seg);
    if (!possible || !*possible) return;
    const auto sent = market_.nudge(what, view.id, seg);
    if (!sent) return;
    const std::lock_guard lock(shared_->mutex);
    ++shared_->counters.nudges;
}

}  // namespace trainyard::node::verify
