// SPDX-License-Identifier: Apache-2.0
// The lines of each family of operators; line_of chooses by the table in term.cpp.
#pragma once

#include "training/referee/term.hpp"

namespace trainyard::training::referee {

[[nodiscard]] Line matmul_line(const Call& call, const Term& term);  ///< and linear layers
[[nodiscard]] Line attention_line(const Call& call, const Term& term);
[[nodiscard]] Line attention_grad_line(const Call& call, const Term& term);
[[nodiscard]] Line pointwise_line(const Call& call, const Term& term);  ///< one element from a few
[[nodiscard]] Line rms_norm_line(const Call& call, const Term& term);
[[nodiscard]] Line group_norm_line(const Call& call, const Term& term);  ///< and layer norm
[[nodiscard]] Line softmax_line(const Call& call, const Term& term);
[[nodiscard]] Line loss_line(const Call& call, const Term& term);
[[nodiscard]] Line table_line(const Call& call, const Term& term);     ///< embedding, lookup
[[nodiscard]] Line movement_line(const Call& call, const Term& term);  ///< reshape, slice, concat
[[nodiscard]] Line broadcast_line(const Call& call, const Term& term);
[[nodiscard]] Line image_line(const Call& call, const Term& term);  ///< im2col, up-, downsampling
[[nodiscard]] Line random_line(const Call& call, const Term& term);
[[nodiscard]] Line update_line(const Call& call, const Term& term);  ///< a step beside its units

}  // namespace trainyard::training::referee
