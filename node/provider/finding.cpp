// SPDX-License-Identifier: Apache-2.0
// Finding work: what is ours, what was ours and is not over, what is open.
#include <algorithm>

#include "node/provider/work.hpp"
#include "node/wallet/coins.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::provider {

using wallet::in_coins;
using wallet::JobState;

namespace {
constexpr uint64_t kPatienceBlocks = 8;  // before a job is looked at again
constexpr size_t kLooksMax = 32;         // in one tick

/// What was sent may count, or not.
bool is_without_answer(wallet::WalletErrorCode code) {
    using Code = wallet::WalletErrorCode;
    return code == Code::unreachable || code == Code::timeout || code == Code::malformed;
}
}  // namespace

std::string ProviderWorker::folder_of(uint64_t id) const {
    return options_.folder + "/job-" + std::to_string(id);
}

/// First what is ours already, then what is open: new jobs at once, others in rotation, of one turn
/// the oldest first.
void ProviderWorker::find_work() {
    if (undecided_ && !decide(*undecided_)) return;
    const auto count = market_.job_count();
    if (!count || work_) return;
    for (uint64_t id = looked_back_to_; id < *count; ++id) offers_.look_at(id, head_);
    if (!look_back_at_all(*count) || work_ || !has_funds()) return;
    auto turn = offers_.take(head_, {kLooksMax, kLooksMax});
    std::sort(turn.begin(), turn.end());
    for (const uint64_t id : turn) {
        offers_.rest(id);
        if (!work_ && !undecided_) consider(id);
    }
}

/// Whether the least that a first job takes is on the account: asked once in some blocks, told once
/// for each amount that is there.
bool ProviderWorker::has_funds() {
    if (looked_at_funds_ != 0 && head_ < looked_at_funds_ + kPatienceBlocks) return !poor_with_;
    const auto least = missing_stake({});
    const auto funds = read_funds(market_, least.value_or(Uint256{}));
    if (!funds) return false;
    looked_at_funds_ = head_;
    const bool was_poor = poor_with_.has_value();
    if (is_enough(*funds)) {
        if (was_poor) note(to_hex0x(funds->who.bytes) + " has enough now");
        poor_with_.reset();
        return true;
    }
    if (poor_with_ != funds->has_wei) {
        Event event;
        event.kind = Event::Kind::unfunded;
        event.text = what_to_send(*funds) + "; until then no job is taken";
        emit(std::move(event));
    }
    poor_with_ = funds->has_wei;
    return false;
}

/// Empty if the account can stake so much more and pay for gas.
std::string ProviderWorker::why_unfunded(const Uint256& stake_wei) {
    const auto funds = read_funds(market_, stake_wei);
    return !funds || is_enough(*funds) ? "" : what_to_send(*funds);
}

std::string ProviderWorker::what_to_send(const Funds& funds) {
    return to_text(funds) + "; send " + missing_coins(funds) + " more to that address" +
           how_to_fund(funds);
}

std::string ProviderWorker::how_to_fund(const Funds& funds) {
    if (!options_.how_to_fund || options_.rich == funds.who) return "";
    const auto has = market_.balance(options_.rich);
    if (!has || has->is_zero()) return "";
    return " (" + options_.how_to_fund(to_hex0x(funds.who.bytes), missing_coins(funds)) + ")";
}

/// At every job once, some at a time, and at those that wait for the audits of our segments. False:
/// that is not done yet.
bool ProviderWorker::look_back_at_all(uint64_t count) {
    for (size_t looks = 0; looked_back_to_ < count && !work_; ++looks, ++looked_back_to_)
        if (looks == kLooksMax || !look_back(looked_back_to_)) return false;
    for (const uint64_t id : std::set(waiting_))
        if (!work_ && !look_back(id)) return false;
    return true;
}

/// Goes on with a job that is ours, or was and has segments of ours under audit. False: that cannot
/// be done yet.
bool ProviderWorker::look_back(uint64_t id) {
    const auto job = market_.job(id);
    if (!job) return false;
    if (job->state == JobState::closed) return conclude(id), true;
    if (job->state != JobState::open && job->provider == market_.self()) return resume(id, *job);
    Memory& memory = memory_[id];
    if (memory.is_settled || !wallet::file_exists(folder_of(id))) return true;
    if (waits_for(id, *job)) {
        waiting_.insert(id);
        if (head_ >= memory.look_again_at) (void)resume(id, *job);
        return true;
    }
    settle(id);
    memory.is_settled = true;
    waiting_.erase(id);
    return true;
}

/// Whether a segment of ours is neither paid nor void.
bool ProviderWorker::waits_for(uint64_t id, const wallet::Job& job) {
    for (uint32_t seg = job.final_segments; seg < job.tip; ++seg) {
        const auto segment = market_.segment(id, seg);
        if (!segment || segment->provider == market_.self()) return true;
    }
    return false;
}

