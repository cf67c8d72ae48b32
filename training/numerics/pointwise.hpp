// SPDX-License-Identifier: Apache-2.0
// Activations of one element and their gradients: docs/spec/numerics.md, section 17.
#pragma once

#include "training/numerics/functions.hpp"

namespace trainyard::training {

inline float logistic(float x) {
    return 1.0F / (1.0F + exp(-x));
}
inline float silu(float x) {
    return x * logistic(x);
}
inline float silu_grad(float dy, float x) {
    const float s = logistic(x);
    return dy * (s * (1.0F + x * (1.0F - s)));
}
/// A NaN passes.
inline float relu(float x) {
    return x < 0.0F ? 0.0F : x;
}
inline float relu_grad(float dy, float x) {
    return x > 0.0F ? dy : 0.0F;
}
inline float tanh_grad(float dy, float y) {
    return dy * (1.0F - y * y);
}

}  // namespace trainyard::training
