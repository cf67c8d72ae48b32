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
    return size_t{s.t} * (rows * row + maxima) + position_tiles(s.t) * sizeof(PositionTile) +
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
constexpr uint32_t strips_at_once(uint32_t cols, bool sliced, bool two_products) {
    return (sliced ? 2 : cols > 64 ? 3 : 4) - (two_products ? 1 : 0);
}

/// Which columns of one tile the lane's rows meet, or are met by, all of them if kFree: those
/// before a limit, or from it on; one comparison for each sum. Where the matrix has ended rows meet
/// nothing. By columns the end needs no limit: behind it positions are zeros, and so are P and dS.
template <bool kByColumn, bool kFree>
struct Meeting {
    int32_t limit[2];

    __device__ Meeting(const StripInputs& in, const OwnRows& own, uint32_t first_other) {
        const auto column = static_cast<int32_t>(first_other + column_of(0, 0));
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            const uint32_t row = own.row(r);
            const uint32_t begin = in.causal ? row : 0, end = in.causal ? row + 1 : in.t;
            limit[r] = static_cast<int32_t>(kByColumn ? begin : row < in.t ? end : 0) - column;
        }
    }
    [[nodiscard]] __device__ bool at(uint32_t n, uint32_t e) const {
        const auto column = static_cast<int32_t>(n * 8 + e % 2);
        return kFree || (kByColumn ? column >= limit[e / 2] : column < limit[e / 2]);
    }
};

/// The other side's position that belongs to a sum.
__device__ __forceinline__ Position other_of(const PositionTile* others, uint32_t n, uint32_t e) {
    return others->at(column_of(n, 0) / 2, e % 2 != 0);
}

/// What follows a score: a factor that is still to come. Where alpha is a power of two it is part
/// of the scale of k, `k_alpha`. That changes no digit, except of scores that are below the normal
/// numbers; and those have the same exponential. For next to them a largest score of at least
/// 2^-100 absorbs them (the difference is less than half of its last place), a smaller one, or
/// another score that is smaller than 2^-100, gives a difference whose exponential is 1.
template <bool kFolded>
struct ScoreScale {
    float alpha;

    [[nodiscard]] __device__ __forceinline__ float score(float sum, const Position& i,
                                                         const Position& j) const {
        const float x = mul(sum, i.q);
        return kFolded ? mul(x, j.k_alpha) : mul(mul(x, j.k), alpha);
    }
};

/// Calls `body(n, e)` for the 16 sums of a lane, tile after tile.
template <class Body>
__device__ __forceinline__ void for_each_sum(const Body& body) {
#pragma unroll
    for (uint32_t n = 0; n < 4; ++n)
#pragma unroll
        for (uint32_t e = 0; e < 4; ++e) body(n, e);
}

constexpr uint32_t kTilesPerChunk = kChunk / kStripTile;
constexpr uint32_t kWordBytes = 16;  ///< of a word of all threads, as others are aligned

/// x * inv rounded to nearest, in the lowest byte: 3 * 2^22 leaves no place behind the point.
/// Precondition: x >= 0, as for quantise_nearest.
__device__ __forceinline__ uint32_t nearest_in_byte(float x, float inv) {
    return bits_of(add(mul(x, inv), 0x3p22F));
}
/// As quantise_stochastic, with the result in the third byte.
__device__ __forceinline__ uint32_t stochastic_in_byte(float x, float inv, uint32_t word) {
    return static_cast<uint32_t>(__float2int_rn(mul(x, mul(inv, 65536.0F)))) + word;
}

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
#pragma unroll 1
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

/// The largest score of each of the lane's rows; every order gives it, and so do factors that are
/// multiplied last and not negative, because rounding keeps the order.
template <class S>
__device__ __forceinline__ void largest_scores(float (&max)[2], Strip<S>& strip, const Forward& p,
                                               const OwnRows& own, const TileRange& range) {
    max[0] = max[1] = as_float(0xff800000);
    strip.walk(
        range, false,
        [&](auto is_free, uint32_t first, auto& sums, const int8_t*, const PositionTile* at) {
            const Meeting<false, decltype(is_free)::value> meets(p.in, own, first);
            for_each_sum([&](uint32_t n, uint32_t e) {
                const uint32_t r = e / 2;
                const float sum = S::value_of(sums[0][n][e]);
                const float x = mul(mul(sum, own.at[r].q), other_of(at, n, e).k);
                if (meets.at(n, e)) max[r] = larger_or_nan(max[r], x);
            });
        });
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) max[r] = mul(quad_max(max[r]), p.alpha);
}

