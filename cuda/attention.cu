// SPDX-License-Identifier: Apache-2.0
// Attention forward, causal or full, without T x T matrices in memory: docs/spec/numerics.md,
// section 10.
#include "cuda/attention.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kTilesPerChunk = kChunk / kStripTile;
constexpr uint32_t kWordBytes = 16;  ///< of a word of all threads, as others are aligned

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
    StripDue due;
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
            strip.check.multiply_columns(left, at, 0);
        });
    strip.check.add_out(mixed);
    bool is_right = true;
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r) {
        rows.amax[r] = quad_max(rows.amax[r]);
        is_right = is_right &&
                   (own.row(r) >= p.in.t || bits_of(scale_of(rows.amax[r]).inv) == bits_of(inv[r]));
    }
    return is_right;
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
template <uint32_t kCols, bool kSliced, bool kFolded, Checks kChecks>
__global__ void __launch_bounds__(kStripThreads, strips_at_once(kCols, kSliced, false))
    forward_kernel(Forward p) {
    follow_kernel_before();
    using S = StripShape<1, 1, kCols, kSliced, kChecks>;
    // Long rows first, so that the last blocks to start are short.
    const uint32_t first = (gridDim.z - 1 - blockIdx.z) * kStripRows, col = blockIdx.y * kCols;
    const TileRange range = range_of<false>(p.in, first);
    auto* const shared = shared_memory<int8_t>();
    auto* const is_wrong = reinterpret_cast<uint32_t*>(shared + S::bytes);
    Strip<S> strip(p.in, p.due, shared, first, col);
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
    strip.settle_check(range);
    store_forward<S>(p, own, rows, col, mixed);
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
    with_columns(on, h, [&](auto cols, auto sliced, auto folded, auto checks) {
        p.due = foresee_strips(on, h.count, p.in, cols(), false);
        launch_strips<StripShape<1, 1, cols(), sliced(), checks()>>(
            on, h, forward_kernel<cols(), sliced(), folded(), checks()>, p, chunk_bytes);
    });
}

}  // namespace

void attention(Context& on, float* out, float* stats, const float* qkv, AttentionShape s) {
    for_each_group(on, s, head_bytes(on, s, 2, 1),
                   [&](const Heads& h) { forward_group(on, out, stats, qkv, h); });
}

}  // namespace trainyard::cuda
