// SPDX-License-Identifier: Apache-2.0
// Images out of a trained denoiser.
#pragma once

#include "training/dataset.hpp"
#include "training/engine.hpp"

namespace trainyard::training {

struct ImageSampleOptions {
    uint32_t count = 16;
    uint32_t steps = 50;  ///< of denoising, 2 to the schedule's length
    uint32_t seed = 0;
    uint32_t height = 0, width = 0;  ///< height * width is the program's sequence
};

/// Deterministic denoising from noise, the same pixels on every machine: docs/spec/training.md,
/// section 10. Errors: wrong_shape if the program has no diffuse operator or the sizes do not fit.
/// Source: arXiv:2010.02502.
[[nodiscard]] Result<std::vector<Image>, EngineError> sample_images(
    const Program& program, Backend& backend, const std::vector<Tensor>& w,
    const ImageSampleOptions& options);

}  // namespace trainyard::training
