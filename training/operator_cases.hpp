// SPDX-License-Identifier: Apache-2.0
// Single calls of the training seam with fixed inputs, to compare one backend with another.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "training/backend.hpp"
#include "training/general_cases.hpp"

namespace trainyard::training {

using Values = std::vector<float>;

/// One call. Token numbers travel as the bits of floats; outputs start as given, which matters
/// where an operator updates in place.
struct OperatorCase {
    std::string name;  ///< "linear 65x130x67"
    std::vector<Values> inputs;
    std::vector<Values> outputs;
    std::function<void(Backend&, std::span<float* const> in, std::span<float* const> out)> call;
};

[[nodiscard]] OperatorCase linear_case(LinearShape s);
[[nodiscard]] OperatorCase linear_grad_case(LinearShape s);
/// Forward and backward: out, stats and dqkv.
[[nodiscard]] OperatorCase attention_case(AttentionShape s);
[[nodiscard]] OperatorCase embedding_case(EmbeddingShape s);
[[nodiscard]] OperatorCase embedding_grad_case(EmbeddingShape s);
/// Forward and backward; `in_place` lets dx be dx_in.
[[nodiscard]] OperatorCase rms_norm_case(MatrixShape s, bool in_place);
[[nodiscard]] OperatorCase cross_entropy_case(MatrixShape s);
[[nodiscard]] OperatorCase cross_entropy_both_case(MatrixShape s);
[[nodiscard]] OperatorCase pointwise_case(size_t count);  ///< add, gelu, gelu_grad
[[nodiscard]] OperatorCase sums_case(size_t count);
[[nodiscard]] OperatorCase adamw_case(size_t count, float clip, float decay);
[[nodiscard]] OperatorCase sgd_case(size_t count, float clip, float decay);
/// The clip factor of this many tensors, the last with the sum of squares `square`, and updates by
/// it.
[[nodiscard]] OperatorCase clip_case(uint32_t tensors, float square, float limit);
/// Many tensors at once by adamw and sgd, and the sum of squares of each.
[[nodiscard]] OperatorCase updates_case();
/// Vectors and matrices of one tile and of many, whole and not.
[[nodiscard]] OperatorCase tile_roots_case();
[[nodiscard]] OperatorCase general_case(const GeneralCase& c);
/// A hidden layer of s.i to s.o with its norm, a head of `classes` and all their gradients as one
/// sequence, the second time: operators that a backend joins with the next, or carries out as a
/// graph.
[[nodiscard]] OperatorCase sequence_case(LinearShape s, uint32_t classes);

/// Odd shapes of every operator: borders of tiles, warps and chunks. About a second of one core of
/// the reference.
[[nodiscard]] std::vector<OperatorCase> operator_cases();

/// `count` values in (-scale, scale) from the Philox stream `stream`; every eleventh is tiny, and
/// every thirteenth is zero.
[[nodiscard]] Values make_values(uint32_t stream, size_t count, float scale);

[[nodiscard]] std::string_view to_text(BackendError error);

/// The outputs of a case on one backend.
[[nodiscard]] Result<std::vector<Values>, BackendError> run_case(Backend& backend,
                                                                 const OperatorCase& c);

/// Compares `backend` with the reference bit by bit; the error says what differs and where.
[[nodiscard]] Result<Done, std::string> check_case(Backend& backend, const OperatorCase& c);

/// The case with an Inf, a NaN or the largest numbers in place of one in `every` of what it reads.
/// Indices, and whatever else is no normal number, stay.
[[nodiscard]] OperatorCase with_extremes(OperatorCase c, uint32_t stream, uint32_t every);

/// As check_case where numbers may be none: both raise the flag, or none does and all outputs are
/// equal, NaNs of whatever bits among each other.
[[nodiscard]] Result<Done, std::string> check_extremes(Backend& backend, const OperatorCase& c);

/// An Inf in a group or in check_finite raises the flag once, and a finite tensor does not.
[[nodiscard]] Result<Done, std::string> check_flags(Backend& backend);

/// A backend that checks states updates them as the reference does, and tells of a flipped bit and
/// of nothing else. Nothing to do for one that does not.
[[nodiscard]] Result<Done, std::string> check_state_sums(Backend& backend);

}  // namespace trainyard::training
