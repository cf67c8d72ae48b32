// SPDX-License-Identifier: Apache-2.0
// The byte form of whole states: docs/spec/training.md, section 7. Bounded by the program; strict.
#pragma once

#include <optional>
#include <string_view>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/engine.hpp"
#include "training/pool.hpp"
#include "training/program.hpp"

namespace trainyard::training {

enum class StateError {
    truncated,
    wrong_program,
    wrong_shape,
    leftover,
    wrong_root,
    other_version,  ///< of segment records: a format that is not in use any more
};
[[nodiscard]] Bytes encode_state(const ModelState& state, const Hash& program);
void append_state(Bytes& to, const ModelState& state, const Hash& program);
/// Recomputes the state root and compares it where one is expected, before it copies anything.
[[nodiscard]] Result<ModelState, StateError> decode_state(
    const Program& program, BytesView blob, const std::optional<Hash>& expected_root = {},
    Pool* pool = nullptr);
/// The root of the state that `decode_state` gives; copies no tensor.
[[nodiscard]] Result<Hash, StateError> blob_root(const Program& program, BytesView blob,
                                                 Pool* pool = nullptr);
[[nodiscard]] std::string_view to_text(StateError error);

/// What lies before the tensors of a state's bytes.
inline constexpr size_t kStateHeaderBytes = 4 + 32 + 32 + 8 + 8 + 4 + 4;
/// Whether bytes of that number can be a state of the program.
[[nodiscard]] Result<Done, StateError> check_state_size(const Program& program,
                                                        uint64_t size_bytes);
/// All but the tensors, from the first `kStateHeaderBytes` bytes. `id`: of the program.
[[nodiscard]] Result<ModelState, StateError> read_state_header(const Program& program,
                                                               const Hash& id, const uint8_t* at);

}  // namespace trainyard::training
