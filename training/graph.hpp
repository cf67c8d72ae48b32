// SPDX-License-Identifier: Apache-2.0
// What each operator takes and yields: one table row per operator, used by checks and by runs.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "training/program.hpp"

namespace trainyard::training {

struct OpInfo {
    Op op;
    std::string_view name;
    /// One letter per input: t tokens, y targets, p parameter or constant, c constant, v any
    /// float32 value. The last letter may repeat up to `inputs_max` inputs.
    std::string_view inputs;
    uint8_t inputs_max, outputs, attributes;
    bool forward;  ///< may stand in an encoded program
};

/// nullptr for an unknown operator.
[[nodiscard]] const OpInfo* find_op(Op op);
/// The operator of that name; nullptr if there is none.
[[nodiscard]] const OpInfo* find_op(std::string_view name);

inline constexpr uint32_t kTokensValue = 0;  ///< or the features of images
inline constexpr uint32_t kTargetsValue = 1;
inline constexpr uint32_t kFirstParameterValue = 2;

/// Number of the first constant.
[[nodiscard]] inline uint32_t first_constant_value(const Program& program) {
    return kFirstParameterValue + static_cast<uint32_t>(program.parameters.size());
}
[[nodiscard]] inline bool is_loss(Op op) {
    return op == Op::cross_entropy || op == Op::mean_square;
}

/// What the shapes of operators depend on besides their inputs.
struct BatchDims {
    uint32_t sequences = 1;  ///< B
    uint32_t positions = 1;  ///< T, or height * width
    uint32_t sequence = 1;   ///< T of the program, at least `positions`
};

/// Shapes of the outputs of a forward operator; nothing if the inputs do not fit. The number of
/// inputs, outputs and attributes is the operator's.
[[nodiscard]] std::optional<std::vector<Value>> infer_outputs(const Node& node,
                                                              const std::vector<Shape>& in,
                                                              BatchDims dims);

/// Input number whose buffer output 0 of this node may take over, in order of preference; -1: none.
[[nodiscard]] int in_place_input(const Node& node, int choice);

/// int8 multiply-adds of one node.
[[nodiscard]] uint64_t macs_of(const Graph& graph, const Node& node);

[[nodiscard]] AttentionShape attention_shape(const Graph& graph, const Node& node, uint32_t qkv);

}  // namespace trainyard::training
