// SPDX-License-Identifier: Apache-2.0
// The pieces of an update that audits and logs share with whole steps.
#pragma once

#include "training/engine.hpp"

namespace trainyard::training {

/// Weight decay of one parameter: the program's, or +0.
[[nodiscard]] float decay_of(const Program& program, size_t parameter);

/// The AdamW update from state.step with a known clip norm; moves the counters on.
/// Preconditions: shapes fit and state.step lies inside the run.
[[nodiscard]] Result<Done, EngineError> update_with(const Program& program, Backend& backend,
                                                    ModelState& state,
                                                    const std::vector<Tensor>& gradients,
                                                    uint32_t norm_bits);

/// Fixed-tree sum of the values / float(count), as bits.
[[nodiscard]] uint32_t mean_of_losses(const std::vector<uint32_t>& loss_bits);

}  // namespace trainyard::training
