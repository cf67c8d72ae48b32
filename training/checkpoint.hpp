// SPDX-License-Identifier: Apache-2.0
// What a run needs to go on after a crash with the same bits: the losses so far and the state.
#pragma once

#include <vector>

#include "training/state_blob.hpp"

namespace trainyard::training {

struct Checkpoint {
    std::vector<uint32_t> loss_bits;  ///< one per step done
    ModelState state;
};

/// "TYC1" | count u32 | losses u32 each | encode_state.
[[nodiscard]] Bytes encode_checkpoint(const Checkpoint& checkpoint, const Hash& program);
/// Errors: truncated, wrong_program (another program or not a checkpoint), wrong_shape (losses and
/// steps disagree), and those of decode_state.
[[nodiscard]] Result<Checkpoint, StateError> decode_checkpoint(const Program& program,
                                                               BytesView file);
/// Upper bound of a checkpoint's size.
[[nodiscard]] size_t checkpoint_bytes_max(const Program& program);

}  // namespace trainyard::training
