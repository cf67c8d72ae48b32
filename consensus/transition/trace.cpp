// SPDX-License-Identifier: Apache-2.0
// Blocks replayed transaction by transaction, each in a world of its own over the diffs before it.
#include "consensus/transition/trace.hpp"

#include "consensus/transition/evm.hpp"
#include "consensus/transition/recorders.hpp"
#include "consensus/transition/system.hpp"
#include "consensus/transition/transaction.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus {
namespace {

TraceError fault(TraceError::Kind kind) {
    return {kind, std::nullopt};
}

Result<Done, TraceError> check(const TraceBudget& budget) {
    if (budget.state() == TraceBudget::State::too_large)
        return unexpected(fault(TraceError::Kind::too_large));
    if (budget.state() == TraceBudget::State::too_slow)
        return unexpected(fault(TraceError::Kind::too_slow));
    return Done{};
}

/// The states between the transactions of a block.
class Replay {
public:
    Replay(const TraceInput& input, TraceBudget& budget)
        : input_(input),
          budget_(budget),
          context_{input.config, env_of(input.block.header, input.config), input.hashes},
          view_(input.parent_state, diff_) {
        context_.watch = &budget.watch();
    }

    [[nodiscard]] Result<Done, TraceError> begin() {
        World world(input_.parent_state, context_.rules());
        Evm evm(world, context_);
        if (!begin_block(evm, input_.block.header, input_.parent)) return failed();
        diff_ = world.diff();
        return Done{};
    }
    [[nodiscard]] Result<Done, TraceError> pass(size_t i) {
        auto done = apply_transaction(view_, context_, input_.block.txs[i], input_.senders[i]);
        if (!done) return failed(done.error());
        diff_ = state::merge(std::move(diff_), done->diff);
        return Done{};
    }
    [[nodiscard]] Result<Trace, TraceError> trace(size_t i, const TraceOptions& options) {
        const Tx& tx = input_.block.txs[i];
        World world(view_, context_.rules());
        if (const auto ok = check_transaction(world, context_, tx, input_.senders[i]); !ok)
            return failed(ok.error());
        const auto recorder = make_recorder({view_, world, context_.rules()}, options, budget_);
        ExecutionContext watched = context_;
        watched.tracer = recorder.get();
        Evm evm(world, watched);
        const TxOutcome done = run_transaction(evm, tx, input_.senders[i]);
        Trace trace = recorder->finish(tx, done);
        if (auto ok = check(budget_); !ok) return unexpected(ok.error());
        diff_ = state::merge(std::move(diff_), world.diff());
        return trace;
    }

private:
    /// What follows an execution that was cut short may fail too.
    [[nodiscard]] Unexpected<TraceError> failed(std::optional<TxInvalid> why = {}) const {
        if (auto ok = check(budget_); !ok) return unexpected(ok.error());
        return unexpected(TraceError{TraceError::Kind::replay_failed, why});
    }

    const TraceInput& input_;
    TraceBudget& budget_;
    ExecutionContext context_;
    state::StateDiff diff_;
    state::OverlayView view_;
};

}  // namespace

bool TraceBudget::take(uint64_t bytes) {
    if (++asked_ % 1024 == 0) check_time();
    if (state() != State::open) return false;
    is_full_ = bytes > left_;
    if (!is_full_) left_ -= bytes;
    return !is_full_;
}

std::unique_ptr<Recorder> make_recorder(const Watched& watched, const TraceOptions& options,
                                        TraceBudget& budget) {
    switch (options.kind) {
        case TraceOptions::Kind::steps:
            return std::make_unique<StepRecorder>(watched, options, budget);
        case TraceOptions::Kind::calls:
            return std::make_unique<CallRecorder>(watched, options, budget);
        case TraceOptions::Kind::state:
            return std::make_unique<StateRecorder>(watched, options, budget);
    }
    ASSERT(false);
}

Result<std::vector<Trace>, TraceError> trace_block(const TraceInput& input,
                                                   const TraceOptions& options,
                                                   TraceBudget& budget) {
    Replay replay(input, budget);
    if (auto begun = replay.begin(); !begun) return unexpected(begun.error());
    std::vector<Trace> traces;
    for (size_t i = 0; i < input.block.txs.size(); ++i) {
        budget.check_time();
        if (auto ok = check(budget); !ok) return unexpected(ok.error());
        auto trace = replay.trace(i, options);
        if (!trace) return unexpected(trace.error());
        traces.push_back(std::move(*trace));
    }
    return traces;
}

Result<Trace, TraceError> trace_transaction(const TraceInput& input, size_t index,
                                            const TraceOptions& options, TraceBudget& budget) {
    ASSERT(index < input.block.txs.size());
    Replay replay(input, budget);
    if (auto begun = replay.begin(); !begun) return unexpected(begun.error());
    for (size_t i = 0; i < index; ++i) {
        budget.check_time();
        if (auto ok = check(budget); !ok) return unexpected(ok.error());
        if (auto passed = replay.pass(i); !passed) return unexpected(passed.error());
    }
    return replay.trace(index, options);
}

Result<Trace, TraceError> trace_call(const state::StateView& view, const ExecutionContext& context,
                                     const CallRequest& request, const TraceOptions& options,
                                     TraceBudget& budget) {
    ExecutionContext watched = context_for(context, request);
    watched.watch = &budget.watch();
    World world(view, watched.rules());
    const auto recorder = make_recorder({view, world, watched.rules()}, options, budget);
    watched.tracer = recorder.get();
    Evm evm(world, watched);
    const auto ran = run_call(evm, request);
    if (!ran) return unexpected(TraceError{TraceError::Kind::refused, ran.error()});
    Trace trace = recorder->finish(ran->tx, ran->done);
    if (auto ok = check(budget); !ok) return unexpected(ok.error());
    return trace;
}

}  // namespace trainyard::consensus
