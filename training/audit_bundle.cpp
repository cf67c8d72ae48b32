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

class BundleWriter {
public:
    BundleWriter(const Program& program, Backend& backend, const SegmentLog& log,
                 const AuditDraws& draws)
        : program_(program),
          backend_(backend),
          id_(program_id(program)),
          log_(log),
          draws_(draws),
          steps_(bundle::drawn_steps(draws)) {
        content_.states = log.record.states;
        content_.tuples = log.record.tuples;
        content_.tiles.resize(draws.tiles.size());
    }

    Result<Bytes, EngineError> write() {
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
            if (next) next = content_.states.is_whole(i + 1) ? live->save() : live->save_weights();
            if (!next) return unexpected(next.error());
            collect(state, i + 1);
        }
        return bundle::encode(content_);
    }

private:
    void collect(const ModelState& state, uint32_t i) {
        const bundle::StateTree tree = bundle::state_tree(program_, content_.states, i);
        const std::vector<Hash> leaves = content_.states.is_whole(i)
                                             ? state_leaves(state, id_, backend_.pool())
                                             : weights_leaves(state, id_, backend_.pool());
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
            const std::vector<Tensor>* kinds[] = {&state.w, &state.m, &state.v};
            auto& paths = trace.states.emplace_back();
            for (size_t kind = 0; kind < tree.kinds; ++kind)
                paths.push_back(
                    path_of((*kinds[kind])[tensor], tile, leaves, tree.tensor(kind, tensor)));
        }
    }

    /// False if they are not those that were committed.
    [[nodiscard]] bool collect_gradients(uint32_t i, const std::vector<Tensor>& gradients) {
        const std::vector<Hash> leaves = tensor_leaves(gradients, backend_.pool());
        if (merkle::root(leaves) != log_.record.tuples[i].grad_root) return false;
        for (size_t k = 0; k < draws_.tiles.size(); ++k) {
            const auto [tensor, tile] = draws_.tiles[k];
            content_.tiles[k].steps.push_back({read_tile(gradients[tensor], tile),
                                               path_of(gradients[tensor], tile, leaves, tensor)});
        }
        return true;
    }

    [[nodiscard]] bundle::Path path_of(const Tensor& tensor, uint32_t tile,
                                       const std::vector<Hash>& leaves, size_t at) const {
        return {tile_path(tensor, tile, backend_.pool()), merkle::path(leaves, at)};
    }

    const Program& program_;
    Backend& backend_;
    Hash id_;
    const SegmentLog& log_;
    const AuditDraws& draws_;
    std::vector<uint32_t> steps_;
    bundle::Content content_;
};

}  // namespace

Result<Bytes, EngineError> make_bundle(const Program& program, Backend& backend,
                                       const SegmentLog& log, const AuditDraws& draws) {
    if (!bundle::draws_fit(program, log.record.first_step, log.record.steps(), draws))
        return unexpected(EngineError::wrong_shape);
    return repeat_changed([&] { return BundleWriter(program, backend, log, draws).write(); });
}

}  // namespace trainyard::training
