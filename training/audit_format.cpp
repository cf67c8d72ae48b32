// SPDX-License-Identifier: Apache-2.0
// Fixed-layout bytes: every length follows from the program, the claim and the draws.
#include "training/audit_format.hpp"

#include <algorithm>
#include <cstring>

#include "training/state_root.hpp"

namespace trainyard::training::bundle {

namespace {

constexpr uint32_t kMagic = 0x32425954;     // "TYB2"
constexpr uint32_t kOldMagic = 0x31425954;  // "TYB1": state roots of all states

/// How many siblings leaf `index` of `count` has on its way up.
size_t path_length(size_t index, size_t count) {
    size_t length = 0;
    for (; count > 1; index /= 2, count = (count + 1) / 2)
        if ((index ^ 1) < count) ++length;
    return length;
}

class Writer {
public:
    void word(uint32_t x) { append_le(out, x); }
    void hash(const Hash& h) { append(out, h.bytes); }
    void hashes(const std::vector<Hash>& list) {
        for (const Hash& h : list) hash(h);
    }
    void floats(std::span<const float> x) {
        append(out, {reinterpret_cast<const uint8_t*>(x.data()), x.size() * sizeof(float)});
    }
    void path(const Path& p) {
        hashes(p.in_tensor);
        hashes(p.in_root);
    }
    Bytes out;
};

/// Reads fixed widths; after the end it yields zeros and `ok` is false.
class Reader {
public:
    explicit Reader(BytesView bytes) : rest_(bytes) {}
    [[nodiscard]] bool ended() const { return ok_ && rest_.empty(); }
    [[nodiscard]] bool ok() const { return ok_; }

