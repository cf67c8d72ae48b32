// SPDX-License-Identifier: Apache-2.0
// Attention forward and backward, causal or full, without T x T matrices in memory:
// docs/spec/numerics.md, section 10.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "cuda/fragments.cuh"
#include "cuda/heads.cuh"
#include "cuda/operators.cuh"
#include "cuda/strips.cuh"

namespace trainyard::cuda {

namespace {

using training::AttentionGradInputs;
using training::AttentionNoise;
using training::AttentionShape;

/// A grid's limit in z is 65,535.
constexpr uint32_t kHeadsMax = 32768;

/// Heads [first, first + count) of all sequences, in the layout of training/backend.hpp.
struct Heads {
    uint32_t t, hd, d, first, count;
    uint32_t heads;
    float alpha;
    bool causal;

    [[nodiscard]] Spread in_rows_of(size_t width) const {
        return {heads, first, size_t{t} * width, hd};
    }
    [[nodiscard]] HeadSources of_qkv(const float* qkv) const {
        const size_t width = size_t{3} * d;
        const auto part = [&](size_t i) {
            return Source{qkv + i * d, t, hd, width, in_rows_of(width)};
        };
        return {part(0), part(1), part(2), alpha};
    }
    [[nodiscard]] Source of_out(const float* out) const { return {out, t, hd, d, in_rows_of(d)}; }
};

Heads heads_of(AttentionShape s) {
    // A square root and a quotient in binary32, rounded once each, are the same on any host.
    const float alpha = 1.0F / std::sqrt(static_cast<float>(s.hd));
    return {s.t, s.hd, s.h * s.hd, 0, 0, s.h, alpha, s.causal};
}

/// Scratch of one head: `rows` operands by position, `cols` by column, scales, positions, maxima.
size_t head_bytes(AttentionShape s, uint32_t rows, uint32_t cols) {
    const size_t row = padded_terms(s.hd, Layout::lines) + 2 * sizeof(float);
    const size_t col = padded_terms(s.t, Layout::paired) + 2 * sizeof(float);
    const size_t maxima = 2 * sizeof(uint32_t);
    return size_t{s.t} * (rows * row + sizeof(Position) + maxima) +
           size_t{s.hd} * cols * (col + sizeof(uint32_t));
}

/// Calls `body` with one group of heads after another: those whose operands fit into the scratch
/// memory, at least one.
template <class Body>
void for_each_group(const Context& on, AttentionShape s, size_t bytes_per_head, const Body& body) {
    const uint32_t total = s.b * s.h;
    const auto fitting = static_cast<uint32_t>(std::clamp<size_t>(
        on.scratch_bytes_max() / std::max<size_t>(bytes_per_head, 1), 1, kHeadsMax));
    Heads heads = heads_of(s);
    for (heads.first = 0; heads.first < total; heads.first += heads.count) {
        heads.count = std::min(fitting, total - heads.first);
        body(heads);
    }
}

/// Blocks for which a multiprocessor should have registers, as many as need not spill any.
constexpr uint32_t strips_at_once(uint32_t cols, bool two_products) {
    return (cols > 64 ? 3 : 4) - (two_products ? 1 : 0);
}

/// Column e mod 2 of tile n, as a lane holds it, of 32.
__device__ __forceinline__ uint32_t column_of(uint32_t n, uint32_t e) {
    return n * 8 + lane_id() % 4 * 2 + e % 2;
}

/// The two rows of a block that a lane holds, r = 0 and 1, and what they see, or are seen by: the
/// columns before `end`, or from `begin` on. Where the matrix has ended they meet nothing.
struct OwnRows {
    uint32_t row[2];
    int32_t begin[2], end[2];
    Position at[2];

    __device__ OwnRows(const StripInputs& in, uint32_t first, bool seen_by) {
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            row[r] = first + threadIdx.x / kWarp * 16 + lane_id() / 4 + r * 8;
            const uint32_t inside = row[r] < in.t ? row[r] : in.t - 1;
            at[r] = in.positions[size_t{blockIdx.z} * in.t + inside];
            begin[r] = in.causal && seen_by ? static_cast<int32_t>(inside) : 0;
            end[r] = static_cast<int32_t>(in.causal && !seen_by ? inside + 1 : in.t);
            if (row[r] >= in.t) end[r] = 0;
        }
    }
};

/// Which columns of one tile the lane's rows meet; one comparison for each sum. By columns the end
/// needs none: behind it positions are zeros, and so are P and dS.
template <bool kByColumn>
struct Meeting {
    int32_t limit[2];

