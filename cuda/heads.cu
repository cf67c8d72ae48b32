// SPDX-License-Identifier: Apache-2.0
// Quantises the heads of attention. A block takes 64 positions of one head, eight lanes to a row,
// so that a warp reads four rows with wide loads: heads are short, and a warp to a row would mostly
// wait for its own exchanges.
#include "cuda/heads.cuh"

#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kRows = 64;  ///< of a block
constexpr uint32_t kCols = 64;  ///< of a row that eight lanes hold at a time
constexpr uint32_t kThreads = 256;
constexpr uint32_t kLanesPerRow = 8;
constexpr uint32_t kRowsAtOnce = kThreads / kLanesPerRow;

/// Which eight of 64 neighbours a lane holds: element l of every 32 belongs to lane l of the fixed
/// reduction, and these eight are four whole lanes of it.
__device__ __forceinline__ uint32_t held_column(uint32_t i) {
    return i / 4 * 32 + threadIdx.x % kLanesPerRow * 4 + i % 4;
}
__device__ __forceinline__ uint32_t own_row() {
    return threadIdx.x / kLanesPerRow;
}

/// The running block's head where the last come first: what was written last may still be in the
/// L2 cache, and so may be what is read last when the next kernel begins with the first.
__device__ __forceinline__ uint32_t head_from_last() {
    return gridDim.z - 1 - blockIdx.z;
}

struct Eight {
    float x[8];
};
/// The running thread's part of 64 neighbours, of which there are `left`; zeros behind them.
__device__ __forceinline__ Eight load_part(const float* from, uint32_t left) {
    const bool is_aligned = reinterpret_cast<uintptr_t>(from) % sizeof(float4) == 0;
    const auto four_at = [&](uint32_t c) { return *reinterpret_cast<const float4*>(from + c); };
    const uint32_t low = held_column(0), high = held_column(4);
    if (is_aligned && left >= kCols) {
        const float4 a = four_at(low), b = four_at(high);
        return {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    }
    Eight out;
#pragma unroll
    for (uint32_t half = 0; half < 8; half += 4) {
        const uint32_t c = half == 0 ? low : high;
        if (is_aligned && c + 4 <= left) {
            const float4 x = four_at(c);
            out.x[half] = x.x, out.x[half + 1] = x.y, out.x[half + 2] = x.z, out.x[half + 3] = x.w;
            continue;
        }
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) out.x[half + i] = c + i < left ? from[c + i] : 0.0F;
    }
    return out;
}

/// One row of a head; of a row outside of it there are no elements.
struct Row {
    const float* data;  ///< of the tensor
    size_t begin;       ///< of the row in it
    uint32_t cols;

    __device__ Row(const Source& x, uint32_t head, uint32_t row)
        : data(x.data),
          begin(x.spread.offset(head) + row * x.stride),
          cols(row < x.rows ? x.cols : 0) {}
    [[nodiscard]] __device__ __forceinline__ Eight part(uint32_t first) const {
        return load_part(data + begin + first, cols > first ? cols - first : 0);
    }
};

/// The largest of the eight lanes of a row.
__device__ __forceinline__ uint32_t row_max(uint32_t x) {
    for (uint32_t s = kLanesPerRow / 2; s > 0; s /= 2) {
        const uint32_t other = __shfl_xor_sync(kAllLanes, x, s);
        x = other > x ? other : x;
    }
    return x;
}

__device__ __forceinline__ uint32_t larger_magnitude(uint32_t most, float x) {
    return magnitude(x) > most ? magnitude(x) : most;
}

/// A lane's part of 64 elements from `offset` of the tensor on. Zeros stay zeros.
__device__ __forceinline__ void quantise_part(int (&q)[8], const Eight& x, const float (&inv)[8],
                                              const Words& words, size_t offset) {
    WordStream stream(words);
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i)
        q[i] = words.stochastic
                   ? quantise_stochastic(x.x[i], inv[i], stream.at(offset + held_column(i)))
                   : quantise_nearest(x.x[i], inv[i]);
}

