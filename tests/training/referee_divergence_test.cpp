// SPDX-License-Identifier: Apache-2.0
// Disputes over segments whose honest run diverges, while the provider's claim goes on.
#include <limits>
#include <set>

#include "core/merkle.hpp"
#include "tests/training/referee_table.hpp"
#include "training/cpu/backend.hpp"

namespace trainyard::training::referee {
namespace {

float tamed(float x) {
    return is_nonfinite(x) ? 1.0F : x;
}
void tame(float* x, size_t count) {
    for (size_t i = 0; i < count; ++i) x[i] = tamed(x[i]);
}

/// Takes 1 for each Inf and NaN of what it multiplies or takes the loss of, and yields none in a
/// backward pass: so a run always goes on.
class TameBackend final : public cpu::CpuBackend {
public:
    TameBackend() : CpuBackend(kernels_for(CpuPath::best), 1) {}

    void linear(float* y, const float* x, const float* w, LinearShape s) override {
        CpuBackend::linear(y, copy(0, x, size_t{s.n} * s.i), copy(1, w, size_t{s.i} * s.o), s);
    }
    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise noise) override {
        CpuBackend::linear_grad(
            dx, dw,
            {copy(0, in.dy, size_t{s.n} * s.o), copy(1, in.x, size_t{s.n} * s.i),
             copy(2, in.w, size_t{s.i} * s.o)},
            s, noise);
        tame(dx, size_t{s.n} * s.i);
        tame(dw, size_t{s.i} * s.o);
    }
    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override {
        const size_t n = size_t{s.b} * s.t * s.h * s.hd;
        CpuBackend::attention(out, stats, copy(0, qkv, 3 * n), s);
        tame(out, n);
        tame(stats, size_t{s.b} * s.h * s.t * 2);
    }
    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise noise) override {
        const size_t n = size_t{s.b} * s.t * s.h * s.hd;
        CpuBackend::attention_grad(
            dqkv,
            {copy(0, in.d_out, n), copy(1, in.out, n),
             copy(2, in.stats, size_t{s.b} * s.h * s.t * 2), copy(3, in.qkv, 3 * n)},
            s, noise);
        tame(dqkv, 3 * n);
    }
    void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) override {
        CpuBackend::rms_norm_grad(dx, dg, in, s);
        tame(dx, size_t{s.rows} * s.cols);
        tame(dg, s.cols);
    }
    void gelu_grad(float* du, const float* da, const float* u, size_t count) override {
        CpuBackend::gelu_grad(du, da, u, count);
        tame(du, count);
    }
    void cross_entropy(float* losses, const float* z, const uint32_t* targets,
                       MatrixShape s) override {
        CpuBackend::cross_entropy(losses, copy(0, z, size_t{s.rows} * s.cols), targets, s);
    }
    void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                            float inv_n) override {
        CpuBackend::cross_entropy_grad(dz, copy(0, z, size_t{s.rows} * s.cols), targets, s, inv_n);
    }
    /// Of gradients: small enough for their sum.
    void sum_squares(float* out, const float* x, size_t count) override {
        CpuBackend::sum_squares(out, x, count);
        tame(out, 1);
    }
    void check_finite(const float*, size_t) override {}

private:
    const float* copy(size_t slot, const float* x, size_t count) {
        copies_[slot].assign(x, x + count);
        tame(copies_[slot].data(), count);
        return copies_[slot].data();
    }
    Floats copies_[4];
};

/// The numbers of a line of somebody who reads inputs as that backend does.
std::optional<Bytes> tame_parts(Witness& provider, const State& s) {
    const auto evidence = provider.evidence(s);
    if (!evidence) return std::nullopt;
    const auto parts = evaluate_parts(s.subject.call, s.term, [&](uint32_t port, uint32_t e) {
        return bits_of(tamed((*evidence)->inputs[port].data[e]));
    });
    return parts ? std::optional(move::show_parts(*parts)) : std::nullopt;
}

struct Ending {
    State state;
    bool gap = false;  ///< the challenger's own unit has no number there
};

/// Plays until a side has no move that is taken.
Ending play_out(Witness& provider, Witness& challenger) {
    State state = start_of(provider);
    for (int moves = 0; moves < 100; ++moves) {
        std::optional<Bytes> move;
        if (turn_of(state.phase) == Turn::challenger) {
            const auto index = challenger_pick(challenger, state);
            if (index && *index) move = move::pick(**index);
        } else if (state.phase == Phase::show_parts) {
            move = tame_parts(provider, state);
        } else if (const auto own = provider_move(provider, state)) {
            move = *own;
        }
        const auto next = move ? play(state, *move) : unexpected(Refusal::malformed);
        if (!next) break;
        state = *next;
    }
    Ending end{state};
    const auto evidence = challenger.evidence(state);
    end.gap = evidence && (*evidence)->gap;
    return end;
}

