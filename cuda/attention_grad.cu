// SPDX-License-Identifier: Apache-2.0
// Attention backward, as forward in attention.cu: docs/spec/numerics.md, section 10.
#include <utility>

#include "cuda/attention.cuh"

namespace trainyard::cuda {

namespace {

using training::AttentionGradInputs;
using training::AttentionNoise;

/// One gradient: where it goes, and the scales of its far operand's columns.
struct GradOut {
    float* c;            ///< element (0, 0) of the first sequence and head of all
    const float* scale;  ///< batch x hd
    float alpha;
};

struct Backward {
    StripInputs in;
    GradOut to[2];
    size_t stride;
    Spread spread;
    float alpha;
    uint32_t* column_maxima;  ///< batch x (of P, of dS) x t
    Words words;  ///< of dS; element (i, j) of head z has index ((z * t) + i) * t + j from idx0 on
    uint32_t* flag;
    StripDue due;
};

/// The rounding words of 16 x 32 elements of dS in the warp's shared memory. Row i has
/// i * t mod 8 words before its first, so that it starts with a whole Philox block. All walks take
/// tiles at multiples of eight, so that what a lane draws and reads is known before them.
template <bool kByColumn>
class WordTile {
public:
    static constexpr uint32_t rows = kByColumn ? 32 : 16, width = kByColumn ? 16 : 32;
    static constexpr uint32_t line = width + 8;
    static constexpr uint32_t bytes = rows * line * sizeof(uint16_t);

    /// `own`: the first of the warp's 16 rows, or columns.
    __device__ WordTile(int8_t* shared, const Words& words, uint32_t t, uint32_t own)
        : words_(words), step_(kByColumn ? t : 1) {
        const uint64_t head = words.idx0 + size_t{own_head()} * t * t;
        const uint32_t row = lane_id() % rows;
        const uint64_t first = head + (kByColumn ? size_t{row} * t + own : (size_t{own} + row) * t);
        block_ = static_cast<uint32_t>(first / 8) + lane_id() / rows;
        has_more_ = first % 8 != 0 && lane_id() / rows == 0;
        auto* const at = reinterpret_cast<uint16_t*>(shared) + threadIdx.x / kWarp * rows * line;
        to_ = at + row * line + lane_id() / rows * 8;
        const uint32_t mine = lane_id() / 4, other = column_of(0, 0);
#pragma unroll
        for (uint32_t i = 0; i < kReads; ++i) {
            const uint32_t read = kByColumn ? other + i : mine;
            const auto before = static_cast<uint32_t>(head) + read * t;
            from_[i] = at + read * line + before % 8 + (kByColumn ? mine : other);
        }
    }
    /// Those that belong to the tile of the other side that begins at `other`.
    __device__ __forceinline__ void draw(uint32_t other) const {
        __syncwarp();  // the words before have been read
        const uint32_t block = block_ + other / 8 * step_;
#pragma unroll
        for (uint32_t i = 0; i < 2; ++i) draw_block(block, i * kApart);
        if (has_more_) draw_block(block, width / 8);
        __syncwarp();
    }
    /// The word of sum e of tile n.
    [[nodiscard]] __device__ __forceinline__ uint32_t of(uint32_t n, uint32_t e) const {
        return kByColumn ? from_[e % kReads][n * 8 * line + e / 2 * 8]
                         : from_[0][e / 2 * 8 * line + n * 8 + e % 2];
    }

private:
    static constexpr uint32_t kApart = kWarp / rows;       ///< lanes draw for one row
    static constexpr uint32_t kReads = kByColumn ? 2 : 1;  ///< rows mod 8 of which a lane reads

    __device__ __forceinline__ void draw_block(uint32_t first, uint32_t i) const {
        const PhiloxWords x = philox({first + i, words_.tensor, words_.step, 0}, words_.seed,
                                     training::kPhiloxRounding);
        *reinterpret_cast<uint4*>(to_ + i * 8) = {x.x0, x.x1, x.x2, x.x3};
    }