/// 64 columns of 64 positions, turned. The line puts the bytes of a warp in different banks.
struct TurnedTile {
    int8_t q[kCols][kRows + 4];
};

struct Turned {
    Source x;
    Words words;
    int8_t* cols;  ///< batch x x.cols x k, in paired order
    uint32_t k;
};

/// Quantises 64 columns from `col` on and puts them where the contraction runs along positions.
/// `inverses(inv, row)` tells the inverse scales of the running thread's part.
template <class Inverses>
__device__ __forceinline__ void turn_tile(TurnedTile& tile, const Turned& a, uint32_t head,
                                          uint32_t col, const Inverses& inverses) {
    const uint32_t first = blockIdx.x * kRows;
#pragma unroll
    for (uint32_t r = own_row(); r < kRows; r += kRowsAtOnce) {
        const Row row(a.x, head, first + r);
        float inv[8];
        inverses(inv, r);
        int q[8];
        quantise_part(q, row.part(col), inv, a.words, row.begin + col);
        const uint32_t place = r / 32 * 32 + paired_term(r % 32);
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) tile.q[held_column(i)][place] = static_cast<int8_t>(q[i]);
    }
    __syncthreads();
    const uint32_t c = threadIdx.x / 4, byte = threadIdx.x % 4 * 16;
    if (col + c < a.x.cols) {
        const int8_t* const from = tile.q[c] + byte;
        const size_t line = size_t{head} * a.x.cols + col + c;
        *reinterpret_cast<uint4*>(a.cols + line * a.k + first + byte) = {
            word_at(from), word_at(from + 4), word_at(from + 8), word_at(from + 12)};
    }
    __syncthreads();
}

/// dO times O of a row in the fixed order; their parts of the first 64 elements are here already.
/// All lanes of a warp take part; a chunk is 4,096 long.
__device__ __forceinline__ float dot_of(const Row& a, const Eight& first_a, const Row& b,
                                        const Eight& first_b, uint32_t cols) {
    if (cols > kChunk) {
        float mine = 0.0F;
        for (uint32_t lane = 0; lane < kWarp; lane += kLanesPerRow) {
            const size_t x = __shfl_sync(kAllLanes, a.begin, lane);
            const size_t y = __shfl_sync(kAllLanes, b.begin, lane);
            const uint32_t count = __shfl_sync(kAllLanes, a.cols, lane);
            const float dot = warp_reduce(count, [=](float acc, size_t i) {
                return fused(a.data[x + i], b.data[y + i], acc);
            });
            if (lane_id() / kLanesPerRow == lane / kLanesPerRow) mine = dot;
        }
        return mine;
    }
    float lanes[4] = {};
    for (uint32_t first = 0; first < cols; first += kCols) {
        const Eight x = first == 0 ? first_a : a.part(first);
        const Eight y = first == 0 ? first_b : b.part(first);
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) {
            const float sum = fused(x.x[i], y.x[i], lanes[i % 4]);
            if (first + held_column(i) < cols) lanes[i % 4] = sum;
        }
    }
    for (uint32_t s = kLanesPerRow / 2; s > 0; s /= 2)
#pragma unroll
        for (float& lane : lanes) lane = add(lane, __shfl_xor_sync(kAllLanes, lane, s));
    return add(add(lanes[0], lanes[2]), add(lanes[1], lanes[3]));
}

enum : uint32_t { kQ, kK, kV, kDOut };

struct Rows {
    Source x[4];      ///< q, k, v, dO
    int8_t* rows[4];  ///< batch x t x k; of v only backward
    uint32_t k;
    Source out;
    const float* stats;
    Words words;       ///< of dO
    uint32_t* maxima;  ///< batch x (of q, k, dO) x hd, backward
    Turned v;          ///< forward
    PositionTile* positions;
    float alpha;
    uint32_t* flag;
};

/// Where the largest magnitudes of one operand's columns are joined: those of the first 64 once
/// for all rows of a thread.
class ColumnMaxima {
public:
    __device__ ColumnMaxima(uint32_t* at, uint32_t cols) : at_(at), cols_(cols) {}

