// SPDX-License-Identifier: Apache-2.0
// Single calls of every operator behind Backend::apply on odd shapes, to compare backends with.
#pragma once

#include <string>
#include <vector>

#include "training/op.hpp"

namespace trainyard::training {

/// A call without pointers, and its inputs; indices travel as the bits of floats.
struct GeneralCase {
    std::string name;  ///< "softmax 5x37"
    OpCall call;
    std::vector<std::vector<float>> inputs;
};

/// Every operator in at least two shapes: borders of tasks, warps and chunks of sums.
[[nodiscard]] std::vector<GeneralCase> general_cases();

}  // namespace trainyard::training
