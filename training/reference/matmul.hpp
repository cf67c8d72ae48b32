// SPDX-License-Identifier: Apache-2.0
// The sizes of a matmul operator's products.
#pragma once

#include <cstddef>
#include <cstdint>

#include "training/tensor.hpp"

namespace trainyard::training::reference {

/// `products` independent products of A (m x k) and B (k x n); a turned operand is stored
/// transposed, block below block.
struct MatmulShape {
    size_t products = 0, m = 0, k = 0, n = 0;
    bool turn_a = false, turn_b = false;
    uint32_t noise_tensor = 0;
};

/// `attributes` as Op::matmul; the shapes have passed the operator's checks.
[[nodiscard]] MatmulShape matmul_shape(const Shape& a, const Shape& b, const uint32_t* attributes);

}  // namespace trainyard::training::reference