    /// All lanes of a warp take part.
    __device__ __forceinline__ void add(uint32_t first, const Eight& x) {
        uint32_t most[8];
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i)
            most[i] = larger_magnitude(first == 0 ? first_[i] : 0, x.x[i]);
        if (first != 0) return join(first, most);
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) first_[i] = most[i];
    }
    __device__ __forceinline__ void join_first() {
        join(0, first_);
    }

private:
    /// Joins the four rows of a warp: after each of two exchanges a lane has half as many columns.
    __device__ __forceinline__ void join(uint32_t first, uint32_t (&most)[8]) const {
        uint32_t column = 0;
#pragma unroll
        for (uint32_t half = 4; half > 1; half /= 2) {
            const uint32_t apart = half * kLanesPerRow / 2;
            const bool takes_upper = (lane_id() & apart) != 0;
            column += takes_upper ? half : 0;
#pragma unroll
            for (uint32_t i = 0; i < half; ++i) {
                const uint32_t mine = takes_upper ? most[i + half] : most[i];
                const uint32_t given = takes_upper ? most[i] : most[i + half];
                const uint32_t got = __shfl_xor_sync(kAllLanes, given, apart);
                most[i] = got > mine ? got : mine;
            }
        }
#pragma unroll
        for (uint32_t i = 0; i < 2; ++i) {
            const uint32_t at = first + held_column(column + i);
            if (at < cols_) atomicMax(at_ + at, most[i]);
        }
    }

    uint32_t* at_;
    uint32_t cols_;
    uint32_t first_[8] = {};
};

/// One of the operands of a row: quantises it and tells its scale. `first` is its part of the first
/// 64 elements, which is here already.
template <bool kWithBytes>
__device__ __forceinline__ Scale quantise_row(const Rows& p, uint32_t operand, uint32_t head,
                                              uint32_t row, const Eight& first,
                                              ColumnMaxima* maxima) {
    const Row from(p.x[operand], head, row);
    const uint32_t cols = p.x[operand].cols;
    uint32_t amax = 0;
    for (uint32_t c = 0; c < cols; c += kCols) {
        const Eight x = c == 0 ? first : from.part(c);
#pragma unroll
        for (float value : x.x) amax = larger_magnitude(amax, value);
        if (maxima != nullptr) maxima->add(c, x);
    }
    amax = row_max(amax);
    const Scale scale = scale_of(amax);
    if (row < p.x[operand].rows) flag_nonfinite(amax, p.flag);
    if constexpr (kWithBytes) {
        float inv[8];
#pragma unroll
        for (float& x : inv) x = scale.inv;
        const Words words = operand == kDOut ? p.words : Words{};
        for (uint32_t c = 0; c < p.k && row < p.x[operand].rows; c += kCols) {
            int q[8];
            quantise_part(q, c == 0 ? first : from.part(c), inv, words, from.begin + c);
            const size_t line = (size_t{head} * p.x[operand].rows + row) * p.k + c;
            auto* const to = reinterpret_cast<uint32_t*>(p.rows[operand] + line + held_column(0));
            to[0] = pack4(q);
            to[kCols / 2 / sizeof(uint32_t)] = pack4(q + 4);
        }
    }
    return scale;
}

/// Tells the position of a row of the running block's head, or that there is none.
__device__ __forceinline__ void store_position(const Rows& p, uint32_t head, uint32_t row,
                                               const Position& at) {
    const uint32_t tiles = position_tiles(p.x[kQ].rows), tile = row / PositionTile::count;
    if (tile < tiles) p.positions[size_t{head} * tiles + tile].put(row % PositionTile::count, at);
}

struct RowsShared {
    TurnedTile tile;
    float inverse_of_v[kRows];
};