    __device__ Meeting(const OwnRows& own, uint32_t first) {
        const int32_t column = static_cast<int32_t>(first + column_of(0, 0));
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r)
            limit[r] = (kByColumn ? own.begin[r] : own.end[r]) - column;
    }
    [[nodiscard]] __device__ bool at(uint32_t n, uint32_t e) const {
        const auto column = static_cast<int32_t>(n * 8 + e % 2);
        return kByColumn ? column >= limit[e / 2] : column < limit[e / 2];
    }
};

__device__ __forceinline__ float score_of(int32_t sum, const Position& i, const Position& j,
                                          float alpha) {
    return mul(mul(mul(__int2float_rn(sum), i.q), j.k), alpha);
}

/// Calls `body(n, e)` for the 16 sums of a lane.
template <class Body>
__device__ __forceinline__ void for_each_sum(const Body& body) {
#pragma unroll
    for (uint32_t n = 0; n < 4; ++n)
#pragma unroll
        for (uint32_t e = 0; e < 4; ++e) body(n, e);
}

constexpr uint32_t kTilesPerChunk = kChunk / kStripTile;

/// Chunk sums of rows longer than a chunk, in shared memory: 64 rows x chunks, else nullptr.
struct ChunkSums {
    float* at;
    uint32_t count;

    __device__ float* row(uint32_t r) const {
        return at + (threadIdx.x / kWarp * 16 + lane_id() / 4 + r * 8) * count;
    }
    /// The second level of the reduction over the first `used` chunks; a warp reads what it wrote.
    __device__ float sum(uint32_t r, uint32_t used) const {
        __syncwarp();
        float lanes[4][2] = {};
#pragma unroll
        for (uint32_t n = 0; n < 4; ++n)
#pragma unroll
            for (uint32_t e = 0; e < 2; ++e)
                for (uint32_t c = column_of(n, e); c < used; c += kWarp)
                    lanes[n][e] = add(lanes[n][e], row(r)[c]);
        return quad_tree(lanes);
    }
};

struct Forward {
    StripInputs in;
    float* out;  ///< element (0, 0) of the first sequence and head of all
    size_t stride;
    Spread spread;
    float* stats;  ///< of the first head of the group
    float alpha;
    uint32_t chunks;  ///< of a row, if more than one, else 0
    uint32_t* flag;
};

/// The sums of exponentials of the two rows of each lane, in the fixed order.
template <class S>
__device__ __forceinline__ void sum_exponentials(float (&sum)[2], Strip<S>& strip, const Forward& p,
                                                 const OwnRows& own, const float (&max)[2],
                                                 uint32_t last, const ChunkSums& chunks) {
    float lanes[2][4][2] = {};
    strip.walk(0, last, false, [&](uint32_t first, auto& sums, const int8_t*, const Position* at) {
        const Meeting<false> meets(own, first);
        for_each_sum([&](uint32_t n, uint32_t e) {
            const uint32_t r = e / 2;
            const Position& other = at[column_of(n, e)];
            const float score = score_of(sums[0][n][e], own.at[r], other, p.alpha);
            const float x = exp_of_falling(sub(score, max[r]));
            // Adding +0 changes no sum of positive numbers.
            lanes[r][n][e % 2] = add(lanes[r][n][e % 2], meets.at(n, e) ? x : 0.0F);
        });
        const uint32_t tile = first / kStripTile;
        if (chunks.count == 0 || (tile % kTilesPerChunk + 1 != kTilesPerChunk && tile + 1 != last))
            return;
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            const float chunk = quad_tree(lanes[r]);
            if (lane_id() % 4 == 0) chunks.row(r)[tile / kTilesPerChunk] = chunk;
#pragma unroll
            for (uint32_t i = 0; i < 8; ++i) lanes[r][i / 2][i % 2] = 0.0F;
        }
    });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r)
        sum[r] = chunks.count == 0 ? quad_tree(lanes[r])
                                   : chunks.sum(r, (last + kTilesPerChunk - 1) / kTilesPerChunk);
}