    uint32_t word() {
        uint8_t bytes[4] = {};
        take(bytes, 4);
        return load_le<uint32_t>(bytes);
    }
    uint8_t byte() {
        uint8_t x = 0;
        take(&x, 1);
        return x;
    }
    Hash hash() {
        Hash h;
        take(h.data(), 32);
        return h;
    }
    std::vector<Hash> hashes(size_t count) {
        if (count > rest_.size() / 32) ok_ = false;
        std::vector<Hash> out;
        for (size_t i = 0; ok_ && i < count; ++i) out.push_back(hash());
        return out;
    }
    std::vector<float> floats(size_t count) {
        if (count > rest_.size() / sizeof(float)) ok_ = false;
        std::vector<float> out(ok_ ? count : 0);
        take(reinterpret_cast<uint8_t*>(out.data()), out.size() * sizeof(float));
        return out;
    }
    void skip(size_t count) {
        if (count > rest_.size()) ok_ = false;
        if (ok_) rest_ = rest_.subspan(count);
    }
    [[nodiscard]] size_t left() const { return rest_.size(); }
    Path path(Shape shape, uint32_t tile, size_t tensor, size_t tensors) {
        Path p;
        p.in_tensor = hashes(path_length(tile, tile_count(shape)));
        p.in_root = hashes(path_length(tensor, tensors));
        return p;
    }

private:
    void take(uint8_t* to, size_t count) {
        if (count > rest_.size()) ok_ = false;
        if (!ok_ || count == 0) return;
        std::memcpy(to, rest_.data(), count);
        rest_ = rest_.subspan(count);
    }
    BytesView rest_;
    bool ok_ = true;
};

void write_tile(Writer& w, const TileTrace& tile) {
    w.floats(tile.w);
    w.floats(tile.m);
    w.floats(tile.v);
    for (const auto& paths : tile.states)
        for (const Path& p : paths) w.path(p);
    for (const TileStep& step : tile.steps) {
        w.floats(step.gradient);
        w.path(step.gradient_path);
    }
}

TileTrace read_tile(Reader& r, const Program& program, const CommittedStates& states,
                    uint32_t steps, const TileDraw& draw) {
    const size_t count = program.parameters.size();
    const Shape shape = program.parameters[draw.tensor].shape;
    TileTrace tile;
    tile.w = r.floats(kTileElements);
    tile.m = r.floats(kTileElements);
    tile.v = r.floats(kTileElements);
    for (uint32_t i = 0; r.ok() && i <= steps; ++i) {
        auto& paths = tile.states.emplace_back();
        const StateTree tree = state_tree(program, states, i);
        for (size_t kind = 0; kind < tree.kinds; ++kind)
            paths.push_back(
                r.path(shape, draw.tile, tree.tensor(kind, draw.tensor), tree.leaves()));
    }
    for (uint32_t i = 0; r.ok() && i < steps; ++i) {
        TileStep step;
        step.gradient = r.floats(kTileElements);
        step.gradient_path = r.path(shape, draw.tile, draw.tensor, count);
        tile.steps.push_back(std::move(step));
    }
    return tile;
}

StepTuple read_tuple(Reader& r) {
    StepTuple t;
    t.units_root = r.hash();
    t.grad_root = r.hash();
    t.norm_bits = r.word();
    t.loss_bits = r.word();
    t.nonfinite = r.byte();
    return t;
}

}  // namespace

std::vector<uint32_t> drawn_steps(const AuditDraws& draws) {
    std::vector<uint32_t> steps;
    for (const UnitDraw& u : draws.units) steps.push_back(u.t);
    std::sort(steps.begin(), steps.end());
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    return steps;
}

bool draws_fit(const Program& program, uint32_t first_step, uint32_t steps,
               const AuditDraws& draws) {
    constexpr size_t kDrawsMax = 4096;
    if (steps == 0 || steps > ProgramLimits::segment_length_max || draws.units.size() > kDrawsMax ||
        draws.tiles.size() > kDrawsMax)
        return false;
    for (const UnitDraw& u : draws.units)
        if (u.t < first_step || u.t - first_step >= steps || u.j >= program.run.micro_batches)
            return false;
    for (const TileDraw& d : draws.tiles)
        if (d.tensor >= program.parameters.size() ||
            d.tile >= tile_count(program.parameters[d.tensor].shape))
            return false;
    return true;
}

StateTree state_tree(const Program& program, const CommittedStates& states, size_t i) {
    return {program.parameters.size(), states.is_whole(i) ? size_t{3} : size_t{1}};
}

Bytes encode(const Content& content) {
    Writer w;
    w.word(kMagic);
    w.hash(content.states.first);
    w.hashes(content.states.weights_inside);
    w.hash(content.states.last);
    for (const StepTuple& t : content.tuples) {
        w.hash(t.units_root);
        w.hash(t.grad_root);
        w.word(t.norm_bits);
        w.word(t.loss_bits);
        w.out.push_back(t.nonfinite);
    }
    for (const auto& path : content.scalar_paths) w.hashes(path);
    for (const StepWeights& step : content.weights) {
        for (const Tensor& t : step.w) w.floats(t.data);
        w.hashes(step.m_v_leaves);
    }
    for (const TileTrace& tile : content.tiles) write_tile(w, tile);
    return std::move(w.out);
}

Result<Content, AuditFinding> decode(const Program& program, const SegmentClaim& claim,
                                     const AuditDraws& draws, BytesView bytes) {
    const size_t count = program.parameters.size();
    Reader r(bytes);
    Content c;
    const uint32_t magic = r.word();
    if (magic != kMagic)
        return unexpected(magic == kOldMagic ? AuditFinding::old_bundle : AuditFinding::bad_bundle);
    c.states.first = r.hash();
    c.states.weights_inside = r.hashes(claim.steps - 1);
    c.states.last = r.hash();
    for (uint32_t i = 0; r.ok() && i < claim.steps; ++i) c.tuples.push_back(read_tuple(r));
    for (uint32_t i = 0; r.ok() && i <= claim.steps; ++i) {
        const StateTree tree = state_tree(program, c.states, i);
        c.scalar_paths.push_back(r.hashes(path_length(tree.scalars(), tree.leaves())));
    }
    for (const uint32_t t : drawn_steps(draws)) {
        StepWeights step;
        step.t = t;
        step.at = bytes.size() - r.left();
        for (const Parameter& p : program.parameters) r.skip(p.shape.count() * sizeof(float));
        if (t == claim.first_step) step.m_v_leaves = r.hashes(2 * count);
        if (!r.ok()) return unexpected(AuditFinding::bad_bundle);
        c.weights.push_back(std::move(step));
    }
    for (const TileDraw& draw : draws.tiles) {
        c.tiles.push_back(read_tile(r, program, c.states, claim.steps, draw));
        if (!r.ok()) return unexpected(AuditFinding::bad_bundle);
    }
    if (!r.ended()) return unexpected(AuditFinding::bad_bundle);
    return c;
}

std::vector<TensorBytes> weights_in(const Program& program, const StepWeights& step,
                                    BytesView bytes) {
    std::vector<TensorBytes> w;
    const uint8_t* at = bytes.data() + step.at;
    for (const Parameter& p : program.parameters) {
        w.emplace_back(at, p.shape);
        at += w.back().size();
    }
    return w;
}

}  // namespace trainyard::training::bundle