/// Quantises q, k and v by row, and v's bytes once more along positions.
__global__ void __launch_bounds__(kThreads) prepare_forward_kernel(Rows p) {
    RowsShared& shared = *shared_memory<RowsShared>();
    const uint32_t head = head_from_last(), first = blockIdx.x * kRows;
    for (uint32_t r = own_row(); r < kRows; r += kRowsAtOnce) {
        const uint32_t row = first + r;
        const Eight q = Row(p.x[kQ], head, row).part(0), k = Row(p.x[kK], head, row).part(0),
                    v = Row(p.x[kV], head, row).part(0);
        Position at = {};
        at.q = quantise_row<true>(p, kQ, head, row, q, nullptr).s;
        at.k = quantise_row<true>(p, kK, head, row, k, nullptr).s;
        at.k_alpha = mul(at.k, p.alpha);
        const Scale of_v = quantise_row<false>(p, kV, head, row, v, nullptr);
        at.v = of_v.s;
        if (threadIdx.x % kLanesPerRow != 0) continue;
        shared.inverse_of_v[r] = of_v.inv;
        store_position(p, head, row, at);
    }
    __syncthreads();
    for (uint32_t col = 0; col < p.v.x.cols; col += kCols)
        turn_tile(shared.tile, p.v, head, col, [&](float(&inv)[8], uint32_t r) {
#pragma unroll
            for (float& x : inv) x = shared.inverse_of_v[r];
        });
}

/// Heads of more columns join their maxima in global memory at once.
constexpr uint32_t kSharedColumns = 1024;

/// Quantises q, k, v and dO by row; on the way the largest magnitudes of q, k and dO by column.
__global__ void __launch_bounds__(kThreads, 2) prepare_backward_kernel(Rows p) {
    const uint32_t t = p.x[kQ].rows, hd = p.x[kQ].cols, first = blockIdx.x * kRows;
    const uint32_t head = head_from_last();
    uint32_t* const of_head = p.maxima + size_t{3} * head * hd;
    uint32_t* const maxima = hd > kSharedColumns ? of_head : shared_memory<uint32_t>();
    if (hd <= kSharedColumns) {
        for (uint32_t i = threadIdx.x; i < 3 * hd; i += kThreads) maxima[i] = 0;
        __syncthreads();
    }
    ColumnMaxima of_q(maxima, hd), of_k(maxima + hd, hd), of_d_out(maxima + size_t{2} * hd, hd);
    for (uint32_t r = own_row(); r < kRows; r += kRowsAtOnce) {
        const uint32_t row = first + r;
        const Eight xq = Row(p.x[kQ], head, row).part(0), xk = Row(p.x[kK], head, row).part(0),
                    xv = Row(p.x[kV], head, row).part(0), xd = Row(p.x[kDOut], head, row).part(0),
                    xo = Row(p.out, head, row).part(0);
        Position at = {};
        at.q = quantise_row<true>(p, kQ, head, row, xq, &of_q).s;
        at.k = quantise_row<true>(p, kK, head, row, xk, &of_k).s;
        at.k_alpha = mul(at.k, p.alpha);
        at.v = quantise_row<true>(p, kV, head, row, xv, nullptr).s;
        at.d_out = quantise_row<true>(p, kDOut, head, row, xd, &of_d_out).s;
        at.dot = dot_of(Row(p.x[kDOut], head, row), xd, Row(p.out, head, row), xo, hd);
        if (threadIdx.x % kLanesPerRow != 0) continue;
        if (row < t) {
            const float* const stats = p.stats + (size_t{head} * t + row) * 2;
            at.max = stats[0];
            at.inverse = stats[1];
            flag_nonfinite(magnitude(at.max), p.flag);
        }
        store_position(p, head, row, at);
    }
    of_q.join_first();
    of_k.join_first();
    of_d_out.join_first();
    if (hd > kSharedColumns) return;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 3 * hd; i += kThreads) atomicMax(of_head + i, maxima[i]);
}

struct Columns {
    Turned of[3];  ///< q, k, dO
    float* scale[3];
    const uint32_t* maxima;  ///< as in Rows
};

struct ColumnsShared {
    TurnedTile tile;
    float inverse[kCols];
};

