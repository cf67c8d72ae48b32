// SPDX-License-Identifier: Apache-2.0
// What one side of a dispute computes itself: every number of a segment, down to the inputs of a
// single operator. On the host, one unit at a time.
#pragma once

#include <optional>
#include <vector>

#include "training/referee/game.hpp"
#include "training/referee/slip.hpp"
#include "training/referee/unit_run.hpp"

namespace trainyard::training::referee {

/// One step as this side computes it.
struct StepRun {
    ModelState before, after;
    std::vector<Unit> units;
    std::vector<Tensor> sums;       ///< of the units' gradients
    std::vector<uint32_t> squares;  ///< of each of them
    StepTuple tuple;
};

/// What the sequence of a segment's commitment holds.
struct SegmentRun {
    std::vector<Hash> values;  ///< S_0, x_0, W_1, ..., S_n
    std::vector<Hash> whole;   ///< state roots of S_1 ... S_{n-1}
    uint32_t loss_bits = 0;    ///< of the last step
};

class Witness {
public:
    struct Options {
        ModelState first;  ///< S_0
        uint32_t steps = 1;
        std::optional<Slip> slip = std::nullopt;
    };
    /// `data` and `backend`, a host's, must outlive it. Errors: wrong_shape, out_of_memory.
    [[nodiscard]] static Result<Witness, EngineError> make(const Program& program, BytesView data,
                                                           Backend& backend, Options options);

    [[nodiscard]] const Program& program() const { return program_; }
    [[nodiscard]] const Bytes& encoded_program() const { return encoded_; }
    [[nodiscard]] BytesView data() const { return data_; }
    [[nodiscard]] const ModelState& first() const { return options_.first; }

    /// Runs the whole segment the first time it is called.
    [[nodiscard]] Result<const SegmentRun*, EngineError> segment();
    [[nodiscard]] Result<Claim, EngineError> claim();
    /// Step `t` of the segment, from the first one on; the last one asked for is kept.
    [[nodiscard]] Result<const StepRun*, EngineError> step(uint32_t t);
    [[nodiscard]] Result<UnitNumbers, EngineError> unit(uint32_t t, uint32_t j,
                                                        const UnitWishes& wishes);

    /// The tensor of a subject at this spot of a game, and the inputs of its call by port.
    struct Evidence {
        Tensor tensor;  ///< of one element for a number
        std::vector<Tensor> inputs;
    };
    [[nodiscard]] Result<const Evidence*, EngineError> evidence(const State& state);
    /// The numbers of the line of the game's term, by this side's rule.
    [[nodiscard]] Result<Numbers, EngineError> parts(const State& state);
    /// The first of the numbers that were shown which this side's rule does not give.
    [[nodiscard]] Result<std::optional<uint32_t>, EngineError> first_wrong(const State& state);

private:
    struct EvidenceKey {
        uint32_t step = 0, unit = 0;
        SubjectKind kind = SubjectKind::none;
        uint32_t index = 0;
        bool operator==(const EvidenceKey&) const = default;
    };

    Witness(const Program& program, BytesView data, Backend& backend, Options options,
            std::vector<Tensor> constants);
    [[nodiscard]] const Slip* slip_at(uint32_t t) const;
    [[nodiscard]] Result<Done, EngineError> run_units(StepRun& run, uint32_t t);
    [[nodiscard]] Result<Done, EngineError> run_update(StepRun& run, uint32_t t);
    [[nodiscard]] Result<Evidence, EngineError> value_evidence(const State& state);
    [[nodiscard]] Result<Evidence, EngineError> update_evidence(const State& state);
    [[nodiscard]] Result<Inputs, EngineError> inputs_of(const State& state);
    void slip_in(Tensor& tensor, SubjectKind kind, uint32_t index, const StepRun& run,
                 const TensorList& inputs);

    Program program_;
    Bytes encoded_;
    BytesView data_;
    Backend* backend_;
    Options options_;
    std::vector<Tensor> constants_;
    std::optional<SegmentRun> segment_;
    std::optional<uint32_t> step_number_;
    StepRun step_;
    std::optional<EvidenceKey> evidence_key_;
    Evidence evidence_;
};

}  // namespace trainyard::training::referee