/// What came up in games over segments that diverge.
struct Seen {
    int games = 0, in_second_step = 0, gaps = 0, behind_nodes = 0;
    std::set<SubjectKind> subjects;
};

void play_from(const Table& table, const ModelState& first, Seen& seen) {
    TameBackend tame;
    const auto device = make_reference_backend();
    const Job& job = table.job;
    auto provider = *Witness::make(job.program, job.data, tame, {first, kSteps});
    auto challenger = *Witness::make(job.program, job.data, *table.backend,
                                     {first, kSteps, std::nullopt, device.get()});
    const auto own = challenger.segment();
    if (own || !provider.claim()) return;
    ASSERT_EQ(own.error(), EngineError::diverged);
    const Ending end = play_out(provider, challenger);
    EXPECT_EQ(turn_of(end.state.phase), Turn::provider) << to_text(end.state.phase);
    ++seen.games;
    seen.in_second_step += end.state.step == 1 ? 1 : 0;
    seen.gaps += end.gap ? 1 : 0;
    seen.behind_nodes += end.gap && end.state.index > 0 ? 1 : 0;
    seen.subjects.insert(end.state.subject.kind);
}

/// Weights and moments that lead to an Inf sooner or later, each parameter's in turn.
TEST(referee_divergence, a_claim_that_goes_on_loses) {
    const Table table(text_job(), 1);
    Seen seen;
    for (uint32_t k = 0; k < table.job.program.parameters.size(); ++k)
        for (const float large : {1e30F, 1e37F, 3e38F}) {
            ModelState first = table.first();
            first.m[k].data.back() = large;
            play_from(table, first, seen);
            first = table.first();
            first.w[k].data.back() = large;
            play_from(table, first, seen);
        }
    EXPECT_GT(seen.games, 30);
    EXPECT_GT(seen.in_second_step, 20);
    EXPECT_GT(seen.gaps, 20);
    EXPECT_GT(seen.behind_nodes, 5);
    EXPECT_EQ(seen.subjects, (std::set{SubjectKind::value, SubjectKind::squares}));
}

/// A machine whose NaNs have other bits.
class OtherNans final : public cpu::CpuBackend {
public:
    OtherNans() : CpuBackend(kernels_for(CpuPath::best), 1) {}
    int nans = 0;

    void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                   EmbeddingShape s) override {
        CpuBackend::embedding(x, tokens, e, pos, s);
        for (size_t i = 0; i < size_t{s.b} * s.t * s.d; ++i)
            if (x[i] != x[i]) ++nans, x[i] = as_float(0x7f800001 | (bits_of(x[i]) & 0x80000000U));
    }
};

TEST(referee_divergence, values_have_one_root_whatever_bits_a_nan_has) {
    const Table table(text_job());
    ModelState first = table.first();
    first.w[0].data.assign(first.w[0].data.size(), std::numeric_limits<float>::infinity());
    first.w[1].data[0] = -std::numeric_limits<float>::infinity();
    OtherNans other;
    const auto roots_of = [&](Backend& backend) {
        auto witness = *Witness::make(table.job.program, table.job.data, backend, {first, kSteps});
        const auto roots = witness.unit_roots(0, 0);
        EXPECT_TRUE(roots && (*roots)->gap);
        return (*roots)->roots;
    };
    EXPECT_EQ(roots_of(*table.backend), roots_of(other));
    EXPECT_GT(other.nans, 0);
}

TEST(referee_divergence, a_tile_with_another_nan_is_refused) {
    for (const uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7f800001U}) {
        Bytes tile(kTileBytes, 0);
        for (int byte = 0; byte < 4; ++byte) tile[byte] = static_cast<uint8_t>(bits >> (8 * byte));
        State state;
        state.phase = Phase::show_tile;
        state.subject.shape = {1, 1, kTileElements};
        state.node = merkle::leaf(tile);
        const auto next = play(state, move::show_tile(tile));
        if (bits == kNanBits)
            EXPECT_EQ(next->numbers[0], bits);
        else
            EXPECT_EQ(next.error(), Refusal::inconsistent) << bits;
    }
}

}  // namespace
}  // namespace trainyard::training::referee
