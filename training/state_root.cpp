// SPDX-License-Identifier: Apache-2.0
// Tiles, leaves and roots of tensors and states.
#include "training/state_root.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::training {

namespace {

constexpr uint8_t kTensorTag = 0x02;
constexpr uint8_t kScalarTag = 0x03;
constexpr uint8_t kFloat32 = 0x01;

/// Roots over the tiles of each tensor become its leaf.
template <class Tensors>
std::vector<Hash> to_leaves(const Tensors& tensors, std::vector<Hash> roots) {
    for (size_t k = 0; k < tensors.size(); ++k) roots[k] = tensor_leaf(tensors[k].shape, roots[k]);
    return roots;
}

std::vector<Hash> leaves_of(const std::vector<const std::vector<Tensor>*>& groups, Pool* pool) {
    std::vector<TensorBytes> tensors;
    for (const auto* group : groups)
        for (const Tensor& t : *group) tensors.emplace_back(t);
    return tensor_leaves(tensors, pool);
}

/// The same where a backend computes.
Result<std::vector<Hash>, EngineError> leaves_of(Backend& backend,
                                                 const std::vector<const TensorSet*>& groups) {
    std::vector<TensorView> tensors;
    for (const TensorSet* group : groups)
        tensors.insert(tensors.end(), group->views().begin(), group->views().end());
    std::vector<Hash> roots(tensors.size());
    const BackendMemory memory(backend, roots.size() * sizeof(Hash));
    if (!memory.ok()) return unexpected(failure_on(backend, EngineError::out_of_memory));
    backend.tile_roots(memory.data(), tensors);
    backend.fetch(roots.data(), memory.data(), roots.size() * sizeof(Hash));
    if (auto done = backend.finish(); !done) return unexpected(engine_error(done.error()));
    return to_leaves(tensors, std::move(roots));
}

Result<Hash, EngineError> root_of(const LiveState& state,
                                  const std::vector<const TensorSet*>& groups,
                                  const Hash& program) {
    auto leaves = leaves_of(state.backend(), groups);
    if (!leaves) return unexpected(leaves.error());
    leaves->push_back(scalar_leaf(state.host(), program));
    return merkle::root(std::move(*leaves));
}

}  // namespace

Hash tensor_leaf(Shape shape, const Hash& tile_root) {
    Bytes bytes{kTensorTag, kFloat32, shape.rank};
    if (shape.rank == 2) append_le(bytes, shape.rows);
    append_le(bytes, shape.cols);
    append(bytes, tile_root.bytes);
    return sha256(bytes);
}

Hash tensor_leaf(const Tensor& tensor, Pool* pool) {
    const TensorBytes bytes = tensor;
    return tensor_leaf(tensor.shape, tile_roots({&bytes, 1}, pool)[0]);
}

std::vector<Hash> tensor_leaves(std::span<const TensorBytes> tensors, Pool* pool) {
    return to_leaves(tensors, tile_roots(tensors, pool));
}

std::vector<Hash> tensor_leaves(const std::vector<Tensor>& tensors, Pool* pool) {
    return leaves_of({&tensors}, pool);
}

std::vector<Hash> tensor_leaves(const TileTrees& trees, Pool* pool) {
    return to_leaves(trees.tensors(), trees.roots(pool));
}

Hash grad_root(const std::vector<Shape>& shapes, const std::vector<Hash>& tile_roots) {
    std::vector<Hash> leaves;
    for (size_t k = 0; k < shapes.size(); ++k)
        leaves.push_back(tensor_leaf(shapes[k], tile_roots[k]));
    return merkle::root(std::move(leaves));
}

Hash grad_root(const std::vector<Tensor>& gradients, Pool* pool) {
    return merkle::root(leaves_of({&gradients}, pool));
}

Result<Hash, EngineError> grad_root(Backend& backend, const TensorSet& gradients) {
    auto leaves = leaves_of(backend, {&gradients});
    if (!leaves) return unexpected(leaves.error());
    return merkle::root(std::move(*leaves));
}

Hash scalar_leaf(const ScalarLeaf& s) {
    Bytes bytes{kScalarTag};
    append_le(bytes, s.step);
    append_le(bytes, s.p1_bits);
    append_le(bytes, s.p2_bits);
    append_le(bytes, s.cursor);
    append(bytes, s.run_seed.bytes);
    append(bytes, s.program.bytes);
    return sha256(bytes);
}

Hash scalar_leaf(const ModelState& s, const Hash& program) {
    return scalar_leaf({s.step, s.p1_bits, s.p2_bits, s.cursor, s.run_seed, program});
}

std::vector<Hash> state_leaves(const ModelState& state, const Hash& program, Pool* pool) {
    std::vector<Hash> leaves = leaves_of({&state.w, &state.m, &state.v}, pool);
    leaves.push_back(scalar_leaf(state, program));
    return leaves;
}

Hash state_root(const ModelState& state, const Hash& program, Pool* pool) {
    return merkle::root(state_leaves(state, program, pool));
}

Hash state_root(std::vector<Hash> tensor_leaves, const ModelState& scalars, const Hash& program) {
    tensor_leaves.push_back(scalar_leaf(scalars, program));
    return merkle::root(std::move(tensor_leaves));
}

Hash initial_root(const Program& program, const Hash& run_seed, BytesView data, Pool* pool) {
    std::vector<Hash> leaves, zeros;
    for_initial_weights(program, run_seed, data, [&](Tensor w) {
        leaves.push_back(tensor_leaf(w, pool));
        std::fill(w.data.begin(), w.data.end(), 0.0F);
        zeros.push_back(tensor_leaf(w, pool));
    });
    for (int kind = 0; kind < 2; ++kind) leaves.insert(leaves.end(), zeros.begin(), zeros.end());
    ModelState start;
    start.run_seed = run_seed;
    return state_root(std::move(leaves), start, program_id(program));
}

std::vector<Hash> weights_leaves(const ModelState& state, const Hash& program, Pool* pool) {
    std::vector<Hash> leaves = leaves_of({&state.w}, pool);
    leaves.push_back(scalar_leaf(state, program));
    return leaves;
}

Hash weights_root(const ModelState& state, const Hash& program, Pool* pool) {
    return merkle::root(weights_leaves(state, program, pool));
}

Result<Hash, EngineError> state_root(const LiveState& state, const Hash& program) {
    return root_of(state, {&state.w(), &state.m(), &state.v()}, program);
}

Result<Hash, EngineError> weights_root(const LiveState& state, const Hash& program) {
    return root_of(state, {&state.w()}, program);
}

}  // namespace trainyard::training
