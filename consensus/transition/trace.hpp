// SPDX-License-Identifier: Apache-2.0
// Transactions run again to see what happened inside them: debug_trace*.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "consensus/rules/tx.hpp"
#include "consensus/transition/context.hpp"
#include "consensus/transition/simulate.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "core/trace.hpp"
#include "state/view.hpp"
#include "vm/watch.hpp"

namespace trainyard::consensus {

/// What traces may take together: what is recorded can be far larger than the gas suggests.
class TraceBudget {
public:
    enum class State : uint8_t { open, too_large, too_slow };

    /// `bytes`: of the traces as JSON, about; `is_time_up` is asked now and then.
    TraceBudget(uint64_t bytes, std::function<bool()> is_time_up)
        : left_(bytes), watch_(std::move(is_time_up)) {}

    /// Whether this may be recorded. After one refusal nothing may.
    [[nodiscard]] bool take(uint64_t bytes);
    void check_time() { (void)watch_.look(); }
    [[nodiscard]] State state() const {
        if (is_full_) return State::too_large;
        return watch_.is_over() ? State::too_slow : State::open;
    }
    /// For the executions that are traced, and those before them.
    [[nodiscard]] vm::Watch& watch() { return watch_; }

private:
    uint64_t left_;
    vm::Watch watch_;
    bool is_full_ = false;
    uint32_t asked_ = 0;
};

struct TraceError {
    enum class Kind : uint8_t {
        too_large,
        too_slow,
        refused,        ///< a call; `tx_error` says why
        replay_failed,  ///< the block does not execute here: the state below it is another one
    };
    Kind kind = Kind::too_large;
    std::optional<TxInvalid> tx_error;
};

/// A block that was executed before. References must outlive the call.
struct TraceInput {
    const state::StateView& parent_state;
    const Header& parent;
    const Block& block;
    std::span<const Address> senders;  ///< of its transactions
    BlockHashes hashes;
    const ChainConfig& config;
};

/// One trace for each transaction.
[[nodiscard]] Result<std::vector<Trace>, TraceError> trace_block(const TraceInput& input,
                                                                 const TraceOptions& options,
                                                                 TraceBudget& budget);

/// The trace of transaction `index`, after a replay of those before it.
[[nodiscard]] Result<Trace, TraceError> trace_transaction(const TraceInput& input, size_t index,
                                                          const TraceOptions& options,
                                                          TraceBudget& budget);

[[nodiscard]] Result<Trace, TraceError> trace_call(const state::StateView& view,
                                                   const ExecutionContext& context,
                                                   const CallRequest& request,
                                                   const TraceOptions& options,
                                                   TraceBudget& budget);

}  // namespace trainyard::consensus
