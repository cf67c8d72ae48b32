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

/// An element for which its rule gives no number, as an Inf or NaN meets a group to be quantised.
struct Gap {
    uint32_t value = 0, element = 0;
};

struct UnitNumbers {
    /// Where the unit diverges: what stands at this operator and behind it has not run.
    std::optional<Gap> gap;
    uint32_t loss_bits = 0;
    Tensor losses;
    std::vector<Tensor> gradients;  ///< in parameter order
    std::vector<Hash> roots;        ///< over the tiles of all values that operators yielded
    Tensor value;
    std::vector<Tensor> value_inputs;  ///< indices as bits
};

/// Precondition: the program is valid, and the backend a host's. Errors: out_of_memory; diverged
/// if an operator says so for no element's sake.
[[nodiscard]] Result<UnitNumbers, EngineError> run_unit(Backend& backend, const UnitInputs& in,
                                                        const UnitWishes& wishes);

}  // namespace trainyard::training::referee