/// The largest score of each of the lane's rows; every order gives it, and so do factors that are
/// multiplied last and not negative, because rounding keeps the order.
template <class S>
__device__ __forceinline__ void largest_scores(float (&max)[2], Strip<S>& strip, const Forward& p,
                                               const OwnRows& own, uint32_t last) {
    max[0] = max[1] = as_float(0xff800000);
    strip.walk(0, last, false, [&](uint32_t first, auto& sums, const int8_t*, const Position* at) {
        const Meeting<false> meets(own, first);
        for_each_sum([&](uint32_t n, uint32_t e) {
            const uint32_t r = e / 2;
            const float x =
                mul(mul(__int2float_rn(sums[0][n][e]), own.at[r].q), at[column_of(n, e)].k);
            if (meets.at(n, e)) max[r] = x > max[r] ? x : max[r];
        });
    });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) max[r] = mul(quad_max(max[r]), p.alpha);
}

/// One block per 64 rows and kCols columns of the head, one warp per 16 rows. The scores are made
/// four times: for their maximum, the sum of exponentials, the largest P * sV, and P' V.
template <uint32_t kCols, bool kSliced>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, false))
    forward_kernel(Forward p) {
    using S = StripShape<1, 1, kCols, kSliced>;
    // Long rows first, so that the last blocks to start are short.
    const uint32_t first = (gridDim.x - 1 - blockIdx.x) * kStripRows, col = blockIdx.y * kCols;
    const uint32_t end = p.in.causal && first + kStripRows < p.in.t ? first + kStripRows : p.in.t;
    const uint32_t last = (end + kStripTile - 1) / kStripTile;
    auto* const shared = shared_memory<int8_t>();
    Strip<S> strip(p.in, shared, first, col);
    const OwnRows own(p.in, first, false);
    float max[2], inverse[2];
    largest_scores(max, strip, p, own, last);
    const ChunkSums chunks{reinterpret_cast<float*>(shared + S::bytes), p.chunks};
    sum_exponentials(inverse, strip, p, own, max, last, chunks);
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) inverse[r] = divide(1.0F, inverse[r]);
    // P' = (exp * is) * sV, +0 where nothing is seen.
    const auto value = [&](int32_t sum, uint32_t r, const Position& at, bool meets) {
        const float x = exp_of_falling(sub(score_of(sum, own.at[r], at, p.alpha), max[r]));
        const float weighted = mul(mul(x, inverse[r]), at.v);
        return meets ? weighted : 0.0F;
    };
    uint32_t amax[2] = {0, 0};
    strip.walk(0, last, false, [&](uint32_t from, auto& sums, const int8_t*, const Position* at) {
        const Meeting<false> meets(own, from);
        for_each_sum([&](uint32_t n, uint32_t e) {
            const uint32_t r = e / 2, c = column_of(n, e);
            const uint32_t size = magnitude(value(sums[0][n][e], r, at[c], meets.at(n, e)));
            amax[r] = size > amax[r] ? size : amax[r];
        });
    });
    Scale scale[2];
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        amax[r] = quad_max(amax[r]);
        scale[r] = scale_of(amax[r]);
    }
    int32_t mixed[kCols / 8][4] = {};
    strip.walk(0, last, true,
               [&](uint32_t from, auto& sums, const int8_t* far, const Position* at) {
                   uint32_t left[4] = {};
                   const Meeting<false> meets(own, from);
                   for_each_sum([&](uint32_t n, uint32_t e) {
                       const uint32_t r = e / 2, c = column_of(n, e);
                       const float x = value(sums[0][n][e], r, at[c], meets.at(n, e));
                       put_byte(left, n, e, quantise_nearest(x, scale[r].inv));
                   });
                   multiply_far<kCols>(mixed, left, far);
               });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        if (own.row[r] >= p.in.t) continue;
        flag_nonfinite(amax[r], p.flag);
        if (lane_id() % 4 == 0 && col == 0) {
            float* const stats = p.stats + (size_t{blockIdx.z} * p.in.t + own.row[r]) * 2;
            stats[0] = max[r];
            stats[1] = inverse[r];
        }
        float* const to = p.out + p.spread.offset(blockIdx.z) + own.row[r] * p.stride;
#pragma unroll
        for (uint32_t i = 0; i < kCols / 4; ++i) {
            const uint32_t c = col + i / 2 * 8 + lane_id() % 4 * 2 + i % 2;
            if (c < p.in.hd) to[c] = mul(__int2float_rn(mixed[i / 2][r * 2 + i % 2]), scale[r].s);
        }
    }
}

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
};

/// The rounding words of 16 x 32 elements of dS in the warp's shared memory. Row i has
/// i * t mod 8 words before its first, so that it starts with a whole Philox block.
template <bool kByColumn>
struct WordTile {
    static constexpr uint32_t rows = kByColumn ? 32 : 16, width = kByColumn ? 16 : 32;
    static constexpr uint32_t line = width + 8;
    static constexpr uint32_t bytes = rows * line * sizeof(uint16_t);

