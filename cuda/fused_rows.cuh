// SPDX-License-Identifier: Apache-2.0
// Operators that wait for the next, which may read their result: then one kernel does the work of
// both, and what lies between them is not read from memory again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "training/backend.hpp"

namespace trainyard::cuda {

class Context;
struct Maxima;
struct Operand;

/// One of `Backend::add`, `gelu`, `gelu_grad`, `rms_norm` and the gradients of `cross_entropy`, or
/// an `add` whose sum an `rms_norm` takes.
struct Waiting {
    enum class Kind : uint8_t { none, add, gelu, norm, add_norm, gelu_grad, loss };

    Kind kind = Kind::none;
    float* y = nullptr;  ///< the result that the next operator may read
    size_t count = 0;    ///< its elements
    const float *a = nullptr, *b = nullptr;
    float* sum = nullptr;          ///< add_norm: a + b
    float* r = nullptr;            ///< of norms
    const float* g = nullptr;      ///< of norms
    training::MatrixShape s = {};  ///< of norms and losses
    float* losses = nullptr;       ///< of losses, if they are wanted
    const uint32_t* targets = nullptr;
    float inv_n = 0.0F;
};

/// True if the operator and the quantising of its result by rows of `cols` can be one kernel.
[[nodiscard]] bool fuses(const Waiting& w, uint32_t cols);
/// True if a norm that waits can take over the sum that waits, whose result it reads.
[[nodiscard]] bool takes_over(const Waiting& norm, const Waiting& sum);

/// The operator alone.
void launch_alone(Context& on, const Waiting& w);

/// The operator, and its result quantised by rows of `cols`. Precondition: `fuses`.
void launch_and_quantise(Context& on, const Waiting& w, uint32_t cols, const Operand& out);

/// True if the operator can leave the maxima of its result, as rows of `cols`.
[[nodiscard]] bool leaves_maxima(const Context& on, const Waiting& w, uint32_t cols);
/// The operator, as part of the one that has begun, and the maxima of its result by rows and
/// columns, where `out` has zeros. Precondition: `leaves_maxima`.
void launch_with_maxima(Context& on, const Waiting& w, uint32_t cols, const Maxima& out);

}  // namespace trainyard::cuda
