// SPDX-License-Identifier: Apache-2.0
// The calls of a graph as the referee sees them.
#pragma once

#include "training/program.hpp"
#include "training/referee/term.hpp"
#include "training/runner.hpp"

namespace trainyard::training::referee {

[[nodiscard]] Call call_of(const Graph& graph, const Node& node, const RunContext& context);

}  // namespace trainyard::training::referee