/// One block per 64 positions, 64 columns and operand.
__global__ void __launch_bounds__(kThreads) turn_kernel(Columns p) {
    ColumnsShared& shared = *shared_memory<ColumnsShared>();
    const uint32_t operand = blockIdx.y % 3, col = blockIdx.y / 3 * kCols, head = blockIdx.z;
    const Turned& from = p.of[operand];
    const uint32_t own = threadIdx.x, hd = from.x.cols;
    if (own < kCols) {
        const bool inside = col + own < hd;
        const size_t at = size_t{head} * hd + col + own;
        const Scale scale =
            scale_of(inside ? p.maxima[(size_t{3} * head + operand) * hd + col + own] : 0);
        shared.inverse[own] = scale.inv;
        if (inside && blockIdx.x == 0) p.scale[operand][at] = scale.s;
    }
    __syncthreads();
    turn_tile(shared.tile, from, head, col, [&](float(&inv)[8], uint32_t) {
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) inv[i] = shared.inverse[held_column(i)];
    });
}

}  // namespace

ForwardHeads prepare_forward(Context& on, uint32_t batch, const HeadSources& x) {
    const uint32_t t = x.q.rows, hd = x.q.cols;
    const ForwardHeads out{take_operand(on, batch, t, hd), take_operand(on, batch, t, hd),
                           take_operand(on, batch, hd, t, Layout::paired),
                           on.take<PositionTile>(size_t{batch} * position_tiles(t))};
    Rows p = {};
    p.x[kQ] = x.q, p.x[kK] = x.k, p.x[kV] = x.v;
    p.rows[kQ] = out.q.q, p.rows[kK] = out.k.q;
    p.k = out.q.k;
    p.v = {x.v, {}, out.v_cols.q, out.v_cols.k};
    p.positions = out.positions;
    p.alpha = x.alpha;
    p.flag = on.nonfinite_flag();
    on.launch({dim3(blocks_for(t, kRows), 1, batch), kThreads, sizeof(RowsShared)},
              prepare_forward_kernel, p);
    return out;
}

BackwardHeads prepare_backward(Context& on, uint32_t batch, const HeadSources& x,
                               const GradSources& grad) {
    const uint32_t t = x.q.rows, hd = x.q.cols;
    const auto rows = [&] { return take_operand(on, batch, t, hd); };
    const auto cols = [&] { return take_operand(on, batch, hd, t, Layout::paired); };
    const BackwardHeads out{
        rows(), rows(), rows(), rows(),
        cols(), cols(), cols(), on.take<PositionTile>(size_t{batch} * position_tiles(t))};
    const size_t maxima = size_t{3} * batch * hd;
    Rows p = {};
    p.x[kQ] = x.q, p.x[kK] = x.k, p.x[kV] = x.v, p.x[kDOut] = grad.d_out;
    p.rows[kQ] = out.q.q, p.rows[kK] = out.k.q, p.rows[kV] = out.v.q, p.rows[kDOut] = out.d_out.q;
    p.k = out.q.k;
    p.out = grad.out;
    p.stats = grad.stats;
    p.words = grad.of_d_out;
    p.maxima = on.take<uint32_t>(maxima);
    p.positions = out.positions;
    p.alpha = x.alpha;
    p.flag = on.nonfinite_flag();
    on.set_bytes(p.maxima, 0, maxima * sizeof(uint32_t));
    const dim3 blocks(blocks_for(t, kRows), 1, batch);
    const size_t shared_bytes = hd > kSharedColumns ? 0 : size_t{3} * hd * sizeof(uint32_t);
    on.launch({blocks, kThreads, shared_bytes}, prepare_backward_kernel, p);
    const Columns turned{{{x.q, {}, out.q_cols.q, out.q_cols.k},
                          {x.k, {}, out.k_cols.q, out.k_cols.k},
                          {grad.d_out, grad.of_d_out, out.d_out_cols.q, out.d_out_cols.k}},
                         {out.q_cols.scale, out.k_cols.scale, out.d_out_cols.scale},
                         p.maxima};
    on.launch({dim3(blocks.x, 3 * blocks_for(hd, kCols), batch), kThreads, sizeof(ColumnsShared)},
              turn_kernel, turned);
    return out;
}

}  // namespace trainyard::cuda
