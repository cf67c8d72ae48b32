// SPDX-License-Identifier: Apache-2.0
// The byte layout of audit bundles, shared by the writer and the checker.
#pragma once

#include <vector>

#include "training/audit.hpp"

namespace trainyard::training::bundle {

/// One tile of w, m and v, or of a gradient, with the siblings up to a root.
struct Path {
    std::vector<Hash> in_tensor;  ///< from the tile leaf to the tensor's tile root
    std::vector<Hash> in_root;    ///< from the tensor leaf to the state's or gradients' root
};

struct TileStep {
    std::vector<float> gradient;  ///< 1,024 elements
    Path gradient_path;
};

struct TileTrace {
    std::vector<float> w, m, v;             ///< at S_0
    std::vector<std::vector<Path>> states;  ///< what S_0 ... S_n commit to: w, m, v or w alone
    std::vector<TileStep> steps;            ///< n
};

struct StepWeights {
    uint32_t t = 0;
    std::vector<Tensor> w;         ///< of what was decoded: none, see weights_in
    std::vector<Hash> m_v_leaves;  ///< of m, then of v, at S_0; else none
    size_t at = 0;                 ///< of what was decoded: where w begins in the bytes
};

/// The tree under the root that is committed for a state.
struct StateTree {
    size_t parameters = 0;
    size_t kinds = 0;  ///< 3: w, m and v; 1: w alone
    [[nodiscard]] size_t tensor(size_t kind, size_t parameter) const {
        return kind * parameters + parameter;
    }
    [[nodiscard]] size_t scalars() const { return kinds * parameters; }
    [[nodiscard]] size_t leaves() const { return scalars() + 1; }
};
[[nodiscard]] StateTree state_tree(const Program& program, const CommittedStates& states, size_t i);

struct Content {
    CommittedStates states;
    std::vector<StepTuple> tuples;                ///< n
    std::vector<std::vector<Hash>> scalar_paths;  ///< n + 1
    std::vector<StepWeights> weights;             ///< one per different drawn step, ascending
    std::vector<TileTrace> tiles;                 ///< in order of the draws
};

/// The different steps of the draws, ascending.
[[nodiscard]] std::vector<uint32_t> drawn_steps(const AuditDraws& draws);
/// True if all draws lie inside the segment and the program.
[[nodiscard]] bool draws_fit(const Program& program, uint32_t first_step, uint32_t steps,
                             const AuditDraws& draws);

[[nodiscard]] Bytes encode(const Content& content);
/// Leaves the weights where they are: an auditor needs those of one step at a time.
/// Errors: old_bundle, or bad_bundle unless the bytes have exactly the length that program, claim
/// and draws imply.
[[nodiscard]] Result<Content, AuditFinding> decode(const Program& program,
                                                   const SegmentClaim& claim,
                                                   const AuditDraws& draws, BytesView bytes);
/// The weights of a step in what was decoded from `bytes`.
[[nodiscard]] std::vector<TensorBytes> weights_in(const Program& program, const StepWeights& step,
                                                  BytesView bytes);

}  // namespace trainyard::training::bundle
