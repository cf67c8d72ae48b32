// SPDX-License-Identifier: Apache-2.0
// The planner: memory and work of a program, known before anything runs.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "training/backend.hpp"
#include "training/program.hpp"
#include "training/recompute.hpp"

namespace trainyard::training {

/// Where each value of a graph lives. Offsets are in bytes and multiples of 64.
struct Layout {
    static constexpr uint64_t kOutside =
        ~0ull;                      ///< inputs, parameters, gradients: not in the arena
    std::vector<uint64_t> offsets;  ///< one per value
    uint64_t arena_bytes = 0;
};

/// Lays out what the first `node_count` nodes produce so that values alive together never overlap;
/// an operator that may work in place does when its input dies there. Values of `keep` live to the
/// end; those of `outside` have memory elsewhere.
[[nodiscard]] Layout layout_arena(const Graph& graph, size_t node_count,
                                  const std::vector<uint32_t>& keep,
                                  const std::vector<uint32_t>& outside);

struct Plan {
    uint64_t parameter_count = 0;
    uint64_t state_bytes = 0;           ///< w, m and v
    uint64_t gradient_bytes = 0;        ///< one set
    uint64_t constant_bytes = 0;        ///< frozen weights and the like
    uint64_t arena_bytes = 0;           ///< activations of one micro-batch
    uint64_t macs_per_micro_batch = 0;  ///< int8 multiply-adds, forward and backward
    uint64_t macs_per_step = 0;
    uint64_t macs_total = 0;
    uint64_t tokens_per_step = 0;           ///< images if the data is
    uint64_t elements_per_micro_batch = 0;  ///< read and written by all operators
    uint64_t operand_elements = 0;          ///< of the largest quantised operands
    uint64_t scratch_bytes = 0;             ///< rounding words and turned matrices
    uint64_t batch_bytes = 0;               ///< input and targets
    uint64_t stage_elements = 0;            ///< quantised before they are laid out, per thread
    uint64_t head_elements = 0;             ///< the same of one attention head, per thread
    uint64_t head_bytes = 0;
    Cuts cuts;                      ///< of the forward pass; empty: nothing is recomputed
    uint64_t recomputed_nodes = 0;  ///< operators of a micro-batch that run once more
};

/// With `cuts`, memory and work of a run that computes the parts before them twice.
[[nodiscard]] Result<Plan, ProgramFault> plan(const Program& program, const Cuts& cuts = {});

/// Time of a micro-batch, in multiply-adds; a pass over an element costs a CPU as much as 64.
[[nodiscard]] uint64_t unit_work(const Plan& plan);

/// What a run on a host does besides computing.
struct HostUse {
    uint32_t micro_batches = 1;  ///< per step, of this process
    unsigned threads = 1;
    bool saves = false;  ///< writes checkpoints
    OperandMemory operands = {};
};

/// Memory of the operators of a micro-batch on a host: activations, operands, scratch, the batch.
[[nodiscard]] uint64_t operator_bytes(const Plan& plan, unsigned threads, OperandMemory operands);
/// Sets of gradients that the tree over a step's micro-batches holds at once.
[[nodiscard]] uint64_t gradient_sets(uint32_t micro_batches);

/// Memory that training needs on a host, in bytes, beside the data: state, constants, activations,
/// operands, gradients and the partial sums of their tree, and what is written at the end.
[[nodiscard]] uint64_t host_bytes(const Plan& plan, const HostUse& use);

/// Of the plans whose bytes are at most `limit`, one with the least work; if there is none, that
/// with the least memory.
[[nodiscard]] Result<Plan, ProgramFault> least_work_within(
    const Program& program, const std::function<uint64_t(const Plan&)>& bytes_of, uint64_t limit);
/// The same by host_bytes.
[[nodiscard]] Result<Plan, ProgramFault> plan_within(const Program& program, const HostUse& use,
                                                     uint64_t limit);

}  // namespace trainyard::training
