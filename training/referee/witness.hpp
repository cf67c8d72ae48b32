// SPDX-License-Identifier: Apache-2.0
// What one side of a dispute computes itself: every number of a segment, down to the inputs of a
// single operator. Steps where the machine trains, single tensors of a unit on the host.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "training/engine.hpp"
#include "training/referee/game.hpp"
#include "training/referee/slip.hpp"
#include "training/referee/unit_run.hpp"

namespace trainyard::training::referee {

/// One step as this side computes it. Of one that diverges it has what comes before that: all units
/// and sums, or the units before the one with a gap.
struct StepRun {
    bool diverges = false;
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

/// Over the tiles of what a unit's operators yield, up to where it diverges.
struct UnitRoots {
    std::vector<Hash> roots;
    std::optional<Gap> gap;
};

class Witness {
public:
    static constexpr uint32_t kKeptStates = 3;

    struct Options {
        ModelState first;  ///< S_0
        uint32_t steps = 1;
        std::optional<Slip> slip = std::nullopt;
        Backend* device = nullptr;  ///< computes whole steps, as fast as it trains; none: `backend`
        Cuts cuts = {};             ///< of the plan by which the program fits the device
    };
    /// `data`, `backend`, a host's, and the device must outlive it. Errors: those of Engine::make.
    [[nodiscard]] static Result<Witness, EngineError> make(const Program& program, BytesView data,
                                                           Backend& backend, Options options);

    [[nodiscard]] const Program& program() const { return program_; }
    [[nodiscard]] const Bytes& encoded_program() const { return encoded_; }
    [[nodiscard]] BytesView data() const { return data_; }
    [[nodiscard]] const ModelState& first() const { return states_.at(0); }

    /// Runs what has not run of the first `steps` steps; it may hold more. No number: all of them.
    [[nodiscard]] Result<const SegmentRun*, EngineError> segment(uint32_t steps);
    [[nodiscard]] Result<const SegmentRun*, EngineError> segment();
    [[nodiscard]] Result<Claim, EngineError> claim();
    /// Step `t` of the segment; the last one asked for is kept. Error: diverged.
    [[nodiscard]] Result<const StepRun*, EngineError> step(uint32_t t);
    /// The same, also for the step that diverges; the error is for those behind it.
    [[nodiscard]] Result<const StepRun*, EngineError> step_so_far(uint32_t t);
    /// Unit `j` of it, operator by operator on the host.
    [[nodiscard]] Result<UnitNumbers, EngineError> unit(uint32_t t, uint32_t j,
                                                        const UnitWishes& wishes);
    /// Its roots; the last ones asked for are kept.
    [[nodiscard]] Result<const UnitRoots*, EngineError> unit_roots(uint32_t t, uint32_t j);
    /// The gradients of that unit alone, computed as steps are.
    [[nodiscard]] Result<std::vector<Tensor>, EngineError> gradients(uint32_t t, uint32_t j);

    /// The tensor of a subject at this spot of a game, and the inputs of its call by port.
    struct Evidence {
        Tensor tensor;                ///< of one element for a number; none where there is a gap
        std::optional<uint32_t> gap;  ///< an element that has no number
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

    /// Loss and gradients of a unit, where steps are computed.
    struct UnitResult {
        uint32_t loss_bits = 0;
        TensorSet gradients;
    };

    Witness(const Program& program, BytesView data, Backend& backend, Options options,
            std::vector<Tensor> constants, Engine engine);
    [[nodiscard]] const Slip* slip_in_step() const;
    void begin_step(uint32_t t);
    [[nodiscard]] Result<Done, EngineError> run_kept_step();
    [[nodiscard]] Result<UnitResult, EngineError> run_whole(uint32_t j);
    [[nodiscard]] Result<UnitNumbers, EngineError> run_on_host(uint32_t j,
                                                               const UnitWishes& wishes);
    [[nodiscard]] Result<std::vector<Tensor>, EngineError> gradients_of_units(uint32_t k);
    [[nodiscard]] Result<Done, EngineError> run_units();
    [[nodiscard]] Result<Done, EngineError> run_sums();
    [[nodiscard]] Result<Done, EngineError> run_update();
    void record_step();
    [[nodiscard]] Result<Evidence, EngineError> value_evidence(const State& state);
    [[nodiscard]] Result<Evidence, EngineError> update_evidence(const State& state);
    [[nodiscard]] Result<Inputs, EngineError> inputs_of(const State& state);
    void slip_in(Tensor& tensor, SubjectKind kind, uint32_t index, const TensorList& inputs);

    Program program_;
    Bytes encoded_;
    BytesView data_;
    Backend* backend_;
    std::optional<Slip> slip_;
    uint32_t steps_;
    std::vector<Tensor> constants_;
    Engine engine_;  ///< where steps are computed, with the weights of the step that is kept
    SegmentRun segment_;
    std::optional<uint32_t> step_number_;
    StepRun step_;
    /// States at the start of steps: S_0 and, spread over the segment, kKeptStates others. A game
    /// goes back to one step of a segment that has run, and so repeats a quarter of it at most.
    /// With them, `step_` and what the engine has, a witness holds some seven states.
    std::map<uint32_t, ModelState> states_;
    std::optional<std::pair<uint32_t, uint32_t>> roots_key_;
    UnitRoots roots_;
    std::optional<EvidenceKey> evidence_key_;
    Evidence evidence_;
};

}  // namespace trainyard::training::referee
