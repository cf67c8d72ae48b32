// SPDX-License-Identifier: Apache-2.0
// The operators behind Backend::apply: plain loops over independent tasks.
#pragma once

#include <cstddef>
#include <span>

#include "training/op.hpp"

namespace trainyard::training::reference {

/// One operator. Tasks 0 .. tasks-1 write different elements, so that any thread may take any of
/// them; `run` does tasks [first, last) in the exact float mode and is true if it met an Inf or
/// NaN in a group to be quantised. Rules: docs/spec/numerics.md, sections 6 and 17.
struct Kernel {
    Op op;
    size_t (*tasks)(const OpCall&);
    bool (*run)(const OpCall&, size_t first, size_t last);
    size_t tasks_per_thread = 1;  ///< fewest tasks worth a thread
};

/// nullptr for an operator that has a function of its own in Backend.
[[nodiscard]] const Kernel* find_kernel(Op op);

[[nodiscard]] std::span<const Kernel> pointwise_kernels();  ///< activations, softmax, losses
[[nodiscard]] std::span<const Kernel> norm_kernels();       ///< layer and group norm
[[nodiscard]] std::span<const Kernel> movement_kernels();   ///< reshape, concat, broadcast, RoPE
[[nodiscard]] std::span<const Kernel> image_kernels();      ///< im2col, up- and downsampling
[[nodiscard]] std::span<const Kernel> product_kernels();    ///< matmul and its gradients
[[nodiscard]] std::span<const Kernel> random_kernels();     ///< noise, timestep, diffuse

/// All tasks on one thread.
bool apply(const OpCall& call);

}  // namespace trainyard::training::reference
