// SPDX-License-Identifier: Apache-2.0
// What each operator takes and yields: one table row per operator, used by checks and by runs.
#pragma once

#include <string_view>

#include "training/program.hpp"

namespace trainyard::training {

struct OpInfo {
    Op op;
    std::string_view name;
    uint8_t inputs_min, inputs_max, outputs, attributes;
    bool forward;             ///< may stand in an encoded program
    uint8_t parameters_from;  ///< inputs from this one on are parameters (forward operators)
};

/// nullptr for an unknown operator.
[[nodiscard]] const OpInfo* find_op(Op op);

inline constexpr uint32_t kTokensValue = 0;
inline constexpr uint32_t kTargetsValue = 1;
inline constexpr uint32_t kFirstParameterValue = 2;

/// Input number whose buffer output 0 of this node may take over, in order of preference; -1: none.
[[nodiscard]] int in_place_input(const Node& node, int choice);

/// int8 multiply-adds of one node.
[[nodiscard]] uint64_t macs_of(const Graph& graph, const Node& node);

[[nodiscard]] AttentionShape attention_shape(const Graph& graph, uint32_t qkv, uint32_t heads);

}  // namespace trainyard::training
