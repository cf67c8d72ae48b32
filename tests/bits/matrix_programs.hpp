// SPDX-License-Identifier: Apache-2.0
// The programs of the matrix in bench/results/bits.md, and the roots that every machine must reach.
#pragma once

#include <array>
#include <ostream>
#include <string_view>
#include <utility>

#include "tests/training/image_programs.hpp"
#include "tests/training/small_program.hpp"

namespace trainyard::training {

/// State root after 500 steps from `matrix_seed()`: those of bench/results/bits.md, in full.
struct MatrixRoot {
    std::string_view program, root;
    /// What GoogleTest calls it.
    friend void PrintTo(const MatrixRoot& r, std::ostream* out) { *out << r.program; }
};
inline constexpr uint32_t kMatrixSteps = 500;
inline constexpr std::array<MatrixRoot, 4> kMatrixRoots = {{
    {"gpt", "69d6ca366963cb5ce54b4c547b77785ec83f26fc3cbb767b772e9b475a930e9d"},
    {"mlp", "1ecc7d64f1f16e16925ebda4f399c48558501567fe711edfc08a73baf04de754"},
    {"cnn", "db38cfdabca331430fd1e7c358ada6288d75265f1b127ce715b5fb26ed3f4b5a"},
    {"diffusion", "eb55ec7cb45fbc38aceae1eb694b029f8c01552d10bf28280fb40417fa7a1049"},
}};

inline Hash matrix_seed() {
    return seed_of(3);
}

/// A program with the data it is trained on.
struct MatrixProgram {
    Program program;
    Bytes data;
};

/// Small enough for 500 steps of unoptimised code, with four micro-batches to share. `steps` shapes
/// the learning rate: the committed roots are those of `kMatrixSteps`.
inline MatrixProgram matrix_program(std::string_view name, uint32_t steps) {
    if (name == "gpt") {
        GptOptions o = small_options();
        // More rows and columns than lanes, so that the order of every sum matters.
        o.width = 20, o.sequence = 36, o.micro_batches = 4, o.sequences = 1, o.steps = steps;
        return {*make_gpt(o), make_text(o.data_bytes)};
    }
    ImageOptions o = image_options(steps);
    o.run.micro_batches = 4, o.run.sequences = 1;
    Bytes data = shapes_data();
    if (name == "cnn") return {*make_cnn({o, 2, 4}), std::move(data)};
    if (name == "diffusion") return {*make_diffusion({o, 8, 50}), std::move(data)};
    o.run.optimiser = OptimiserKind::sgd;
    o.run.b1 = 0.9, o.run.learning_rate = 2e-2;
    return {*make_mlp({o, 1, 16}), std::move(data)};
}

}  // namespace trainyard::training