    uint16_t* at;

    /// Of rows i0, i0 + 1, ... and columns j0, j0 + 1, ...; j0 is a multiple of 16.
    __device__ void draw(const Words& words, uint32_t t, uint32_t i0, uint32_t j0) const {
        const uint32_t row = lane_id() % rows;
        const uint64_t first = words.idx0 + (size_t{blockIdx.z} * t + i0 + row) * t + j0;
        const auto before = static_cast<uint32_t>(first % 8);
        __syncwarp();  // the words before have been read
        for (uint32_t b = lane_id() / rows; b * 8 < before + width; b += kWarp / rows) {
            const auto block = static_cast<uint32_t>(first / 8 + b);
            const PhiloxWords x =
                philox({block, words.tensor, words.step, 0}, words.seed, training::kPhiloxRounding);
            *reinterpret_cast<uint4*>(at + row * line + b * 8) = {x.x0, x.x1, x.x2, x.x3};
        }
        __syncwarp();
    }
    /// The word of (i0 + i, j0 + j); `before` of that row.
    __device__ uint32_t word(uint32_t i, uint32_t before, uint32_t j) const {
        return at[i * line + before + j];
    }
};

struct Grads {
    float p, ds;
};
__device__ __forceinline__ Grads grads_of(int32_t score, int32_t dp_sum, const Position& i,
                                          const Position& j, float alpha) {
    const float p = mul(exp_of_falling(sub(score_of(score, i, j, alpha), i.max)), i.inverse);
    const float dp = mul(mul(__int2float_rn(dp_sum), i.d_out), j.v);
    return {p, mul(p, sub(dp, i.dot))};
}

/// P and dS of one sum of a strip; zero where nothing is seen.
template <bool kByColumn, class Sums>
__device__ __forceinline__ Grads grads_at(const Sums& sums, uint32_t n, uint32_t e,
                                          const OwnRows& own, const Position* others,
                                          const Meeting<kByColumn>& meets, float alpha) {
    const Position &mine = own.at[e / 2], &other = others[column_of(n, e)];
    const Grads g = grads_of(sums[0][n][e], sums[1][n][e], kByColumn ? other : mine,
                             kByColumn ? mine : other, alpha);
    return {meets.at(n, e) ? g.p : 0.0F, meets.at(n, e) ? g.ds : 0.0F};
}

template <class S>
__device__ __forceinline__ void store_grads(const Backward& p, const OwnRows& own, uint32_t col,
                                            const int32_t (&sums)[S::far][S::cols / 8][4],
                                            const Scale (&scale)[S::far][2]) {
#pragma unroll
    for (uint32_t f = 0; f < S::far; ++f)
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            if (own.row[r] >= p.in.t) continue;
            const GradOut& out = p.to[f];
            float* const to = out.c + p.spread.offset(blockIdx.z) + own.row[r] * p.stride;
            const float* const sb = out.scale + size_t{blockIdx.z} * p.in.hd;
#pragma unroll
            for (uint32_t i = 0; i < S::cols / 4; ++i) {
                const uint32_t c = col + i / 2 * 8 + lane_id() % 4 * 2 + i % 2;
                if (c >= p.in.hd) continue;
                const float x = __int2float_rn(sums[f][i / 2][r * 2 + i % 2]);
                to[c] = mul(mul(mul(x, scale[f][r].s), sb[c]), out.alpha);
            }
        }
}

/// The largest magnitudes of the 32 columns of a tile, of which a lane holds eight: after each of
/// three exchanges half of them. Lane l gets that of column `own_column`.
__device__ __forceinline__ uint32_t largest_of_column(uint32_t (&most)[8]) {
#pragma unroll
    for (uint32_t half = 4; half > 0; half /= 2) {
        const bool takes_upper = (lane_id() / 4 & half) != 0;
#pragma unroll
        for (uint32_t i = 0; i < half; ++i) {
            const uint32_t mine = takes_upper ? most[i + half] : most[i];
            const uint32_t given = takes_upper ? most[i] : most[i + half];
            const uint32_t got = __shfl_xor_sync(kAllLanes, given, half * 4);
            most[i] = got > mine ? got : mine;
        }
    }
    return most[0];
}
__device__ __forceinline__ uint32_t own_column() {
    return column_of(lane_id() / 8, lane_id() / 4);
}