    const Words& words_;
    uint32_t step_;   ///< blocks between eight neighbours of the other side
    uint32_t block_;  ///< the lane's first of a tile at 0
    bool has_more_;   ///< the lane draws what a row has behind whole blocks
    uint16_t* to_;
    const uint16_t* from_[kReads];
};

struct Grads {
    float p, ds;
};
/// P and dS of one sum of a strip; zero where nothing is seen.
template <class S, bool kByColumn, bool kFree, class Scores, class Sums>
__device__ __forceinline__ Grads grads_at(const Sums& sums, uint32_t n, uint32_t e,
                                          const OwnRows& own, const PositionTile* others,
                                          const Meeting<kByColumn, kFree>& meets,
                                          const Scores& scores) {
    const Position &mine = own.at[e / 2], other = other_of(others, n, e);
    const Position &i = kByColumn ? other : mine, &j = kByColumn ? mine : other;
    const float score = scores.score(S::value_of(sums[0][n][e]), i, j);
    const float p = mul(exp_of_nonpositive(sub(score, i.max)), i.inverse);
    const float dp = mul(mul(S::value_of(sums[1][n][e]), i.d_out), j.v);
    const float ds = mul(p, sub(dp, i.dot));
    return {meets.at(n, e) ? p : 0.0F, meets.at(n, e) ? ds : 0.0F};
}

/// `most`: the largest magnitudes behind the scales of the lane's rows.
template <class S>
__device__ __forceinline__ void store_grads(const Backward& p, const OwnRows& own, uint32_t col,
                                            const int32_t (&sums)[S::far][S::cols / 8][4],
                                            const uint32_t (&most)[S::far][2]) {
#pragma unroll
    for (uint32_t f = 0; f < S::far; ++f) {
        const GradOut& out = p.to[f];
        float* const head = out.c + p.spread.offset(own_head());
        const float* const sb = out.scale + size_t{own_head()} * p.in.hd;
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            if (own.row(r) >= p.in.t) continue;
            flag_nonfinite(most[f][r], p.flag);
            const float scale = scale_of(most[f][r]).s;
            float* const to = head + own.row(r) * p.stride;
            const auto value = [&](int32_t sum, float of_column) {
                return mul(mul(mul(__int2float_rn(sum), scale), of_column), out.alpha);
            };
            by_two_if_aligned(head, p.stride, p.in.hd, [&](auto by_two) {
#pragma unroll
                for (uint32_t i = 0; i < S::cols / 8; ++i) {
                    const uint32_t c = col + column_of(i, 0), left = c < p.in.hd ? p.in.hd - c : 0;
                    const float2 s = load_two<decltype(by_two)::value>(sb + c, left);
                    store_two<decltype(by_two)::value>(
                        to + c, left,
                        {value(sums[f][i][r * 2], s.x), value(sums[f][i][r * 2 + 1], s.y)});
                }
            });
        }
    }
}

/// The largest magnitudes of the 32 columns of a tile, of which a lane holds eight: after each of
/// three exchanges half of them. Lane l gets that of column `own_column`.
__device__ __forceinline__ float largest_of_column(float (&most)[8]) {
#pragma unroll
    for (uint32_t half = 4; half > 0; half /= 2) {
        const bool takes_upper = (lane_id() / 4 & half) != 0;
#pragma unroll
        for (uint32_t i = 0; i < half; ++i) {
            const float mine = takes_upper ? most[i + half] : most[i];
            const float given = takes_upper ? most[i] : most[i + half];
            most[i] = larger_or_nan(mine, __shfl_xor_sync(kAllLanes, given, half * 4));
        }
    }
    return most[0];
}
__device__ __forceinline__ uint32_t own_column() {
    return column_of(lane_id() / 8, lane_id() / 4);
}

/// The largest magnitudes of dS by row; on the way those of P and dS by column.
template <class S, class Scores>
__device__ __forceinline__ void row_maxima(uint32_t (&amax)[2], Strip<S>& strip, const Backward& p,
                                           const Scores& scores, const OwnRows& own,
                                           const TileRange& range) {
    float largest[2] = {};
    uint32_t* const of_columns = p.column_maxima + size_t{2} * own_head() * p.in.t;
    strip.walk(range, false,
               [&](auto is_free, uint32_t from, auto& sums, const int8_t*, const PositionTile* at) {
                   const Meeting<false, decltype(is_free)::value> meets(p.in, own, from);
                   float most[2][8];
                   for_each_sum([&](uint32_t n, uint32_t e) {
                       const Grads g = grads_at<S>(sums, n, e, own, at, meets, scores);
                       const float size[2] = {g.p, fabsf(g.ds)};
                       largest[e / 2] = larger_or_nan(largest[e / 2], size[1]);
#pragma unroll
                       for (uint32_t f = 0; f < 2; ++f) {
                           float& column = most[f][n * 2 + e % 2];
                           column = e < 2 ? size[f] : larger_or_nan(column, size[f]);
                       }
                   });
                   if (blockIdx.y != 0) return;  // another block of these rows tells them
                   const uint32_t column = from + own_column();
#pragma unroll
                   for (uint32_t f = 0; f < 2; ++f) {
                       const uint32_t bits = magnitude(largest_of_column(most[f]));
                       if (column < p.in.t) atomicMax(of_columns + f * p.in.t + column, bits);
                   }
               });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) amax[r] = quad_max(magnitude(largest[r]));
}

