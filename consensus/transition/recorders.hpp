// SPDX-License-Identifier: Apache-2.0
// The tracers behind trace.hpp; private to this folder. Each watches one transaction in a world of
// its own.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "consensus/transition/trace.hpp"
#include "consensus/transition/transaction.hpp"
#include "consensus/transition/world.hpp"
#include "vm/tracer.hpp"

namespace trainyard::consensus {

class Recorder : public vm::Tracer {
public:
    void on_enter(const vm::Message&) override {}
    void on_exit(const vm::CallResult&) override {}
    void on_step(const vm::StepView&) override {}
    void on_fault(vm::Status) override {}
    /// Call once, when the transaction has ended; worthless if the budget is used up.
    [[nodiscard]] virtual Trace finish(const Tx& tx, const TxOutcome& done) = 0;
};

/// What a recorder may look at besides what it is told.
struct Watched {
    const state::StateView& before;  ///< the state before the transaction
    World& world;
    const vm::Rules& rules;
};

/// The instructions one by one.
class StepRecorder final : public Recorder {
public:
    StepRecorder(const Watched& watched, const TraceOptions& options, TraceBudget& budget)
        : watched_(watched), options_(options), budget_(budget) {}
    void on_enter(const vm::Message& message) override;
    void on_exit(const vm::CallResult& result) override;
    void on_step(const vm::StepView& step) override;
    void on_fault(vm::Status status) override;
    [[nodiscard]] Trace finish(const Tx& tx, const TxOutcome& done) override;

private:
    static constexpr size_t kNone = ~size_t{0};

    /// A frame that runs. The cost of its last step is known when the next one begins.
    struct Frame {
        size_t last = kNone;  ///< in `steps_`
        bool creates = false;
        int64_t refund = 0;
        // Of a call that the last step may make:
        Uint256 wanted;  ///< gas it asks for
        bool has_value = false, entered = false;
        int64_t given = 0, returned = 0;
    };
    void settle(Frame& frame, int64_t gas_now);
    void note_storage(const vm::StepView& view, TraceStep& step);
    [[nodiscard]] int64_t refund_of_all() const;

    Watched watched_;
    const TraceOptions& options_;
    TraceBudget& budget_;
    std::vector<Frame> frames_;
    std::map<Address, std::map<Uint256, Uint256>> storage_;
    std::vector<TraceStep> steps_;
};

/// The tree of calls.
class CallRecorder final : public Recorder {
public:
    CallRecorder(const Watched& watched, const TraceOptions& options, TraceBudget& budget)
        : watched_(watched), options_(options), budget_(budget) {}
    void on_enter(const vm::Message& message) override;
    void on_exit(const vm::CallResult& result) override;
    void on_step(const vm::StepView& step) override { opcode_ = step.opcode; }
    void on_log(const Address& address, BytesView data, std::span<const Hash> topics) override;
    void on_selfdestruct(const Address& from, const Address& to, const Uint256& amount) override;
    [[nodiscard]] Trace finish(const Tx& tx, const TxOutcome& done) override;

private:
    [[nodiscard]] bool is_shown() const { return unseen_ == 0 && !open_.empty(); }

    Watched watched_;
    const TraceOptions& options_;
    TraceBudget& budget_;
    std::vector<CallFrame> open_;  ///< from the outermost call in
    size_t unseen_ = 0;            ///< open calls inside them that are not recorded
    CallFrame top_;
    uint8_t opcode_ = 0;  ///< of the instruction that runs
    uint64_t logs_ = 0;
};

/// The accounts and slots that were read, before and after.
class StateRecorder final : public Recorder {
public:
    StateRecorder(const Watched& watched, const TraceOptions& options, TraceBudget& budget)
        : watched_(watched), options_(options), budget_(budget) {}
    void on_enter(const vm::Message&) override { ++depth_; }
    void on_exit(const vm::CallResult& result) override;
    [[nodiscard]] Trace finish(const Tx& tx, const TxOutcome& done) override;

private:
    struct Seen {
        std::map<Uint256, Uint256> slots;  ///< as they were before
        bool destroyed = false;
    };
    [[nodiscard]] std::optional<AccountState> before(const AccountEntry& account, const Seen& seen);
    [[nodiscard]] AccountState changes(const AccountEntry& account, AccountState& pre,
                                       const Seen& seen);

    Watched watched_;
    const TraceOptions& options_;
    TraceBudget& budget_;
    size_t depth_ = 0;
    std::map<Address, Seen> seen_;  ///< when the outermost call ended
};

[[nodiscard]] std::unique_ptr<Recorder> make_recorder(const Watched& watched,
                                                      const TraceOptions& options,
                                                      TraceBudget& budget);

}  // namespace trainyard::consensus
