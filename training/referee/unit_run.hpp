// SPDX-License-Identifier: Apache-2.0
// A micro-batch run operator by operator on the host, so that every number of it can be named.
#pragma once

#include <optional>
#include <vector>

#include "training/engine.hpp"
#include "training/referee/slip.hpp"
#include "training/referee/subject.hpp"

namespace trainyard::training::referee {

struct UnitInputs {
    const Program* program = nullptr;
    const std::vector<Tensor>* w = nullptr;
    const std::vector<Tensor>* constants = nullptr;
    const Batch* batch = nullptr;
    Spot spot;
};

struct UnitWishes {
    bool roots = false;
    std::optional<uint32_t> value = std::nullopt;  ///< whose tensor, and its operator's inputs
    const Slip* slip = nullptr;                    ///< of this unit
};

struct UnitNumbers {
    uint32_t loss_bits = 0;
    Tensor losses;
    std::vector<Tensor> gradients;  ///< in parameter order
    std::vector<Hash> roots;        ///< over the tiles of all values that operators yield
    Tensor value;
    std::vector<Tensor> value_inputs;  ///< indices as bits
    bool is_finite = true;             ///< no Inf or NaN met a group to be quantised
};

/// Precondition: the program is valid, and the backend a host's. Error: out_of_memory.
[[nodiscard]] Result<UnitNumbers, EngineError> run_unit(Backend& backend, const UnitInputs& in,
                                                        const UnitWishes& wishes);

}  // namespace trainyard::training::referee