/// Of a row: the column whose exponential times sV seems to be the largest so far. The lowest bits
/// of the product give way to the column's place in its tile, so that one comparison keeps both.
struct Largest {
    static constexpr uint32_t places = 8;  ///< of a row in a lane's part of a tile
    uint32_t product, column;

    [[nodiscard]] __device__ __forceinline__ static uint32_t marked(float product, uint32_t n,
                                                                    uint32_t e) {
        return (bits_of(product) & ~(places - 1)) | (n * 2 + e % 2);
    }
    __device__ __forceinline__ void join(const Largest& other) {
        column = other.product > product ? other.column : column;
        product = other.product > product ? other.product : product;
    }
    /// Joins the largest of the lane in the tile that begins at `first`.
    __device__ __forceinline__ void join_tile(uint32_t marked, uint32_t first) {
        join({marked, first + column_of(marked % places / 2, marked % 2)});
    }
    /// Joins the four lanes of the row.
    __device__ __forceinline__ void join_quad() {
        for (uint32_t s = 2; s > 0; s /= 2)
            join({__shfl_xor_sync(kAllLanes, product, s), __shfl_xor_sync(kAllLanes, column, s)});
    }
};

/// What the rows of a lane have in common with all of their columns.
struct RowSums {
    float max[2], inverse[2];
    uint32_t amax[2];  ///< of P', as far as it is known
};

/// P' = (exp * is) * sV of a row and a column of its lanes, or any number if they do not meet.
template <class S, class Scores>
__device__ __forceinline__ float mixed_at(const RowSums& rows, const Strip<S>& strip,
                                          const Forward& p, const Scores& scores,
                                          const OwnRows& own, uint32_t r, uint32_t column) {
    const uint32_t last = p.in.t - 1, row = own.row(r) < last ? own.row(r) : last;
    column = column < last ? column : last;
    const Position other = position_at(p.in, column);
    const float score = scores.score(__int2float_rn(strip.sum_of(row, column)), own.at[r], other);
    const float x = exp_of_nonpositive(sub(score, rows.max[r]));
    return mul(mul(x, rows.inverse[r]), other.v);
}

