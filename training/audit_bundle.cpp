// SPDX-License-Identifier: Apache-2.0
// The provider's side of an audit: walks once through the segment and collects what was drawn.
#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "training/audit_format.hpp"
#include "training/repeat.hpp"
#include "training/update.hpp"

#include <algorithm>

namespace trainyard::training {

namespace {

std::vector<TensorBytes> bytes_of(std::span<const std::vector<Tensor>* const> groups) {
    std::vector<TensorBytes> out;
    for (const auto* group : groups) out.insert(out.end(), group->begin(), group->end());
    return out;
}

/// The bundle for one auditor's draws, of which the segment's walk shows states and gradients.
class Collector {
public:
    Collector(const Program& program, const SegmentRecord& record, const AuditDraws& draws)
        : program_(program), draws_(draws), steps_(bundle::drawn_steps(draws)) {
        content_.states = record.states;
        content_.tuples = record.tuples;
        content_.tiles.resize(draws.tiles.size());
    }

    /// State i of the segment: the trees over what is committed of it, and the leaves of its root.
    void collect(const ModelState& state, uint32_t i, const TileTrees& trees,
                 const std::vector<Hash>& leaves) {
        const bundle::StateTree tree = bundle::state_tree(program_, content_.states, i);
        content_.scalar_paths.push_back(merkle::path(leaves, tree.scalars()));
        if (std::find(steps_.begin(), steps_.end(), state.step) != steps_.end())
            content_.weights.push_back(
                {static_cast<uint32_t>(state.step),
                 state.w,
                 {leaves.begin() + static_cast<ptrdiff_t>(tree.parameters), leaves.end() - 1}});
        for (size_t k = 0; k < draws_.tiles.size(); ++k) {
            const auto [tensor, tile] = draws_.tiles[k];
            bundle::TileTrace& trace = content_.tiles[k];
            if (trace.states.empty()) {
                trace.w = read_tile(state.w[tensor], tile);
                trace.m = read_tile(state.m[tensor], tile);
                trace.v = read_tile(state.v[tensor], tile);
            }
            auto& paths = trace.states.emplace_back();
            for (size_t kind = 0; kind < tree.kinds; ++kind)
                paths.push_back(path_of(trees, tree.tensor(kind, tensor), tile, leaves));
        }
    }

    void collect_gradients(const std::vector<Tensor>& gradients, const TileTrees& trees,
                           const std::vector<Hash>& leaves) {
        for (size_t k = 0; k < draws_.tiles.size(); ++k) {
            const auto [tensor, tile] = draws_.tiles[k];
            content_.tiles[k].steps.push_back(
                {read_tile(gradients[tensor], tile), path_of(trees, tensor, tile, leaves)});
        }
    }

    /// What was collected is free again.
    [[nodiscard]] Bytes take() {
        const bundle::Content content = std::move(content_);
        return bundle::encode(content);
    }

private:
    /// `tensor`: in the order of the trees, which is that of the leaves.
    static bundle::Path path_of(const TileTrees& trees, size_t tensor, uint32_t tile,
                                const std::vector<Hash>& leaves) {
        return {trees.path(tensor, tile), merkle::path(leaves, tensor)};
    }

    const Program& program_;
    const AuditDraws& draws_;
    std::vector<uint32_t> steps_;
    bundle::Content content_;
};

class BundleWriter {
public:
    BundleWriter(const Program& program, Backend& backend, const SegmentLog& log,
                 std::span<const AuditDraws> draws)
        : program_(program), backend_(backend), id_(program_id(program)), log_(log) {
        for (const AuditDraws& d : draws) collectors_.emplace_back(program, log.record, d);
    }

    Result<std::vector<Bytes>, EngineError> write() {
        ModelState state = log_.first;
        auto live = LiveState::load(backend_, program_, state);
        if (!live) return unexpected(live.error());
        collect(state, 0);
        for (uint32_t i = 0; i < log_.record.steps(); ++i) {
            const auto gradients = log_.gradients->read(i);
            if (!gradients) return unexpected(gradients.error());
            if (!collect_gradients(i, *gradients)) return unexpected(EngineError::bad_log);
            auto next = repeat_update(program_, *live, log_, i, *gradients);
            // Inside a segment states are committed to by their weights.
            const bool is_whole = log_.record.states.is_whole(i + 1);
            if (next) next = is_whole ? live->save() : live->save_weights();
            if (!next) return unexpected(next.error());
            collect(state, i + 1);
        }
        std::vector<Bytes> out;
        for (Collector& c : collectors_) out.push_back(c.take());
        return out;
    }

private:
    void collect(const ModelState& state, uint32_t i) {
        const std::vector<Tensor>* kinds[] = {&state.w, &state.m, &state.v};
        const auto committed = std::span(kinds).first(log_.record.states.is_whole(i) ? 3 : 1);
        const TileTrees trees(bytes_of(committed), backend_.pool());
        std::vector<Hash> leaves = tensor_leaves(trees, backend_.pool());
        leaves.push_back(scalar_leaf(state, id_));
        for (Collector& c : collectors_) c.collect(state, i, trees, leaves);
    }

    /// False if they are not those that were committed.
    [[nodiscard]] bool collect_gradients(uint32_t i, const std::vector<Tensor>& gradients) {
        const std::vector<Tensor>* kinds[] = {&gradients};
        const TileTrees trees(bytes_of(kinds), backend_.pool());
        const std::vector<Hash> leaves = tensor_leaves(trees, backend_.pool());
        if (merkle::root(leaves) != log_.record.tuples[i].grad_root) return false;
        for (Collector& c : collectors_) c.collect_gradients(gradients, trees, leaves);
        return true;
    }

    const Program& program_;
    Backend& backend_;
    Hash id_;
    const SegmentLog& log_;
    std::vector<Collector> collectors_;
};

}  // namespace

Result<std::vector<Bytes>, EngineError> make_bundles(const Program& program, Backend& backend,
                                                     const SegmentLog& log,
                                                     std::span<const AuditDraws> draws) {
    for (const AuditDraws& d : draws)
        if (!bundle::draws_fit(program, log.record.first_step, log.record.steps(), d))
            return unexpected(EngineError::wrong_shape);
    return repeat_changed([&] { return BundleWriter(program, backend, log, draws).write(); });
}

Result<Bytes, EngineError> make_bundle(const Program& program, Backend& backend,
                                       const SegmentLog& log, const AuditDraws& draws) {
    auto bundles = make_bundles(program, backend, log, {&draws, 1});
    if (!bundles) return unexpected(bundles.error());
    return std::move(bundles->front());
}

}  // namespace trainyard::training