/// The largest magnitudes of P and dS by column, which the blocks by rows have left.
__device__ __forceinline__ void load_column_maxima(uint32_t (&most)[2][2], const Backward& p,
                                                   const OwnRows& own) {
#pragma unroll
    for (uint32_t f = 0; f < 2; ++f)
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            const size_t at = (size_t{2} * own_head() + f) * p.in.t + own.row(r);
            most[f][r] = own.row(r) < p.in.t ? p.column_maxima[at] : 0;
        }
}

/// By rows: one block per 64 rows of dS, dQ = dS K. By columns: one block per 64 columns of P and
/// dS, dV = P^T dO and dK = dS^T Q. Scores are made twice by rows, for all scales and for dQ, and
/// then once by columns.
template <uint32_t kCols, bool kSliced, bool kFolded, bool kByColumn, Checks kChecks>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, kSliced, kByColumn))
    backward_kernel(Backward p) {
    follow_kernel_before();
    using S = StripShape<2, kByColumn ? 2 : 1, kCols, kSliced, kChecks>;
    const uint32_t block = kByColumn ? blockIdx.z : gridDim.z - 1 - blockIdx.z;  // long ones first
    const uint32_t own0 = block * kStripRows, col = blockIdx.y * kCols;
    const TileRange range = range_of<kByColumn>(p.in, own0);
    auto* const shared = shared_memory<int8_t>();
    Strip<S> strip(p.in, p.due, shared, own0, col);
    const OwnRows own(p.in, own0);
    const ScoreScale<kFolded> scores{p.alpha};
    uint32_t most[S::far][2];
    if constexpr (kByColumn)
        load_column_maxima(most, p, own);
    else
        row_maxima(most[0], strip, p, scores, own, range);
    float inv[S::far][2];
#pragma unroll
    for (uint32_t i = 0; i < S::far * 2; ++i) inv[i / 2][i % 2] = scale_of(most[i / 2][i % 2]).inv;
    const WordTile<kByColumn> words(shared + S::bytes, p.words, p.in.t,
                                    own0 + threadIdx.x / kWarp * 16);
    int32_t out[S::far][kCols / 8][4] = {};
    const auto draw = [&](uint32_t from) { words.draw(from); };
    strip.walk(
        range, true, draw,
        [&](auto is_free, uint32_t from, auto& sums, const int8_t* far, const PositionTile* at) {
            uint32_t left[S::far][4], of_p[2][4], of_ds[2][4];
            const Meeting<kByColumn, decltype(is_free)::value> meets(p.in, own, from);
            for_each_sum([&](uint32_t n, uint32_t e) {
                const Grads g = grads_at<S>(sums, n, e, own, at, meets, scores);
                const uint32_t r = e / 2;
                if (kByColumn) of_p[n % 2][e] = nearest_in_byte(g.p, inv[0][r]);
                of_ds[n % 2][e] = stochastic_in_byte(g.ds, inv[S::far - 1][r], words.of(n, e));
                if (n % 2 != 1 || e != 3) return;
                if (kByColumn) pack_pair<0>(left[0], n / 2, of_p);
                pack_pair<2>(left[S::far - 1], n / 2, of_ds);
            });
#pragma unroll
            for (uint32_t f = 0; f < S::far; ++f) {
                multiply_far<kCols>(out[f], left[f], far + f * S::far_bytes);
                strip.check.multiply_columns(left[f], at, f);
            }
        });
#pragma unroll
    for (uint32_t f = 0; f < S::far; ++f) strip.check.add_out(out[f]);
    strip.settle_check(range);
    // Loaded again, as a walk needs all registers.
    if constexpr (kByColumn) load_column_maxima(most, p, own);
    store_grads<S>(p, own, col, out, most);
}

