// SPDX-License-Identifier: Apache-2.0
// The rival of the benchmarks: our engine and our vector functions, but float32 products by
// OpenBLAS.
#pragma once

#include <memory>

#include "training/backend.hpp"

namespace trainyard::bench {

/// One thread. Every operator other than linear layers and attention is that of the fast path.
[[nodiscard]] std::unique_ptr<training::Backend> make_openblas_backend();
/// y (n x o) = x (n x i) w (i x o) by one call of sgemm.
void openblas_linear(float* y, const float* x, const float* w, training::LinearShape s);
/// The kernels that OpenBLAS chose, for example "SkylakeX".
[[nodiscard]] const char* openblas_core();
/// OpenBLAS reads its settings before main: sets them for one thread and AVX-512, and starts the
/// program anew if they were others.
void restart_with_openblas_settings(char** argv);

}  // namespace trainyard::bench
