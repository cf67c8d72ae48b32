// SPDX-License-Identifier: Apache-2.0
// Activations that are dropped after their use and computed again when the backward pass needs
// them: less memory for more time, and the same bits.
#pragma once

#include <cstdint>
#include <vector>

#include "training/program.hpp"

namespace trainyard::training {

/// Forward nodes before which the forward pass is cut, ascending. Each part that ends at a cut is
/// computed again as a whole; what follows the last cut is kept.
using Cuts = std::vector<uint32_t>;

/// Where little lives on: local minima of the bytes that later forward nodes still read, at most
/// `kCutsMax` of them.
[[nodiscard]] Cuts cut_candidates(const TrainingGraph& training);
inline constexpr size_t kCutsMax = 64;

/// The same values by the same operators; the backward nodes read copies that are made by the
/// nodes of their part, once more, in front of them. Forward nodes, gradients, losses and logits
/// keep their numbers. What another part reads, the losses and the logits are kept.
/// Precondition: each cut is less than forward_nodes.
[[nodiscard]] TrainingGraph with_recompute(TrainingGraph training, const Cuts& cuts);

}  // namespace trainyard::training
