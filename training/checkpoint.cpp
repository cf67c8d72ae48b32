// SPDX-License-Identifier: Apache-2.0
// The bytes of a checkpoint.
#include "training/checkpoint.hpp"

namespace trainyard::training {

namespace {
constexpr uint32_t kMagic = 0x31435954;  // "TYC1"
constexpr size_t kHeaderBytes = 8;
}  // namespace

Bytes encode_checkpoint(const Checkpoint& checkpoint, const Hash& program) {
    Bytes out;
    append_le(out, kMagic);
    append_le(out, static_cast<uint32_t>(checkpoint.loss_bits.size()));
    for (const uint32_t bits : checkpoint.loss_bits) append_le(out, bits);
    append_state(out, checkpoint.state, program);
    return out;
}

Result<Checkpoint, StateError> decode_checkpoint(const Program& program, BytesView file) {
    if (file.size() < kHeaderBytes) return unexpected(StateError::truncated);
    if (load_le<uint32_t>(file.data()) != kMagic) return unexpected(StateError::wrong_program);
    const size_t count = load_le<uint32_t>(file.data() + 4);
    if (count > program.run.steps) return unexpected(StateError::wrong_shape);
    const size_t start = kHeaderBytes + count * sizeof(uint32_t);
    if (file.size() < start) return unexpected(StateError::truncated);
    Checkpoint out;
    for (size_t i = 0; i < count; ++i)
        out.loss_bits.push_back(load_le<uint32_t>(file.data() + kHeaderBytes + 4 * i));
    auto state = decode_state(program, file.subspan(start), std::nullopt);
    if (!state) return unexpected(state.error());
    if (state->step != count) return unexpected(StateError::wrong_shape);
    out.state = std::move(*state);
    return out;
}

size_t checkpoint_bytes_max(const Program& program) {
    size_t elements = 0;
    for (const Parameter& p : program.parameters) elements += p.shape.count();
    return 4096 + program.run.steps * sizeof(uint32_t) + 3 * sizeof(float) * elements;
}

}  // namespace trainyard::training
