// SPDX-License-Identifier: Apache-2.0
// The scheduler: which transaction runs next, who has to run again, and what is final.
#include "consensus/transition/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "consensus/transition/versions.hpp"
#include "core/assert.hpp"
#include "core/old_tx.hpp"

namespace trainyard::consensus {
namespace {

enum class Stage : uint8_t {
    ready,
    running,
    waits_for_writer,  ///< of a value that it can only guess so far
    waits_for_turn,    ///< until all before it are final
    done,              ///< with an outcome that may still be taken back
};

/// One transaction with all that its last run gave.
struct Job {
    Stage stage = Stage::ready;
    std::vector<size_t> waiters;  ///< those that wait for this one's writes
    Result<Address, TxError> sender = unexpected(TxError::bad_signature);
    std::vector<std::pair<Place, Found>> reads;
    std::map<Address, std::optional<state::Account>> bases;
    Result<TxOutcome, TxInvalid> outcome = unexpected(TxInvalid::bad_signature);
};

class Scheduler;

/// The state before one transaction, as far as it is known; keeps what was read.
class TxView final : public state::StateView {
public:
    TxView(Scheduler& scheduler, size_t index) : scheduler_(scheduler), index_(index) {}
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override;

private:
    friend class Scheduler;
    Found read(const Place& place) const;
    Scheduler& scheduler_;
    const size_t index_;
    mutable std::vector<std::pair<Place, Found>> reads_;
    mutable std::map<Address, std::optional<state::Account>> bases_;
    mutable std::optional<size_t> guessed_by_;  ///< the first writer whose value was a guess
    mutable bool needs_turn_ = false;
};

class Scheduler {
public:
    Scheduler(const state::StateView& view, World& world, const ExecutionContext& context,
              const std::vector<Tx>& txs, const OnCommit& on_commit)
        : view_(view),
          world_(world),
          context_(context),
          txs_(txs),
          on_commit_(on_commit),
          jobs_(txs.size()) {}

    /// Signatures first; several threads take one transaction after the other.
    void recover_senders() {
        const auto range = context_.rules().low_s_only ? SRange::low_s : SRange::any_s;
        for (size_t i = next_sender_++; i < txs_.size(); i = next_sender_++)
            jobs_[i].sender = recover_sender(txs_[i], range);
    }
    /// Later transactions of one sender need the nonce that the earlier ones leave.
    void line_up() {
        std::map<Address, size_t> last;
        for (size_t i = 0; i < jobs_.size(); ++i) {
            const auto& sender = jobs_[i].sender;
            const auto before = sender ? last.find(*sender) : last.end();
            if (before == last.end()) {
                ready_.insert(i);
            } else {
                jobs_[i].stage = Stage::waits_for_writer;
                jobs_[before->second].waiters.push_back(i);
            }
            if (sender) last[*sender] = i;
        }
    }
    /// One thread's work until all is final or the block is refused.
    void work() {
        std::unique_lock lock(mutex_);
        while (!is_over()) {
            if (ready_.empty()) {
                changed_.wait(lock);
                continue;
            }
            const size_t index = *ready_.begin();
            ready_.erase(ready_.begin());
            jobs_[index].stage = Stage::running;
            lock.unlock();
            const TxView view(*this, index);
            auto outcome = run(view, index);
            lock.lock();
            finish(view, index, std::move(outcome));
            changed_.notify_all();
        }
    }

private:
    friend class TxView;

    [[nodiscard]] vm::CodeCache& codes() {
        return context_.codes != nullptr ? *context_.codes : own_codes_;
    }
    [[nodiscard]] bool is_over() const { return stopped_ || final_ == jobs_.size(); }

    [[nodiscard]] Result<TxOutcome, TxInvalid> run(const TxView& view, size_t index) {
        const auto& sender = jobs_[index].sender;
        if (!sender) return unexpected(TxInvalid::bad_signature);
        World world(view, context_.rules(), &codes());
        if (auto ok = check_transaction(world, context_, txs_[index], *sender); !ok)
            return unexpected(ok.error());
        Evm evm(world, context_);
        evm.defer_tip();
        TxOutcome out = run_transaction(evm, txs_[index], *sender);
        out.diff = world.diff();
        return out;
    }

    void make_ready(size_t index) {
        jobs_[index].stage = Stage::ready;
        ready_.insert(index);
    }

    [[nodiscard]] bool is_valid(size_t index) const {
        const auto& reads = jobs_[index].reads;
        return std::all_of(reads.begin(), reads.end(), [&](const auto& read) {
            return versions_.look(read.first, index).is_same_as(read.second);
        });
    }

    void send_back(size_t index) {
        versions_.make_guesses(index);
        make_ready(index);
    }

    /// What to do with a run that knows that it read something unfit; true if it was one.
    [[nodiscard]] bool put_off(const TxView& view, size_t index) {
        if (view.needs_turn_) {
            jobs_[index].stage = Stage::waits_for_turn;
            if (final_ == index) make_ready(index);
            return true;
        }
        if (!view.guessed_by_) return false;
        Job& writer = jobs_[*view.guessed_by_];
        if (writer.stage == Stage::done) {
            make_ready(index);
        } else {
            jobs_[index].stage = Stage::waits_for_writer;
            writer.waiters.push_back(index);
        }
        return true;
    }