template <bool kByColumn>
void launch_backward(Context& on, const Heads& h, Backward& p) {
    with_columns(on, h, [&](auto cols, auto sliced, auto folded, auto checks) {
        using S = StripShape<2, kByColumn ? 2 : 1, cols(), sliced(), checks()>;
        p.due = foresee_strips(on, h.count, p.in, cols(), kByColumn);
        launch_strips<S>(on, h, backward_kernel<cols(), sliced(), folded(), kByColumn, checks()>,
                         p, kStripWarps * WordTile<kByColumn>::bytes);
    });
}

void backward_group(Context& on, float* dqkv, const AttentionGradInputs& in, const Heads& h,
                    const AttentionNoise& noise) {
    on.begin();
    const Words of_do{noise.seed, noise.step, noise.tensor_do, true, 0};
    const BackwardHeads of = prepare_backward(
        on, h.count, h.of_qkv(in.qkv),
        {h.of_out(in.d_out), h.of_out(in.out), in.stats + size_t{h.first} * h.t * 2, of_do});
    Backward p = {};
    p.in = {{{of.q.q, of.k.q}, {of.d_out.q, of.v.q}},
            {of.k_cols.q, nullptr},
            of.positions,
            h.t,
            h.hd,
            of.q.k,
            of.k_cols.k,
            h.causal};
    p.stride = size_t{3} * h.d;
    p.spread = h.in_rows_of(p.stride);
    p.alpha = h.alpha;
    p.words = {noise.seed, noise.step, noise.tensor_ds, true, uint64_t{h.first} * h.t * h.t};
    p.flag = on.nonfinite_flag();
    const size_t maxima = size_t{2} * h.count * h.t;
    p.column_maxima = on.take<uint32_t>(maxima);
    clear_words(on, p.column_maxima, maxima);
    p.to[0] = {dqkv, of.k_cols.scale, h.alpha};
    launch_backward<false>(on, h, p);
    for (Facing& facing : p.in.facing) std::swap(facing.own, facing.other);
    p.in.far[0] = of.d_out_cols.q, p.in.far[1] = of.q_cols.q;
    p.to[0] = {dqkv + size_t{2} * h.d, of.d_out_cols.scale, 1.0F};
    p.to[1] = {dqkv + h.d, of.q_cols.scale, h.alpha};
    launch_backward<true>(on, h, p);
}

}  // namespace

void attention_grad(Context& on, float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                    const AttentionNoise& noise) {
    for_each_group(on, s, head_bytes(on, s, 4, 3),
                   [&](const Heads& h) { backward_group(on, dqkv, in, h, noise); });
}

}  // namespace trainyard::cuda
