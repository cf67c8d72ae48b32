// SPDX-License-Identifier: Apache-2.0
// Writes the operators of a program by name, and numbers its values at the end.
#pragma once

#include <string>
#include <vector>

#include "training/program.hpp"

namespace trainyard::training {

/// A value of a program under construction.
struct Ref {
    enum class Kind : uint8_t { input, targets, parameter, constant, node } kind = Kind::input;
    uint32_t index = 0;  ///< of the parameter, constant or node
};

/// Collects parameters, constants and operators in order. Shapes are checked by validate_program.
class GraphBuilder {
public:
    static Ref input() { return {Ref::Kind::input, 0}; }
    static Ref targets() { return {Ref::Kind::targets, 0}; }

    /// Normal values of that deviation.
    Ref normal(std::string name, Shape shape, bool decay, double deviation);
    Ref ones(std::string name, uint32_t count);
    Ref zeros(std::string name, Shape shape);
    /// A parameter whose first values stand in the data's base section.
    Ref given(std::string name, Shape shape, bool decay);
    Ref constant(std::string name, Shape shape, const std::vector<float>& values);
    Ref constant(std::string name, Shape shape, ConstantSource source);

    /// The operator's first output.
    Ref emit(Op op, const std::vector<Ref>& inputs, std::vector<uint32_t> attributes = {});
    /// x * w with the next free noise id; x * w + b.
    Ref linear(Ref x, Ref w);
    Ref linear(Ref x, Ref w, Ref b);
    Ref attention(Ref qkv, uint32_t heads, bool causal);
    Ref scale(Ref x, float factor);
    uint32_t next_noise() { return noise_++; }

    [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }

    /// Moves everything into the program and numbers the values.
    void finish(Program& program);

private:
    struct Step {
        Op op;
        std::vector<Ref> inputs;
        std::vector<uint32_t> attributes;
    };
    std::vector<Parameter> parameters_;
    std::vector<Constant> constants_;
    std::vector<Step> steps_;
    uint32_t noise_ = 3000;
};

/// Deviation as the scale of the centred sum that initial values are made of.
[[nodiscard]] uint32_t init_scale_bits(double deviation);

/// What the templates' runs have in common.
struct RunOptions {
    uint32_t steps = 200, micro_batches = 4, sequences = 4, segment_length = 20;
    uint32_t warmup = 20;
    double learning_rate = 2e-3, final_ratio = 0.1;  ///< linear warm-up, then half a cosine
    double b1 = 0.9, b2 = 0.99, eps = 1e-8, decay = 0.1, clip = 1.0;
    OptimiserKind optimiser = OptimiserKind::adamw;
    uint32_t held_out = 256;  ///< records; at most a tenth, rounded down to fit the batch
    Recipe recipe = Recipe::rmp1;
};

/// Optimiser, schedule and run; `program.data` must be set but for `held_out`, which it sets.
void set_run(Program& program, const RunOptions& options);

}  // namespace trainyard::training
