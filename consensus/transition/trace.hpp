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

namespace trainyard::consensus {

/// What traces may take together. Execution itself is bounded by its gas; what is recorded of it
/// can be far larger.
class TraceBudget {
public:
    enum class State : uint8_t { open, too_large, too_slow };

    /// `bytes`: of the traces as JSON, about; `is_time_up` is asked now and then.
    TraceBudget(uint64_t bytes, std::function<bool()> is_time_up)
        : left_(bytes), is_time_up_(std::move(is_time_up)) {}

    /// Whether this may be recorded. After one refusal nothing may.
    [[nodiscard]] bool take(uint64_t bytes);
    void check_time();
    [[nodiscard]] State state() const { return state_; }

private:
    uint64_t left_;
    std::function<bool()> is_time_up_;
    State state_ = State::open;
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
