// SPDX-License-Identifier: Apache-2.0
// The templates for images: classifiers (mlp, cnn) and a denoiser (diffusion).
#pragma once

#include <vector>

#include "training/builder.hpp"
#include "training/program.hpp"

namespace trainyard::training {

/// Images of height x width with `data.channels` channels; `data.sequence` is height * width.
struct ImageOptions {
    uint32_t height = 0, width = 0;
    uint32_t classes = 10;  ///< of the labels; diffusion does not use them
    DataSpec data;
    RunOptions run;
};

/// Fully connected layers with GELU between them.
struct MlpOptions {
    ImageOptions image;
    uint32_t layers = 2;    ///< hidden ones
    uint32_t hidden = 128;  ///< units of each
};
[[nodiscard]] Result<Program, ProgramFault> make_mlp(const MlpOptions& options);

/// Blocks of 3 x 3 convolution, group norm, SiLU and halving of the resolution, each with twice the
/// channels of the one before; then the mean over all positions and a linear layer.
struct CnnOptions {
    ImageOptions image;
    uint32_t blocks = 2;  ///< height and width must be divisible by 2^blocks
    uint32_t channels = 16;
};
[[nodiscard]] Result<Program, ProgramFault> make_cnn(const CnnOptions& options);

/// A U-Net of two resolutions that predicts the noise of a noised image. Source: arXiv:2006.11239.
struct DiffusionOptions {
    ImageOptions image;
    uint32_t channels = 32;    ///< at full resolution; a multiple of 8
    uint32_t timesteps = 200;  ///< 2 to 4,096
};
[[nodiscard]] Result<Program, ProgramFault> make_diffusion(const DiffusionOptions& options);

/// Rows (cos, sin) of position * base^(-2i / head), i < head / 2, for rotary positions.
/// Source: arXiv:2104.09864.
[[nodiscard]] std::vector<float> rope_table(uint32_t positions, uint32_t head, double base);

}  // namespace trainyard::training
