// SPDX-License-Identifier: Apache-2.0
// Commitments over segments of steps: units, step tuples, openings and the provider's log.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/engine.hpp"
#include "training/gradient_log.hpp"
#include "training/state_blob.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {

/// What micro-batch j of step t yields; its leaf is secret until auditors have committed.
struct Unit {
    uint32_t loss_bits = 0;
    Hash grad_root;
    bool operator==(const Unit&) const = default;
};

/// What step t yields; its leaf binds the units, the summed gradients and the clip norm.
struct StepTuple {
    Hash units_root;
    Hash grad_root;
    uint32_t norm_bits = 0;
    uint32_t loss_bits = 0;
    uint8_t nonfinite = 0;
    bool operator==(const StepTuple&) const = default;
};

/// SHA-256(10 | t u32 | j u32 | loss_bits u32 | grad_root 32).
[[nodiscard]] Hash unit_leaf(uint32_t t, uint32_t j, const Unit& unit);
/// SHA-256(11 | t u32 | units_root 32 | grad_root 32 | norm_bits u32 | loss_bits u32 | nonfinite
/// u8).
[[nodiscard]] Hash step_leaf(uint32_t t, const StepTuple& tuple);
/// SHA-256(12 | i u32 | value 32): leaf i of the sequence S_0, x_0, S_1, x_1, ..., S_n.
[[nodiscard]] Hash sequence_leaf(uint32_t i, const Hash& value);
/// Root over the leaves of the whole sequence.
[[nodiscard]] Hash sequence_root(const std::vector<Hash>& values);
[[nodiscard]] Hash units_root(uint32_t t, const std::vector<Unit>& units);

/// What is committed of the states S_0 ... S_n: all of the first and the last, else the weights.
struct CommittedStates {
    Hash first;                        ///< state root of S_0
    std::vector<Hash> weights_inside;  ///< weights roots of S_1 ... S_{n-1}
    Hash last;                         ///< state root of S_n
    /// True if S_i is committed by its state root, false if by its weights root.
    [[nodiscard]] bool is_whole(size_t i) const { return i == 0 || i > weights_inside.size(); }
    /// The root committed for S_i, i <= n.
    [[nodiscard]] const Hash& root(size_t i) const {
        return i == 0 ? first : is_whole(i) ? last : weights_inside[i - 1];
    }
    bool operator==(const CommittedStates&) const = default;
};

/// Everything that the commitment of a segment is made of; small enough to keep for each segment.
struct SegmentRecord {
    uint32_t first_step = 0;
    CommittedStates states;
    std::vector<StepTuple> tuples;         ///< n
    std::vector<std::vector<Unit>> units;  ///< n x M
    [[nodiscard]] uint32_t steps() const { return static_cast<uint32_t>(tuples.size()); }
    bool operator==(const SegmentRecord&) const = default;
};

/// What stands on the chain.
struct SegmentClaim {
    uint32_t first_step = 0;
    uint32_t steps = 0;
    Hash first_root;
    Hash last_root;
    Hash steps_root;
    bool operator==(const SegmentClaim&) const = default;
};

/// Bytes of tensors that a step hashes, over a whole segment's: gradients of its units and, if
/// there are several, of their sum; w; once in a segment m and v.
[[nodiscard]] uint64_t hashed_bytes_per_step(const Program& program);

[[nodiscard]] Hash steps_root(uint32_t first_step, const CommittedStates& states,
                              const std::vector<StepTuple>& tuples);
[[nodiscard]] SegmentClaim claim_of(const SegmentRecord& record);
/// SHA-256 over all unit leaves in order: the answer of a full replay.
[[nodiscard]] Hash replay_digest(const SegmentRecord& record);
/// Mean loss of the last step of the segment, as bits.
[[nodiscard]] uint32_t last_loss_bits(const SegmentRecord& record);

[[nodiscard]] Bytes encode_record(const SegmentRecord& record);
[[nodiscard]] Result<SegmentRecord, StateError> decode_record(const Program& program,
                                                              BytesView encoded);

struct UnitOpening {
    uint32_t t = 0, j = 0;
    Unit unit;
    std::vector<Hash> unit_path;  ///< from the unit leaf to units_root
    StepTuple tuple;
    std::vector<Hash> step_path;  ///< from leaf 2 * (t - first) + 1 to steps_root
};
/// Preconditions: t and j lie inside the record.
[[nodiscard]] UnitOpening open_unit(const SegmentRecord& record, uint32_t t, uint32_t j);
/// True if the opening leads to the claim's steps_root; `micro_batches` is the program's M.
[[nodiscard]] bool verify_unit_opening(const SegmentClaim& claim, uint32_t micro_batches,
                                       const UnitOpening& opening);

/// Test-only faults of a cheating provider. It says so wherever it is switched on.
enum class Fault : uint8_t {
    none,
    skip_steps,       ///< every second step: no training, the state is carried over, values made up
    reuse_gradients,  ///< every second step: the gradients of the step before are used again
    zero_gradients,   ///< every second step: gradients of zero, an honest update on them
    made_up_sums,     ///< every second step: honest units, an update with the gradients of the step
                      ///< before. Level 0 does not see it: docs/spec/audits.md, section 3
    diverge,          ///< the second step is said to diverge
};

/// What a provider keeps of one segment: enough to regenerate every S_t without training again.
struct SegmentLog {
    SegmentRecord record;
    ModelState first;  ///< S_first
    std::shared_ptr<const GradientLog> gradients;
    Fault fault = Fault::none;  ///< of the run that the gradients are from
};

struct SegmentOptions {
    uint32_t steps = 0;
    Fault fault = Fault::none;
    /// Gets the steps done so far in the run; may be empty.
    std::function<void(uint64_t, const StepResult&)> on_step;
    /// State root of the first state where it is known: the last of the segment before.
    std::optional<Hash> first_root = std::nullopt;
};

/// Trains `steps` steps from `state`, which moves to S_last, and hands their gradients to `saver`,
/// which may be at work when this returns. After an error only the counters of `state` are of use;
/// `diverged`: see its step.
[[nodiscard]] Result<SegmentRecord, EngineError> run_segment(Engine& engine, LiveState& state,
                                                             BytesView data,
                                                             const SegmentOptions& options,
                                                             GradientSaver& saver);
/// The same for one segment alone, which keeps its log in memory.
[[nodiscard]] Result<SegmentLog, EngineError> run_segment(Engine& engine, ModelState& state,
                                                          BytesView data,
                                                          const SegmentOptions& options);

/// Step i of the log once more, by its update with the gradients of that step alone; the counters
/// move on.
[[nodiscard]] Result<Done, EngineError> repeat_update(const Program& program, LiveState& state,
                                                      const SegmentLog& log, size_t i,
                                                      const std::vector<Tensor>& gradients);
/// S_t of a segment, by elementwise updates alone. Precondition: first <= t <= first + n.
[[nodiscard]] Result<ModelState, EngineError> regenerate_state(const Program& program,
                                                               Backend& backend,
                                                               const SegmentLog& log, uint32_t t);

struct ReplayResult {
    Hash last_root;
    Hash steps_root;
    Hash digest;             ///< replay_digest, of a run that diverges over the steps before that
    uint32_t loss_bits = 0;  ///< last_loss_bits
    std::optional<uint32_t> diverges_at = {};  ///< a step of the run; then there is no end
};
/// Full replay for the second committee. `first` moves to S_last, or is of no further use.
[[nodiscard]] Result<ReplayResult, EngineError> replay_segment(Engine& engine, BytesView data,
                                                               ModelState& first, uint32_t steps);

}  // namespace trainyard::training
