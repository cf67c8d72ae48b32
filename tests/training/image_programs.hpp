// SPDX-License-Identifier: Apache-2.0
// Small programs over the built-in shapes.
#pragma once

#include <vector>

#include "training/dataset.hpp"
#include "training/templates.hpp"

namespace trainyard::training {

inline Bytes shapes_data(uint32_t count = 400) {
    return *make_image_dataset(make_shapes(count, 1), 4);
}

inline ImageOptions image_options(uint32_t steps) {
    const Bytes data = shapes_data();
    ImageOptions o;
    o.height = o.width = 16;
    o.classes = 4;
    o.data = data_spec_of(*inspect_dataset(data), Hash{}, data.size());
    o.run.steps = steps, o.run.micro_batches = 2, o.run.sequences = 4, o.run.segment_length = 4;
    o.run.warmup = 5, o.run.learning_rate = 5e-3, o.run.held_out = 40;
    return o;
}

inline Program mlp_program(uint32_t steps = 150) {
    MlpOptions o{image_options(steps), 1, 32};
    o.image.run.optimiser = OptimiserKind::sgd;
    o.image.run.b1 = 0.9, o.image.run.learning_rate = 5e-2, o.image.run.decay = 1e-4;
    return *make_mlp(o);
}

/// Learns so fast, and with gradients so little clipped, that it ends in Inf or NaN after some
/// steps.
inline Program diverging_program(uint32_t steps, const Hash& data_root = {}) {
    MlpOptions o{image_options(steps), 4, 32};
    o.image.data.root = data_root;
    o.image.run.optimiser = OptimiserKind::sgd;
    o.image.run.warmup = 1, o.image.run.learning_rate = 1, o.image.run.clip = 1e6;
    return *make_mlp(o);
}

inline Program cnn_program(uint32_t steps = 100) {
    return *make_cnn({image_options(steps), 2, 8});
}

inline Program diffusion_program(uint32_t steps = 24) {
    return *make_diffusion({image_options(steps), 8, 50});
}

inline std::vector<Program> image_programs() {
    return {mlp_program(), cnn_program(), diffusion_program()};
}

}  // namespace trainyard::training
