// SPDX-License-Identifier: Apache-2.0
// What attention reads of its heads, made in one pass by rows and one by columns:
// docs/spec/numerics.md, section 10.
#pragma once

#include "cuda/products.cuh"

namespace trainyard::cuda {

/// What is known of one position of one head besides its bytes. What is read together lies
/// together.
struct alignas(16) Position {
    float k_alpha, k, v, q;          ///< scales of its rows, and that of k times alpha
    float d_out, max, inverse, dot;  ///< scale; statistics of the forward pass; dO times O
};
static_assert(sizeof(Position) == 2 * sizeof(float4));

/// Operands of a forward pass; their scales are in the positions. Columns are in paired order.
struct ForwardHeads {
    Operand q, k, v_cols;
    Position* positions = nullptr;  ///< batch x t
};

struct BackwardHeads {
    Operand q, k, v, d_out;
    Operand q_cols, k_cols, d_out_cols;  ///< with their scales
    Position* positions = nullptr;       ///< batch x t
};

/// Rows of a head are positions; q, k and v as in training/backend.hpp.
struct HeadSources {
    Source q, k, v;
    float alpha;
};
struct GradSources {
    Source d_out, out;
    const float* stats;  ///< batch x t x 2
    Words of_d_out;
};

[[nodiscard]] ForwardHeads prepare_forward(Context& on, uint32_t batch, const HeadSources& x);
[[nodiscard]] BackwardHeads prepare_backward(Context& on, uint32_t batch, const HeadSources& x,
                                             const GradSources& grad);

}  // namespace trainyard::cuda
