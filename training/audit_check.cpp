// SPDX-License-Identifier: Apache-2.0
// The auditor's side: roots, counters, tile trajectories, and the replay of the drawn units.
#include "core/merkle.hpp"
#include "training/audit_format.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/reference/ops.hpp"
#include "training/update.hpp"

namespace trainyard::training {

namespace {

class Auditor {
public:
    Auditor(Engine& engine, const AuditInputs& in, bundle::Content content, BytesView served)
        : engine_(engine),
          program_(engine.program()),
          id_(program_id(program_)),
          in_(in),
          content_(std::move(content)),
          served_(served) {}

    Result<AuditAnswer, EngineError> run() {
        check_spine();
        check_counters();
        for (size_t k = 0; k < content_.tiles.size(); ++k) follow(k);
        auto done = replay_units();
        if (!done) return unexpected(done.error());
        return std::move(answer_);
    }

private:
    void find(AuditFinding finding, uint32_t step, TileDraw tile = {}) {
        if (!answer_.matches()) return;
        answer_.finding = finding;
        answer_.step = step;
        answer_.tile = tile;
    }

    void check_spine() {
        const SegmentClaim& claim = in_.claim;
        if (steps_root(claim.first_step, content_.states, content_.tuples) != claim.steps_root)
            find(AuditFinding::steps_root, claim.first_step);
        const uint32_t end = claim.first_step + claim.steps;
        if (content_.states.first != claim.first_root)
            find(AuditFinding::boundary, claim.first_step);
        if (content_.states.last != claim.last_root) find(AuditFinding::boundary, end);
        if (claim.first_step == 0 &&
            initial_root(program_, in_.run_seed, in_.data, pool()) != claim.first_root)
            find(AuditFinding::boundary, 0);
        for (uint32_t i = 0; i < claim.steps; ++i)
            if (content_.tuples[i].nonfinite != 0 ||
                is_nonfinite(as_float(content_.tuples[i].norm_bits)))
                find(AuditFinding::nonfinite, claim.first_step + i);
    }

    /// Step, cursor, p1, p2, seed and program of every S_t are known without the provider.
    void check_counters() {
        ScalarLeaf s{0, 0x3f800000, 0x3f800000, 0, in_.run_seed, id_};
        const uint64_t records = uint64_t{program_.run.micro_batches} * program_.run.sequences;
        const uint64_t end = uint64_t{in_.claim.first_step} + in_.claim.steps;
        for (;; ++s.step, s.cursor += records) {
            if (s.step >= in_.claim.first_step) {
                const size_t i = s.step - in_.claim.first_step;
                leaves_.push_back(scalar_leaf(s));
                const bundle::StateTree tree = tree_at(i);
                if (!merkle::verify(content_.states.root(i), leaves_.back(), tree.scalars(),
                                    tree.leaves(), content_.scalar_paths[i]))
                    find(AuditFinding::scalars, static_cast<uint32_t>(s.step));
                if (s.step == end) return;
                if (i + 1 <= in_.claim.steps)
                    updates_.push_back(update_scalars(program_, s.step, s.p1_bits, s.p2_bits,
                                                      content_.tuples[i].norm_bits));
            }
            const UpdateScalars next =
                update_scalars(program_, s.step, s.p1_bits, s.p2_bits, 0x3f800000);
            s.p1_bits = next.p1_bits;
            s.p2_bits = next.p2_bits;
        }
    }

    [[nodiscard]] bundle::StateTree tree_at(size_t i) const {
        return bundle::state_tree(program_, content_.states, i);
    }

    [[nodiscard]] bool leads_to(const Hash& root, const std::vector<float>& tile,
                                const TileDraw& draw, const bundle::Path& path, size_t at,
                                size_t leaves) const {
        const Shape shape = program_.parameters[draw.tensor].shape;
        Hash node = tile_leaf(tile);
        const auto tile_root = climb(node, draw.tile, tile_count(shape), path.in_tensor);
        return tile_root &&
               merkle::verify(root, tensor_leaf(shape, *tile_root), at, leaves, path.in_root);
    }

    /// The root that a leaf and its siblings lead to.
    static std::optional<Hash> climb(Hash node, size_t index, size_t count,
                                     const std::vector<Hash>& siblings) {
        size_t used = 0;
        for (; count > 1; index /= 2, count = (count + 1) / 2) {
            if ((index ^ 1) >= count) continue;
            if (used == siblings.size()) return std::nullopt;
            const Hash& other = siblings[used++];
            node = index % 2 == 0 ? merkle::node(node, other) : merkle::node(other, node);
        }
        return used == siblings.size() ? std::optional(node) : std::nullopt;
    }

    /// True if the tile is the one that the root of S_i commits to, as far as it does.
    bool state_holds(const bundle::TileTrace& trace, const TileDraw& draw, size_t i) const {
        const std::vector<float>* tiles[3] = {&trace.w, &trace.m, &trace.v};
        const bundle::StateTree tree = tree_at(i);
        for (size_t kind = 0; kind < tree.kinds; ++kind)
            if (!leads_to(content_.states.root(i), *tiles[kind], draw, trace.states[i][kind],
                          tree.tensor(kind, draw.tensor), tree.leaves()))
                return false;
        return true;
    }

