// SPDX-License-Identifier: Apache-2.0
// Columns quantised in one reading, by clusters that hold them whole.
#pragma once

#include "cuda/products.cuh"

namespace trainyard::cuda {

/// Whether a cluster can hold columns of x, and code and layout are there for it.
[[nodiscard]] bool can_hold_columns(const Source& x, const Operand& out);

/// As quantise_cols into `out`. Precondition: can_hold_columns.
void quantise_held_columns(Context& on, uint32_t batch, const Source& x, const Operand& out);

}  // namespace trainyard::cuda