/// The scales of dS by row; on the way the largest magnitudes of P and dS by column.
template <class S>
__device__ __forceinline__ void row_scales(Scale (&scale)[1][2], Strip<S>& strip, const Backward& p,
                                           const OwnRows& own, uint32_t last) {
    uint32_t amax[2] = {};
    uint32_t* const of_columns = p.column_maxima + size_t{2} * blockIdx.z * p.in.t;
    strip.walk(0, last, false, [&](uint32_t from, auto& sums, const int8_t*, const Position* at) {
        const Meeting<false> meets(own, from);
        uint32_t most[2][8] = {};
        for_each_sum([&](uint32_t n, uint32_t e) {
            const Grads g = grads_at<false>(sums, n, e, own, at, meets, p.alpha);
            const uint32_t size[2] = {magnitude(g.p), magnitude(g.ds)};
            amax[e / 2] = size[1] > amax[e / 2] ? size[1] : amax[e / 2];
#pragma unroll
            for (uint32_t f = 0; f < 2; ++f) {
                uint32_t& column = most[f][n * 2 + e % 2];
                column = size[f] > column ? size[f] : column;
            }
        });
        if (blockIdx.y != 0) return;  // another block of these rows tells them
        const uint32_t column = from + own_column();
#pragma unroll
        for (uint32_t f = 0; f < 2; ++f) {
            const uint32_t largest = largest_of_column(most[f]);
            if (column < p.in.t) atomicMax(of_columns + f * p.in.t + column, largest);
        }
    });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        const uint32_t most = quad_max(amax[r]);
        scale[0][r] = scale_of(most);
        if (own.row[r] < p.in.t) flag_nonfinite(most, p.flag);
    }
}

/// The scales of P and dS by column, whose maxima the blocks by rows have left.
__device__ __forceinline__ void column_scales(Scale (&scale)[2][2], const Backward& p,
                                              const OwnRows& own) {
#pragma unroll
    for (uint32_t f = 0; f < 2; ++f)
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            if (own.row[r] >= p.in.t) continue;
            const size_t at = (size_t{2} * blockIdx.z + f) * p.in.t + own.row[r];
            const uint32_t most = p.column_maxima[at];
            scale[f][r] = scale_of(most);
            flag_nonfinite(most, p.flag);
        }
}

/// By rows: one block per 64 rows of dS, dQ = dS K. By columns: one block per 64 columns of P and
/// dS, dV = P^T dO and dK = dS^T Q. Scores are made twice by rows, for all scales and for dQ, and
/// then once by columns.
template <uint32_t kCols, bool kSliced, bool kByColumn>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, kByColumn))
    backward_kernel(Backward p) {
    using S = StripShape<2, kByColumn ? 2 : 1, kCols, kSliced>;
    using Tile = WordTile<kByColumn>;
    const uint32_t block = kByColumn ? blockIdx.x : gridDim.x - 1 - blockIdx.x;  // long rows first
    const uint32_t own0 = block * kStripRows, col = blockIdx.y * kCols;
    const bool is_cut = p.in.causal && !kByColumn && own0 + kStripRows < p.in.t;
    const uint32_t last = ((is_cut ? own0 + kStripRows : p.in.t) + kStripTile - 1) / kStripTile;
    const uint32_t first = p.in.causal && kByColumn ? own0 / kStripTile : 0;
    auto* const shared = shared_memory<int8_t>();
    Strip<S> strip(p.in, shared, own0, col);
    const OwnRows own(p.in, own0, kByColumn);
    Scale scale[S::far][2] = {};
    if constexpr (kByColumn)
        column_scales(scale, p, own);
    else
        row_scales(scale, strip, p, own, last);
    const uint32_t warp = threadIdx.x / kWarp;
    const Tile words{reinterpret_cast<uint16_t*>(shared + S::bytes + warp * Tile::bytes)};
    int32_t out[S::far][kCols / 8][4] = {};
    const auto head = static_cast<uint32_t>(p.words.idx0 + size_t{blockIdx.z} * p.in.t * p.in.t);
    strip.walk(
        first, last, true, [&](uint32_t from, auto& sums, const int8_t* far, const Position* at) {
            const uint32_t warp0 = own0 + warp * 16;
            const uint32_t i0 = kByColumn ? from : warp0;
            words.draw(p.words, p.in.t, i0, kByColumn ? warp0 : from);
            uint32_t left[S::far][4] = {};
            const Meeting<kByColumn> meets(own, from);
            for_each_sum([&](uint32_t n, uint32_t e) {
                const Grads g = grads_at<kByColumn>(sums, n, e, own, at, meets, p.alpha);
                const uint32_t r = e / 2, mine = lane_id() / 4 + r * 8, other = column_of(n, e);
                const uint32_t i = kByColumn ? other : mine;
                const uint32_t word =
                    words.word(i, (head + (i0 + i) * p.in.t) % 8, kByColumn ? mine : other);
                if (kByColumn) put_byte(left[0], n, e, quantise_nearest(g.p, scale[0][r].inv));
                put_byte(left[S::far - 1], n, e,
                         quantise_stochastic(g.ds, scale[S::far - 1][r].inv, word));
            });
#pragma unroll
            for (uint32_t f = 0; f < S::far; ++f)
                multiply_far<kCols>(out[f], left[f], far + f * S::far_bytes);
        });
    store_grads<S>(p, own, col, out, scale);
}