/// The sums of exponentials of the two rows of each lane, in the fixed order; and which P' should
/// be the largest: the one whose exponential times sV is. Near ones may be taken for each other.
template <class S, class Scores>
__device__ __forceinline__ void sum_exponentials(RowSums& rows, Strip<S>& strip, const Forward& p,
                                                 const Scores& scores, const OwnRows& own,
                                                 const TileRange& range, const ChunkSums& chunks) {
    float lanes[2][4][2] = {};
    Largest largest[2] = {};
    strip.walk(
        range, false,
        [&](auto is_free, uint32_t first, auto& sums, const int8_t*, const PositionTile* at) {
            const Meeting<false, decltype(is_free)::value> meets(p.in, own, first);
            uint32_t marked[2] = {};
            for_each_sum([&](uint32_t n, uint32_t e) {
                const uint32_t r = e / 2;
                const Position other = other_of(at, n, e);
                const float score = scores.score(S::value_of(sums[0][n][e]), own.at[r], other);
                const float all = exp_of_nonpositive(sub(score, rows.max[r]));
                // Adding +0 changes no sum of positive numbers.
                const float x = meets.at(n, e) ? all : 0.0F;
                lanes[r][n][e % 2] = add(lanes[r][n][e % 2], x);
                const uint32_t product = Largest::marked(mul(x, other.v), n, e);
                marked[r] = product > marked[r] ? product : marked[r];
            });
#pragma unroll
            for (uint32_t r = 0; r < 2; ++r) largest[r].join_tile(marked[r], first);
            const uint32_t tile = first / kStripTile;
            if (chunks.count == 0 ||
                (tile % kTilesPerChunk + 1 != kTilesPerChunk && tile + 1 != range.met_last))
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
    for (uint32_t r = 0; r < 2; ++r) {
        const float sum =
            chunks.count == 0
                ? quad_tree(lanes[r])
                : chunks.sum(r, (range.met_last + kTilesPerChunk - 1) / kTilesPerChunk);
        rows.inverse[r] = divide(1.0F, sum);
        largest[r].join_quad();
        rows.amax[r] = magnitude(mixed_at<S>(rows, strip, p, scores, own, r, largest[r].column));
    }
}

/// Sums of P' V, P' = (exp * is) * sV quantised with the scales of `rows.amax`, which is then the
/// largest P' there is. False if that has other scales.
template <class S, class Scores>
__device__ __forceinline__ bool mix_values(int32_t (&mixed)[S::cols / 8][4], RowSums& rows,
                                           Strip<S>& strip, const Forward& p, const Scores& scores,
                                           const OwnRows& own, const TileRange& range) {
    const float inv[2] = {scale_of(rows.amax[0]).inv, scale_of(rows.amax[1]).inv};
    rows.amax[0] = rows.amax[1] = 0;
#pragma unroll
    for (uint32_t i = 0; i < S::cols / 2; ++i) mixed[i / 4][i % 4] = 0;
    strip.walk(
        range, true,
        [&](auto is_free, uint32_t from, auto& sums, const int8_t* far, const PositionTile* at) {
            const Meeting<false, decltype(is_free)::value> meets(p.in, own, from);
            uint32_t left[4], q[2][4];
            for_each_sum([&](uint32_t n, uint32_t e) {
                const uint32_t r = e / 2;
                const Position other = other_of(at, n, e);
                const float score = scores.score(S::value_of(sums[0][n][e]), own.at[r], other);
                const float all = exp_of_nonpositive(sub(score, rows.max[r]));
                const float x = meets.at(n, e) ? mul(mul(all, rows.inverse[r]), other.v) : 0.0F;
                rows.amax[r] = bits_of(x) > rows.amax[r] ? bits_of(x) : rows.amax[r];
                q[n % 2][e] = nearest_in_byte(x, inv[r]);
                if (n % 2 == 1 && e == 3) pack_pair<0>(left, n / 2, q);
            });
            multiply_far<S::cols>(mixed, left, far);
        });
    bool is_right = true;
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        rows.amax[r] = quad_max(rows.amax[r]);
        is_right = is_right &&
                   (own.row(r) >= p.in.t || bits_of(scale_of(rows.amax[r]).inv) == bits_of(inv[r]));
    }
    return is_right;
}

/// Two neighbours of a row, from an even column on. If kByTwo they are one access, else only
/// `left` of them may be there.
template <bool kByTwo>
__device__ __forceinline__ float2 load_two(const float* from, uint32_t left) {
    if (left == 0) return {};
    if constexpr (kByTwo) return *reinterpret_cast<const float2*>(from);
    return {from[0], left > 1 ? from[1] : 0.0F};
}
template <bool kByTwo>
__device__ __forceinline__ void store_two(float* to, uint32_t left, float2 x) {
    if (left == 0) return;
    if constexpr (kByTwo) {
        *reinterpret_cast<float2*>(to) = x;
    } else {
        to[0] = x.x;
        if (left > 1) to[1] = x.y;
    }
}
/// Calls `body(by_two)` with a type that tells which: rows of `hd` columns from `first` on.
template <class Body>
__device__ __forceinline__ void by_two_if_aligned(const float* first, size_t stride, uint32_t hd,
                                                  const Body& body) {
    if ((reinterpret_cast<uintptr_t>(first) / sizeof(float) | stride | hd) % 2 == 0)
        body(std::true_type{});
    else
        body(std::false_type{});
}

template <class S>
__device__ __forceinline__ void store_forward(const Forward& p, const OwnRows& own,
                                              const RowSums& rows, uint32_t col,
                                              const int32_t (&mixed)[S::cols / 8][4]) {
    float* const head = p.out + p.spread.offset(own_head());
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        if (own.row(r) >= p.in.t) continue;
        flag_nonfinite(rows.amax[r], p.flag);
        flag_nonfinite(magnitude(rows.max[r]), p.flag);
        if (lane_id() % 4 == 0 && col == 0) {
            float* const stats = p.stats + (size_t{own_head()} * p.in.t + own.row(r)) * 2;
            stats[0] = rows.max[r];
            stats[1] = rows.inverse[r];
        }
        const float scale = scale_of(rows.amax[r]).s;
        float* const to = head + own.row(r) * p.stride;
        by_two_if_aligned(head, p.stride, p.in.hd, [&](auto by_two) {
#pragma unroll
            for (uint32_t i = 0; i < S::cols / 8; ++i) {
                const uint32_t c = col + column_of(i, 0);
                store_two<decltype(by_two)::value>(
                    to + c, c < p.in.hd ? p.in.hd - c : 0,
                    {mul(__int2float_rn(mixed[i][r * 2]), scale),
                     mul(__int2float_rn(mixed[i][r * 2 + 1]), scale)});
            }
        });
    }
}