    /// A code is known by its hash, so that nothing wrong can come of one whose writer runs again.
    void publish_codes(const state::StateDiff& diff) {
        for (const auto& [hash, code] : diff.codes)
            codes().put(hash, context_.rules().revision, std::make_shared<const vm::Code>(code));
    }

    void finish(const TxView& view, size_t index, Result<TxOutcome, TxInvalid> outcome) {
        if (put_off(view, index)) return;
        Job& job = jobs_[index];
        job.stage = Stage::done;
        job.reads = std::move(view.reads_);
        job.bases = std::move(view.bases_);
        job.outcome = std::move(outcome);
        if (job.outcome) publish_codes(job.outcome->diff);
        static const state::StateDiff kNothing;
        const auto readers =
            versions_.write(index, job.outcome ? job.outcome->diff : kNothing, job.bases);
        for (const size_t reader : readers)
            if (jobs_[reader].stage == Stage::done && !is_valid(reader)) send_back(reader);
        for (const size_t waiter : std::exchange(job.waiters, {}))
            if (jobs_[waiter].stage == Stage::waits_for_writer) make_ready(waiter);
        if (!is_valid(index)) send_back(index);
        commit();
    }

    /// Takes over what is final, in order.
    void commit() {
        while (!is_over() && jobs_[final_].stage == Stage::done) {
            if (!is_valid(final_)) return send_back(final_);
            Job& job = jobs_[final_];
            state::StateDiff diff;
            std::optional<Uint256> tip;
            if (job.outcome) {
                diff = std::move(job.outcome->diff);
                tip = job.outcome->tip_owed_wei;
            }
            const Address sender = job.sender ? *job.sender : Address{};
            if (!on_commit_(final_, sender, std::move(job.outcome))) {
                stopped_ = true;
                return;
            }
            take_over(diff, tip);
            ++final_;
            if (!is_over() && jobs_[final_].stage == Stage::waits_for_turn) make_ready(final_);
        }
    }

    void take_over(const state::StateDiff& diff, const std::optional<Uint256>& tip) {
        world_.absorb(diff);
        if (!tip) return;
        world_.add_balance(world_.account(context_.env.beneficiary), *tip);
        world_.end_transaction();
    }

    /// The beneficiary with all tips, known once everything before is final.
    [[nodiscard]] std::optional<state::Account> beneficiary() {
        const AccountEntry& a = world_.account(context_.env.beneficiary);
        if (!a.exists) return std::nullopt;
        const bool has_old_slots = a.base && !a.storage_cleared;
        return state::Account{a.nonce, a.balance, a.code_hash,
                              has_old_slots ? a.base->storage_root : kEmptyTrieRoot};
    }

    const state::StateView& view_;
    World& world_;
    const ExecutionContext& context_;
    const std::vector<Tx>& txs_;
    const OnCommit& on_commit_;
    vm::CodeCache own_codes_;  ///< where the context has none
    std::atomic<size_t> next_sender_ = 0;

    std::mutex mutex_;  ///< guards all below
    std::condition_variable changed_;
    std::vector<Job> jobs_;
    std::set<size_t> ready_;
    Versions versions_;
    size_t final_ = 0;  ///< so many are
    bool stopped_ = false;
};

Found TxView::read(const Place& place) const {
    const std::lock_guard lock(scheduler_.mutex_);
    Found found = scheduler_.versions_.read(place, index_);
    if (found.guessed_by && !guessed_by_) guessed_by_ = found.guessed_by;
    reads_.emplace_back(place, found);
    return found;
}

std::optional<state::Account> TxView::account(const Address& address) const {
    std::optional<state::Account> account;
    if (address == scheduler_.context_.env.beneficiary) {
        const std::lock_guard lock(scheduler_.mutex_);
        needs_turn_ = needs_turn_ || scheduler_.final_ != index_;
        account = scheduler_.beneficiary();
    } else {
        const Found found = read({address, std::nullopt});
        account =
            found.kind == Found::Kind::below ? scheduler_.view_.account(address) : found.account;
    }
    bases_[address] = account;
    return account;
}

Uint256 TxView::storage(const Address& address, const Uint256& slot) const {
    const Found found = read({address, slot});
    return found.kind == Found::Kind::below ? scheduler_.view_.storage(address, slot) : found.slot;
}

/// Codes of the block itself are in the cache before anyone can ask for them here.
Bytes TxView::code(const Hash& code_hash) const {
    return scheduler_.view_.code(code_hash);
}

}  // namespace

void run_parallel(const state::StateView& view, World& world, const ExecutionContext& context,
                  const std::vector<Tx>& txs, Executor& executor, const OnCommit& on_commit) {
    ASSERT(context.tracer == nullptr);
    const auto begun = world.diff();  // what system calls did before the first transaction
    const state::OverlayView below(view, begun);
    Scheduler scheduler(below, world, context, txs, on_commit);
    executor.run([&] { scheduler.recover_senders(); });
    scheduler.line_up();
    executor.run([&] { scheduler.work(); });
}

}  // namespace trainyard::consensus