template <class S, class Kernel, class Parameters>
void launch_strips(Context& on, const Heads& h, Kernel* kernel, const Parameters& p,
                   size_t bytes_behind) {
    const size_t bytes = S::bytes + bytes_behind;
    const dim3 grid(blocks_for(h.t, kStripRows), blocks_for(h.hd, S::cols), h.count);
    on.launch({grid, kStripThreads, bytes}, kernel, p);
}

/// Calls `launch` with the number of columns that a block takes of a head, and whether there are
/// more.
template <class Launch>
void with_columns(const Heads& h, const Launch& launch) {
    using std::integral_constant;
    if (h.hd <= 64) return launch(integral_constant<uint32_t, 64>{}, std::false_type{});
    if (h.hd <= 128) return launch(integral_constant<uint32_t, 128>{}, std::false_type{});
    launch(integral_constant<uint32_t, 128>{}, std::true_type{});
}

void forward_group(Context& on, float* out, float* stats, const float* qkv, const Heads& h) {
    on.begin();
    const ForwardHeads of = prepare_forward(on, h.count, h.of_qkv(qkv));
    Forward p = {};
    p.in = {{{of.q.q, of.k.q}, {}},
            {of.v_cols.q, nullptr},
            of.positions,
            h.t,
            h.hd,
            of.q.k,
            of.v_cols.k,
            h.causal};
    p.out = out;
    p.stride = h.d;
    p.spread = h.in_rows_of(h.d);
    p.stats = stats + size_t{h.first} * h.t * 2;
    p.alpha = h.alpha;
    p.chunks = h.t > kChunk ? blocks_for(h.t, kChunk) : 0;
    p.flag = on.nonfinite_flag();
    const size_t chunk_bytes = size_t{p.chunks} * kStripRows * sizeof(float);
    with_columns(h, [&](auto cols, auto sliced) {
        launch_strips<StripShape<1, 1, cols(), sliced()>>(on, h, forward_kernel<cols(), sliced()>,
                                                          p, chunk_bytes);
    });
}

template <bool kByColumn>
void launch_backward(Context& on, const Heads& h, const Backward& p) {
    with_columns(h, [&](auto cols, auto sliced) {
        using S = StripShape<2, kByColumn ? 2 : 1, cols(), sliced()>;
        launch_strips<S>(on, h, backward_kernel<cols(), sliced(), kByColumn>, p,
                         kStripWarps * WordTile<kByColumn>::bytes);
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
    on.set_bytes(p.column_maxima, 0, maxima * sizeof(uint32_t));
    p.to[0] = {dqkv, of.k_cols.scale, h.alpha};
    launch_backward<false>(on, h, p);
    for (Facing& facing : p.in.facing) std::swap(facing.own, facing.other);
    p.in.far[0] = of.d_out_cols.q, p.in.far[1] = of.q_cols.q;
    p.to[0] = {dqkv + size_t{2} * h.d, of.d_out_cols.scale, 1.0F};
    p.to[1] = {dqkv + h.d, of.q_cols.scale, h.alpha};
    launch_backward<true>(on, h, p);
}

}  // namespace

void attention(Context& on, float* out, float* stats, const float* qkv, AttentionShape s) {
    for_each_group(on, s, head_bytes(s, 2, 1),
                   [&](const Heads& h) { forward_group(on, out, stats, qkv, h); });
}

void attention_grad(Context& on, float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                    const AttentionNoise& noise) {
    for_each_group(on, s, head_bytes(s, 4, 3),
                   [&](const Heads& h) { backward_group(on, dqkv, in, h, noise); });
}

}  // namespace trainyard::cuda