bool ProviderWorker::resume(uint64_t id, const wallet::Job& job) {
    const auto spec = market_.spec(id);
    if (!spec) return false;
    const bool is_left = job.provider != market_.self();
    auto material = fetch_material(market_, *spec, options_.rules);
    std::string reason = material ? "" : material.error();
    if (reason.empty() && !is_left && job.state == JobState::active)
        reason = fetch_state(id, job.tip, job.tip_root, material->program);
    if (!reason.empty()) {
        memory_[id].look_again_at = head_ + kPatienceBlocks;
        skip(id, "it is ours but cannot go on yet: " + reason);
        return false;
    }
    if (!is_left) {
        note("going on with job " + std::to_string(id) + " from segment " +
             std::to_string(job.tip));
        if (!kept_.has_material(id)) publish(id, job, *material);
    }
    begin(id, job, *spec, std::move(*material));
    work_->is_left = is_left;
    return true;
}

/// Brings the state before a segment into the job's folder: another provider's, or one of ours that
/// is not there any more. Empty, or why it cannot be had.
std::string ProviderWorker::fetch_state(uint64_t id, uint32_t seg, const Hash& root,
                                        const training::Program& program) {
    if (seg == 0) return "";
    JobFolder folder(folder_of(id), program);
    if (const auto own = folder.load_encoded_state(seg);
        own && training::decode_state(program, *own, root))
        return "";
    const auto last = market_.segment(id, seg - 1);
    if (!last) return last.error().text;
    const auto content = market_.get_blob(last->state_blob, kStateBytesMax);
    if (!content) return "the state it begins with is not to be had: " + content.error().text;
    if (const auto state = training::decode_state(program, *content, root); !state)
        return "the state it begins with is another than it names: " +
               std::string(training::to_text(state.error()));
    // Auditors of the first segment begin with it, and the one before need not keep it for ever.
    const auto served = kept_.keep(market_, {id, seg - 1, wallet::BlobUse::state, {}, 0}, *content);
    if (!served) return served.error().text;
    const auto kept = folder.keep_state(seg, *content);
    return kept ? "" : kept.error().text;
}

/// Whether auditors did not confirm a divergence that was claimed here: while a process ran, or
/// while none did, which the chain tells until somebody commits that segment.
bool ProviderWorker::was_refuted(uint64_t id, const wallet::Job& job) {
    const std::string folder = folder_of(id);
    if (!wallet::file_exists(folder)) return false;
    if (is_refuted(folder, job.run_seed)) return true;
    const auto last = market_.segment(id, job.tip);
    const bool is_ours = last && last->provider == market_.self() && last->diverges_at != 0;
    if (!is_ours || last->attempt + 1 != job.attempt) return false;
    (void)keep_refuted(folder, job.run_seed);  // found on the chain again otherwise
    return true;
}

/// Of a job that may be ours: whether it is known by now. No other is taken before, of which there
/// would be two, and a fine for one of them.
bool ProviderWorker::decide(uint64_t id) {
    const auto job = market_.job(id);
    if (!job || head_ < memory_[id].look_again_at) return false;
    const bool is_ours = job->state != JobState::open && job->provider == market_.self();
    if (is_ours && !resume(id, *job)) return false;
    undecided_.reset();
    if (!is_ours) consider(id);  // what is still on its way is not sent twice
    return !undecided_;
}

void ProviderWorker::consider(uint64_t id) {
    Memory& memory = memory_[id];
    if (head_ < memory.look_again_at) return;
    const auto job = market_.job(id);
    if (!job) return;
    if (job->state == JobState::closed) return conclude(id);
    memory.look_again_at = head_ + kPatienceBlocks;
    if (job->state != JobState::open || memory.is_given_back) return;
    if (was_refuted(id, *job))
        return skip(id,
                    "auditors did not confirm that its training diverges, as this machine "
                    "claimed before");
    const auto spec = market_.spec(id);
    if (!spec) return;
    std::string reason = why_not(*spec, options_.rules, market_.self(), options_.now_s());
    if (reason.empty()) reason = try_to_take(id, *job, *spec);
    if (!reason.empty()) skip(id, std::move(reason));
}

/// Tells why a job is not worked on, once for each reason.
void ProviderWorker::skip(uint64_t id, std::string reason) {
    std::string& told = memory_[id].skipped;
    if (told == reason) return;
    told = reason;
    Event event;
    event.kind = Event::Kind::skipped;
    event.job = id;
    event.text = std::move(reason);
    emit(std::move(event));
}

