// SPDX-License-Identifier: Apache-2.0
// A number that comes out wrong, as from memory that flips a bit: for drills and tests.
#pragma once

#include <optional>

#include "training/referee/subject.hpp"

namespace trainyard::training::referee {

/// Everything behind the number is computed from it, honestly.
struct Slip {
    uint32_t step = 0;  ///< within the segment
    uint32_t unit = 0;
    SubjectKind kind = SubjectKind::value;
    uint32_t index = 0;    ///< as Subject::index
    uint32_t element = 0;  ///< of that tensor
    /// The input that the rule reads as `bits`; none: the number itself is `bits`.
    std::optional<Term> input;
    uint32_t bits = 0;
};

using TensorList = std::vector<const Tensor*>;
[[nodiscard]] TensorList list_of(const std::vector<Tensor>& tensors);

/// Where a resolved subject's rule reads its inputs; by a slip of that subject, wrongly.
[[nodiscard]] Inputs reading(const TensorList& in, const Slip* slip);

/// What the slip's number becomes; `subject` is resolved.
[[nodiscard]] uint32_t slipped(const Slip& slip, const Subject& subject, const TensorList& in);

}  // namespace trainyard::training::referee