    /// Takes the tile through all updates and finds each result under the next state's root.
    void follow(size_t k) {
        const TileDraw draw = in_.draws.tiles[k];
        bundle::TileTrace& trace = content_.tiles[k];
        const std::vector<bool> inside =
            inside_tile(program_.parameters[draw.tensor].shape, draw.tile);
        if (!state_holds(trace, draw, 0))
            return find(AuditFinding::boundary, in_.claim.first_step, draw);
        for (uint32_t i = 0; i < in_.claim.steps; ++i) {
            const bundle::TileStep& step = trace.steps[i];
            if (!leads_to(content_.tuples[i].grad_root, step.gradient, draw, step.gradient_path,
                          draw.tensor, program_.parameters.size()))
                return find(AuditFinding::gradient, in_.claim.first_step + i, draw);
            update(trace, step.gradient, inside, i, decay_of(program_, draw.tensor));
            if (!state_holds(trace, draw, i + 1))
                return find(AuditFinding::update, in_.claim.first_step + i, draw);
        }
    }

    void update(bundle::TileTrace& tile, const std::vector<float>& gradient,
                const std::vector<bool>& inside, uint32_t i, float wd) const {
        const FloatModeGuard mode;
        const AdamwTensors tensors{tile.w.data(), tile.m.data(), tile.v.data(), gradient.data()};
        if (updates_[i].kind == OptimiserKind::sgd)
            reference::sgd(tensors, kTileElements, updates_[i].sgd, wd);
        else
            reference::adamw(tensors, kTileElements, updates_[i].adamw, wd);
        for (size_t e = 0; e < kTileElements; ++e)
            if (!inside[e]) tile.w[e] = tile.m[e] = tile.v[e] = 0.0F;
    }

    bool weights_hold(const bundle::StepWeights& step,
                      const std::vector<TensorBytes>& weights) const {
        std::vector<Hash> leaves = tensor_leaves(weights, pool());
        leaves.insert(leaves.end(), step.m_v_leaves.begin(), step.m_v_leaves.end());
        const uint32_t i = step.t - in_.claim.first_step;
        leaves.push_back(leaves_[i]);
        return merkle::root(std::move(leaves)) == content_.states.root(i);
    }

    Result<Done, EngineError> replay_units() {
        std::vector<Hash> units(in_.draws.units.size());
        bool complete = true;
        for (const bundle::StepWeights& step : content_.weights) {
            const auto served = bundle::weights_in(program_, step, served_);
            if (!weights_hold(step, served)) {
                find(AuditFinding::weights, step.t);
                complete = false;
                continue;
            }
            Backend& backend = engine_.backend();
            const TensorSet weights = TensorSet::of(backend, served);
            if (!weights.ok()) return unexpected(failure_on(backend, EngineError::out_of_memory));
            engine_.use_weights(weights);
            for (size_t k = 0; k < units.size(); ++k) {
                const UnitDraw draw = in_.draws.units[k];
                if (draw.t != step.t) continue;
                auto unit = run_micro_batch(engine_, in_.data, in_.run_seed, draw.t, draw.j);
                if (!unit) return unexpected(unit.error());
                if (unit->nonfinite) find(AuditFinding::nonfinite, draw.t);
                auto root = grad_root(backend, unit->gradients);
                if (!root) return unexpected(root.error());
                units[k] = unit_leaf(draw.t, draw.j, {unit->loss_bits, *root});
                engine_.recycle(std::move(unit->gradients));
            }
        }
        if (complete) answer_.units = std::move(units);
        return Done{};
    }

    [[nodiscard]] Pool* pool() const { return engine_.backend().pool(); }

    Engine& engine_;
    const Program& program_;
    Hash id_;
    const AuditInputs& in_;
    bundle::Content content_;
    BytesView served_;
    std::vector<Hash> leaves_;            ///< scalar leaves of S_0 ... S_n
    std::vector<UpdateScalars> updates_;  ///< of the n steps, with the claimed norms
    AuditAnswer answer_;
};

}  // namespace

std::string_view to_text(AuditFinding finding) {
    switch (finding) {
        case AuditFinding::match:
            return "match";
        case AuditFinding::bad_bundle:
            return "the bundle is malformed or incomplete";
        case AuditFinding::old_bundle:
            return "the bundle was made by an older version of this program";
        case AuditFinding::steps_root:
            return "roots and steps do not give the committed root";
        case AuditFinding::boundary:
            return "the first or last state is not the committed one";
        case AuditFinding::weights:
            return "the weights served are not those of the state";
        case AuditFinding::scalars:
            return "the counters of a state are wrong";
        case AuditFinding::gradient:
            return "a gradient tile is not the committed one";
        case AuditFinding::update:
            return "a tile was not updated as the program says";
        case AuditFinding::nonfinite:
            return "a step holds Inf or NaN";
    }
    return "unknown finding";
}

Result<AuditAnswer, EngineError> check_bundle_and_audit(Engine& engine, BytesView bundle,
                                                        const AuditInputs& inputs) {
    const Program& program = engine.program();
    const SegmentClaim& claim = inputs.claim;
    if (!bundle::draws_fit(program, claim.first_step, claim.steps, inputs.draws) ||
        uint64_t{claim.first_step} + claim.steps > program.run.steps)
        return unexpected(EngineError::wrong_shape);
    auto content = bundle::decode(program, claim, inputs.draws, bundle);
    if (!content) {
        AuditAnswer answer;
        answer.finding = content.error();
        answer.step = claim.first_step;
        return answer;
    }
    return Auditor(engine, inputs, std::move(*content), bundle).run();
}

}  // namespace trainyard::training