/// What costs little is asked first. Empty if the job is ours now, or went to another meanwhile.
std::string ProviderWorker::try_to_take(uint64_t id, const wallet::Job& job,
                                        const wallet::JobSpec& spec) {
    if (auto reason = why_unfit(id, spec); !reason.empty()) return reason;
    const auto bond = market_.bond(id);
    if (!bond) return bond.error().text;
    const auto missing = missing_stake(*bond);
    if (!missing) return missing.error();
    if (auto reason = why_unfunded(*missing); !reason.empty()) return reason;
    auto material = fetch_material(market_, spec, options_.rules);
    if (!material) return material.error();
    if (auto reason = fetch_state(id, job.tip, job.tip_root, material->program); !reason.empty())
        return reason;
    if (auto reason = add_stake(*missing); !reason.empty()) return reason;
    const auto sent = market_.take(id);
    if (!sent) return why_not_taken(id, sent.error());
    note_taken(id, spec, *bond, *sent);
    publish(id, job, *material);
    const auto taken = market_.job(id);
    if (taken) begin(id, *taken, spec, std::move(*material));
    return "";
}

/// Auditors ask for all of it, its absence costs the bond, and what the node has only fetched may
/// have to make room.
void ProviderWorker::publish(uint64_t id, const wallet::Job& job, const JobMaterial& material) {
    const wallet::KeptBlob entry{id, 0, wallet::BlobUse::material, {}, 0};
    auto stored = kept_.keep(market_, entry, training::encode_program(material.program));
    if (stored) stored = kept_.keep(market_, entry, material.data);
    if (stored && job.tip > 0) {
        const JobFolder folder(folder_of(id), material.program);
        if (const auto state = folder.load_encoded_state(job.tip))
            stored = kept_.keep(market_, {id, job.tip - 1, wallet::BlobUse::state, {}, 0}, *state);
    }
    if (!stored) note("cannot keep what the job starts from: " + stored.error().text);
}

/// What the program asks of this machine: found once for a job, compared with the room and the time
/// that there are now.
std::string ProviderWorker::why_unfit(uint64_t id, const wallet::JobSpec& spec) {
    auto& demand = memory_[id].demand;
    if (!demand) {
        const auto program = fetch_program(market_, spec, options_.rules);
        if (!program) return program.error();
        demand = demand_of(*program, options_.rules);
    }
    const auto block_s = market_.block_seconds();
    if (!block_s) return block_s.error().text;
    if (auto reason = why_too_slow(spec, *demand, {*block_s, options_.now_s()}); !reason.empty())
        return reason;
    return why_no_room(*demand, options_.rules);
}

/// Wei to stake before a job with this bond can be taken. The error is the reason for people.
Result<Uint256, std::string> ProviderWorker::missing_stake(const Uint256& bond_wei) {
    const auto record = market_.provider(market_.self());
    if (!record) return unexpected(record.error().text);
    Uint256 missing = checked_sub(bond_wei, record->free_wei).value_or(Uint256{});
    if (!record->registered) {
        const auto least = market_.stake_minimum();
        if (!least) return unexpected(least.error().text);
        missing = std::max(missing, *least);
    }
    if (!missing.is_zero() && record->stake_wei + missing > options_.stake_wei_max)
        return unexpected("its bond of " + in_coins(bond_wei) +
                          " needs more stake than --stake allows");
    return missing;
}

std::string ProviderWorker::add_stake(const Uint256& amount_wei) {
    const auto record = market_.provider(market_.self());
    if (!record) return record.error().text;
    if (record->registered && amount_wei.is_zero()) return "";
    const auto sent = record->registered
                          ? market_.add_stake(amount_wei)
                          : market_.register_provider(options_.name, options_.place, amount_wei);
    if (!sent) return "cannot stake: " + sent.error().text;
    note("staked " + in_coins(amount_wei) + " as a provider");
    return "";
}

void ProviderWorker::note_taken(uint64_t id, const wallet::JobSpec& spec, const Uint256& bond_wei,
                                const wallet::TxReceipt& receipt) {
    Event event;
    event.kind = Event::Kind::taken;
    event.job = id;
    event.segments = spec.segments;
    event.block = receipt.block;
    event.tx = receipt.tx;
    event.text = "bond " + in_coins(bond_wei);
    emit(std::move(event));
}

/// Empty where another provider was faster, which is told and is nobody's fault, and where nobody
/// knows yet.
std::string ProviderWorker::why_not_taken(uint64_t id, const wallet::WalletError& failure) {
    if (is_without_answer(failure.code)) {
        undecided_ = id;
        memory_[id].look_again_at = 0;
        note("job " + std::to_string(id) +
             " may be ours: it was asked for, and the answer is lost (" + failure.text + ")");
        return "";
    }
    const auto job = market_.job(id);
    const bool is_anothers = job && job->state != JobState::open && !job->provider.is_zero() &&
                             job->provider != market_.self();
    if (!is_anothers) return "it cannot be taken: " + failure.text;
    Event event;
    event.kind = Event::Kind::outrun;
    event.job = id;
    event.text = to_hex0x(job->provider.bytes);
    emit(std::move(event));
    return "";
}

}  // namespace trainyard::node::provider
