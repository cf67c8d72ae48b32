// SPDX-License-Identifier: Apache-2.0
// The provider's side of an audit: walks once through the segment and collects what was drawn.
#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "training/audit_format.hpp"
#include "training/update.hpp"

#include <algorithm>

namespace trainyard::training {

namespace {

bundle::Path path_of(const Tensor& tensor, uint32_t tile, const std::vector<Hash>& leaves,
                     size_t at) {
    return {merkle::path(tile_leaves(tensor), tile), merkle::path(leaves, at)};
}

class BundleWriter {
public:
    BundleWriter(const Program& program, const SegmentLog& log, const AuditDraws& draws)
        : program_(program),
          id_(program_id(program)),
          log_(log),
          draws_(draws),
          steps_(bundle::drawn_steps(draws)) {
        content_.state_roots = log.record.state_roots;
        content_.tuples = log.record.tuples;
        content_.tiles.resize(draws.tiles.size());
    }

    Result<Bytes, EngineError> write(Backend& backend) {
        ModelState state = log_.first;
        collect(state);
        for (uint32_t i = 0; i < log_.record.steps(); ++i) {
            collect_gradients(i);
            auto next = advance(backend, state, i);
            if (!next) return unexpected(next.error());
            collect(state);
        }
        return bundle::encode(content_);
    }

private:
    Result<Done, EngineError> advance(Backend& backend, ModelState& state, uint32_t i) const {
        const bool carried = log_.carried_over[i] != 0;
        std::vector<Tensor> w, m, v;
        if (carried) w = state.w, m = state.m, v = state.v;
        auto done = update_with(program_, backend, state, log_.summed_gradients[i],
                                log_.record.tuples[i].norm_bits);
        if (carried) state.w = std::move(w), state.m = std::move(m), state.v = std::move(v);
        return done;
    }

    void collect(const ModelState& state) {
        const std::vector<Hash> leaves = state_leaves(state, id_);
        content_.scalar_paths.push_back(merkle::path(leaves, leaves.size() - 1));
        const size_t count = program_.parameters.size();
        if (std::find(steps_.begin(), steps_.end(), state.step) != steps_.end()) {
            const auto m = leaves.begin() + static_cast<ptrdiff_t>(count);
            const auto v = m + static_cast<ptrdiff_t>(count);
            content_.weights.push_back({static_cast<uint32_t>(state.step),
                                        state.w,
                                        {m, v},
                                        {v, v + static_cast<ptrdiff_t>(count)}});
        }
        for (size_t k = 0; k < draws_.tiles.size(); ++k) {
            const auto [tensor, tile] = draws_.tiles[k];
            bundle::TileTrace& trace = content_.tiles[k];
            if (trace.states.empty()) {
                trace.w = read_tile(state.w[tensor], tile);
                trace.m = read_tile(state.m[tensor], tile);
                trace.v = read_tile(state.v[tensor], tile);
            }
            trace.states.push_back({path_of(state.w[tensor], tile, leaves, tensor),
                                    path_of(state.m[tensor], tile, leaves, count + tensor),
                                    path_of(state.v[tensor], tile, leaves, 2 * count + tensor)});
        }
    }

    void collect_gradients(uint32_t i) {
        const std::vector<Tensor>& gradients = log_.summed_gradients[i];
        std::vector<Hash> leaves;
        for (const Tensor& g : gradients) leaves.push_back(tensor_leaf(g));
        for (size_t k = 0; k < draws_.tiles.size(); ++k) {
            const auto [tensor, tile] = draws_.tiles[k];
            content_.tiles[k].steps.push_back({read_tile(gradients[tensor], tile),
                                               path_of(gradients[tensor], tile, leaves, tensor)});
        }
    }

    const Program& program_;
    Hash id_;
    const SegmentLog& log_;
    const AuditDraws& draws_;
    std::vector<uint32_t> steps_;
    bundle::Content content_;
};

/// A stream of numbers from a seed: number i is SHA-256(20 | seed | i u32), first eight bytes.
class DrawStream {
public:
    explicit DrawStream(const Hash& seed) : seed_(seed) {}
    uint64_t below(uint64_t bound) {
        Bytes bytes{0x20};
        append(bytes, seed_.bytes);
        append_le(bytes, next_++);
        return load_le<uint64_t>(sha256(bytes).data()) % bound;
    }
    /// `count` different numbers below `bound`, in order of drawing.
    std::vector<uint32_t> different(uint32_t count, uint32_t bound) {
        std::vector<uint32_t> all(bound), out;
        for (uint32_t i = 0; i < bound; ++i) all[i] = i;
        for (uint32_t i = 0; i < std::min(count, bound); ++i) {
            std::swap(all[i], all[i + below(bound - i)]);
            out.push_back(all[i]);
        }
        return out;
    }

private:
    Hash seed_;
    uint32_t next_ = 0;
};

}  // namespace

AuditDraws make_draws(const Program& program, const SegmentClaim& claim, const Hash& seed,
                      const DrawCounts& counts) {
    DrawStream stream(seed);
    AuditDraws draws;
    for (const uint32_t i : stream.different(counts.steps, claim.steps))
        for (const uint32_t j : stream.different(counts.units_per_step, program.run.micro_batches))
            draws.units.push_back({claim.first_step + i, j});
    uint64_t total = 0;
    for (const Parameter& p : program.parameters) total += tile_count(p.shape);
    for (uint32_t k = 0; k < counts.tiles; ++k) {
        uint64_t at = stream.below(total);
        uint32_t tensor = 0;
        for (; at >= tile_count(program.parameters[tensor].shape); ++tensor)
            at -= tile_count(program.parameters[tensor].shape);
        draws.tiles.push_back({tensor, static_cast<uint32_t>(at)});
    }
    return draws;
}

Result<Bytes, EngineError> make_bundle(const Program& program, Backend& backend,
                                       const SegmentLog& log, const AuditDraws& draws) {
    if (!bundle::draws_fit(program, log.record.first_step, log.record.steps(), draws))
        return unexpected(EngineError::wrong_shape);
    return BundleWriter(program, log, draws).write(backend);
}

}  // namespace trainyard::training