/// One block per 64 rows and kCols columns of the head, one warp per 16 rows. The scores are made
/// three times: for their maximum, the sum of exponentials, and P' V, which is made again where
/// the scale of a row was not that of its largest P'.
template <uint32_t kCols, bool kSliced, bool kFolded>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, kSliced, false))
    forward_kernel(Forward p) {
    using S = StripShape<1, 1, kCols, kSliced>;
    // Long rows first, so that the last blocks to start are short.
    const uint32_t first = (gridDim.z - 1 - blockIdx.z) * kStripRows, col = blockIdx.y * kCols;
    const TileRange range = range_of<false>(p.in, first);
    auto* const shared = shared_memory<int8_t>();
    auto* const is_wrong = reinterpret_cast<uint32_t*>(shared + S::bytes);
    Strip<S> strip(p.in, shared, first, col);
    const OwnRows own(p.in, first);
    const ScoreScale<kFolded> scores{p.alpha};
    RowSums rows;
    largest_scores(rows.max, strip, p, own, range);
    const ChunkSums chunks{reinterpret_cast<float*>(shared + S::bytes + kWordBytes), p.chunks};
    sum_exponentials(rows, strip, p, scores, own, range, chunks);
    int32_t mixed[kCols / 8][4];
    bool again = true;
    while (again) {
        if (threadIdx.x == 0) *is_wrong = 0;
        if (!mix_values(mixed, rows, strip, p, scores, own, range)) atomicOr(is_wrong, 1U);
        __syncthreads();
        again = *is_wrong != 0;
        __syncthreads();
    }
    store_forward<S>(p, own, rows, col, mixed);
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
template <uint32_t kCols, bool kSliced, bool kFolded, bool kByColumn>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, kSliced, kByColumn))
    backward_kernel(Backward p) {
    using S = StripShape<2, kByColumn ? 2 : 1, kCols, kSliced>;
    const uint32_t block = kByColumn ? blockIdx.z : gridDim.z - 1 - blockIdx.z;  // long ones first
    const uint32_t own0 = block * kStripRows, col = blockIdx.y * kCols;
    const TileRange range = range_of<kByColumn>(p.in, own0);
    auto* const shared = shared_memory<int8_t>();
    Strip<S> strip(p.in, shared, own0, col);
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
            for (uint32_t f = 0; f < S::far; ++f)
                multiply_far<kCols>(out[f], left[f], far + f * S::far_bytes);
        });
    // Loaded again, as a walk needs all registers.
    if constexpr (kByColumn) load_column_maxima(most, p, own);
    store_grads<S>(p, own, col, out, most);
}

template <class S, class Kernel, class Parameters>
void launch_strips(Context& on, const Heads& h, Kernel* kernel, const Parameters& p,
                   size_t bytes_behind) {
    const size_t bytes = S::bytes + bytes_behind;
    const dim3 grid(h.count, blocks_for(h.hd, S::cols), blocks_for(h.t, kStripRows));
    on.launch({grid, kStripThreads, bytes}, kernel, p);
}

/// Calls `launch` with the number of columns that a block takes of a head, whether there are more,
/// and whether alpha is a power of two, for the commonest heads.
template <class Launch>
void with_columns(const Heads& h, const Launch& launch) {
    using std::false_type, std::integral_constant, std::true_type;
    const bool is_folded = h.hd == 16 || h.hd == 64;
    if (is_folded) return launch(integral_constant<uint32_t, 64>{}, false_type{}, true_type{});
    if (h.hd <= 64) return launch(integral_constant<uint32_t, 64>{}, false_type{}, false_type{});
    if (h.hd <= 128) return launch(integral_constant<uint32_t, 128>{}, false_type{}, false_type{});
    launch(integral_constant<uint32_t, 128>{}, true_type{}, false_type{});
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
    const size_t chunk_bytes = kWordBytes + size_t{p.chunks} * kStripRows * sizeof(float);
    with_columns(h, [&](auto cols, auto sliced, auto folded) {
        launch_strips<StripShape<1, 1, cols(), sliced()>>(
            on, h, forward_kernel<cols(), sliced(), folded()>, p, chunk_bytes);
    });
}

template <bool kByColumn>
void launch_backward(Context& on, const Heads& h, const Backward& p) {
    with_columns(h, [&](auto cols, auto sliced, auto folded) {
        using S = StripShape<2, kByColumn ? 2 : 1, cols(), sliced()>;
        launch_strips<S>(on, h, backward_kernel<cols(), sliced(), folded(), kByColumn>, p,
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
