// SPDX-License-Identifier: Apache-2.0
// The pieces of an update that audits, logs and whole steps share.
#pragma once

#include "training/live_state.hpp"

namespace trainyard::training {

/// Weight decay of one parameter: the program's, or +0.
[[nodiscard]] float decay_of(const Program& program, size_t parameter);

/// What an update does besides w, m and v: step, cursor, p1 and p2.
void advance_counters(const Program& program, ModelState& state);

/// The counters behind `steps` steps of a run; no tensors.
[[nodiscard]] ModelState counters_after(const Program& program, const Hash& run_seed,
                                        uint64_t steps);

/// Calls the operators of the update from the state's step; waits for nothing and moves no counter.
/// `squares`: a number for each parameter; `norm`: two, the norm and the clip factor. Both are
/// memory of the backend. A norm that is no number, or a raised flag, leaves the state as it is.
void start_update(const Program& program, const LiveState& state, const TensorSet& gradients,
                  float* squares, float* norm);

/// An update that changes nothing: state_changed if memory did not keep the state, where the
/// backend can tell.
[[nodiscard]] Result<Done, EngineError> check_state(const Program& program, const LiveState& state);

/// The update from the state's step with a known clip norm; moves the counters on.
/// Preconditions: shapes fit and the step lies inside the run.
[[nodiscard]] Result<Done, EngineError> update_with(const Program& program, LiveState& state,
                                                    const TensorSet& gradients, uint32_t norm_bits);

/// Fixed-tree sum of the values / float(count), as bits.
[[nodiscard]] uint32_t mean_of_losses(const std::vector<uint32_t>& loss_bits);

}  // namespace trainyard::training
