// SPDX-License-Identifier: Apache-2.0
// Merkle roots of tensors, gradients and whole states: docs/spec/numerics.md, section 16.
#pragma once

#include <span>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/engine.hpp"
#include "training/live_state.hpp"
#include "training/tiles.hpp"

namespace trainyard::training {

/// SHA-256(02 | dtype 01 | rank u8 | dims u32 each | root over the tile leaves).
[[nodiscard]] Hash tensor_leaf(Shape shape, const Hash& tile_root);
[[nodiscard]] Hash tensor_leaf(const Tensor& tensor, Pool* pool = nullptr);
[[nodiscard]] std::vector<Hash> tensor_leaves(std::span<const TensorBytes> tensors,
                                              Pool* pool = nullptr);
[[nodiscard]] std::vector<Hash> tensor_leaves(const std::vector<Tensor>& tensors,
                                              Pool* pool = nullptr);

[[nodiscard]] std::vector<Hash> tensor_leaves(const TileTrees& trees, Pool* pool = nullptr);

/// Merkle root over the leaves of gradient tensors in parameter order.
[[nodiscard]] Hash grad_root(const std::vector<Shape>& shapes, const std::vector<Hash>& tile_roots);
[[nodiscard]] Hash grad_root(const std::vector<Tensor>& gradients, Pool* pool = nullptr);
/// The same where a backend computes; waits for it.
[[nodiscard]] Result<Hash, EngineError> grad_root(Backend& backend, const TensorSet& gradients);

/// SHA-256(03 | step u64 | p1 u32 | p2 u32 | cursor u64 | run seed 32 | program id 32).
struct ScalarLeaf {
    uint64_t step = 0;
    uint32_t p1_bits = 0, p2_bits = 0;
    uint64_t cursor = 0;
    Hash run_seed;
    Hash program;
};
[[nodiscard]] Hash scalar_leaf(const ScalarLeaf& scalars);
[[nodiscard]] Hash scalar_leaf(const ModelState& scalars, const Hash& program);

/// Leaves in order: w of every parameter, m of every parameter, v of every parameter, scalars.
[[nodiscard]] std::vector<Hash> state_leaves(const ModelState& state, const Hash& program,
                                             Pool* pool = nullptr);
[[nodiscard]] Hash state_root(const ModelState& state, const Hash& program, Pool* pool = nullptr);
/// The same where a backend computes; waits for it.
[[nodiscard]] Result<Hash, EngineError> state_root(const LiveState& state, const Hash& program);

/// From the leaves of all tensors, and the counters of `scalars`.
[[nodiscard]] Hash state_root(std::vector<Hash> tensor_leaves, const ModelState& scalars,
                              const Hash& program);
/// Of make_initial_state, with the memory of one tensor.
[[nodiscard]] Hash initial_root(const Program& program, const Hash& run_seed, BytesView data,
                                Pool* pool = nullptr);

/// What stands for a state inside a segment. Leaves in order: w of every parameter, scalars.
[[nodiscard]] std::vector<Hash> weights_leaves(const ModelState& state, const Hash& program,
                                               Pool* pool = nullptr);
[[nodiscard]] Hash weights_root(const ModelState& state, const Hash& program, Pool* pool = nullptr);
[[nodiscard]] Result<Hash, EngineError> weights_root(const LiveState& state, const Hash& program);

}  // namespace trainyard::training
