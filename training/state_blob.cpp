// SPDX-License-Identifier: Apache-2.0
// Writing and strict reading of a state's bytes.
#include "training/state_blob.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/assert.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kStateMagic = 0x31535954;  // "TYS1"

size_t state_bytes(const Program& program) {
    size_t elements = 0;
    for (const Parameter& p : program.parameters) elements += p.shape.count();
    return kStateHeaderBytes + 3 * sizeof(float) * elements;
}

void append_tensors(Bytes& to, const std::vector<Tensor>& tensors) {
    for (const Tensor& t : tensors) {
        const auto* data = reinterpret_cast<const uint8_t*>(t.data.data());
        append(to, {data, t.data.size() * sizeof(float)});
    }
}

/// w, m and v of a blob that has room for them.
std::vector<TensorBytes> tensors_in(const Program& program, BytesView blob) {
    std::vector<TensorBytes> out;
    const uint8_t* at = blob.data() + kStateHeaderBytes;
    for (int kind = 0; kind < 3; ++kind)
        for (const Parameter& p : program.parameters) {
            out.emplace_back(at, p.shape);
            at += out.back().size();
        }
    return out;
}

}  // namespace

Result<Done, StateError> check_state_size(const Program& program, uint64_t size_bytes) {
    const size_t due = state_bytes(program);
    if (size_bytes < due) return unexpected(StateError::truncated);
    if (size_bytes > due) return unexpected(StateError::leftover);
    return Done{};
}

Result<ModelState, StateError> read_state_header(const Program& program, const Hash& id,
                                                 const uint8_t* at) {
    if (load_le<uint32_t>(at) != kStateMagic || std::memcmp(at + 4, id.data(), 32) != 0)
        return unexpected(StateError::wrong_program);
    at += 36;
    ModelState state;
    state.run_seed = *fixed_from<Hash>({at, 32});
    state.step = load_le<uint64_t>(at + 32);
    state.cursor = load_le<uint64_t>(at + 40);
    state.p1_bits = load_le<uint32_t>(at + 48);
    state.p2_bits = load_le<uint32_t>(at + 52);
    if (state.step > program.run.steps ||
        state.cursor != state.step * program.run.micro_batches * program.run.sequences)
        return unexpected(StateError::wrong_shape);
    return state;
}

void append_state(Bytes& to, const ModelState& state, const Hash& program) {
    size_t elements = 0;
    for (const Tensor& t : state.w) elements += t.data.size();
    to.reserve(to.size() + kStateHeaderBytes + 3 * sizeof(float) * elements);
    append_le(to, kStateMagic);
    append(to, program.bytes);
    append(to, state.run_seed.bytes);
    append_le(to, state.step);
    append_le(to, state.cursor);
    append_le(to, state.p1_bits);
    append_le(to, state.p2_bits);
    for (const auto* tensors : {&state.w, &state.m, &state.v}) append_tensors(to, *tensors);
}

Bytes encode_state(const ModelState& state, const Hash& program) {
    Bytes out;
    append_state(out, state, program);
    return out;
}

Result<ModelState, StateError> decode_state(const Program& program, BytesView blob,
                                            const std::optional<Hash>& expected_root, Pool* pool) {
    if (auto right = check_state_size(program, blob.size()); !right)
        return unexpected(right.error());
    auto state = read_state_header(program, program_id(program), blob.data());
    if (!state) return state;
    if (expected_root && *blob_root(program, blob, pool) != *expected_root)
        return unexpected(StateError::wrong_root);
    auto all = read_tensors(tensors_in(program, blob), pool);
    auto next = std::make_move_iterator(all.begin());
    for (auto* tensors : {&state->w, &state->m, &state->v}) {
        const auto end = next + static_cast<ptrdiff_t>(program.parameters.size());
        tensors->assign(next, end);
        next = end;
    }
    return state;
}

Result<Hash, StateError> blob_root(const Program& program, BytesView blob, Pool* pool) {
    if (auto right = check_state_size(program, blob.size()); !right)
        return unexpected(right.error());
    const Hash id = program_id(program);
    const auto header = read_state_header(program, id, blob.data());
    if (!header) return unexpected(header.error());
    return state_root(tensor_leaves(tensors_in(program, blob), pool), *header, id);
}

std::string_view to_text(StateError error) {
    switch (error) {
        case StateError::truncated:
            return "the bytes end too early";
        case StateError::wrong_program:
            return "made by another program, or not of this format";
        case StateError::wrong_shape:
            return "counters do not fit the program";
        case StateError::leftover:
            return "bytes are left over at the end";
        case StateError::wrong_root:
            return "the content does not have the expected root";
        case StateError::other_version:
            return "written by an older version of this program, with other roots; not readable";
    }
    return "unknown error";
}

}  // namespace trainyard::training
