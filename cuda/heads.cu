// SPDX-License-Identifier: Apache-2.0
// Quantises the heads of attention. A block takes 64 positions of one head, eight lanes to two
// neighbouring rows, so that a warp reads whole lines and an operand's loads are under way
// together.
#include "cuda/heads.cuh"

#include <type_traits>

#include "cuda/eights.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kRows = 64;  ///< of a block
constexpr uint32_t kCols = 64;  ///< of a row that eight lanes hold at a time: a piece
constexpr uint32_t kThreads = 256;
constexpr uint32_t kTeam = 8;  ///< lanes to two rows
constexpr uint32_t kPhiloxBlock = 8;

// Kernels are made for heads of kPieces pieces, 0 if that is known only when they run; kEven: rows
// and Philox blocks begin together, and where loads of 16 bytes may, and hold whole Philox blocks.

/// Blocks for which a multiprocessor should have registers.
constexpr uint32_t blocks_at_once(uint32_t pieces) {
    return pieces == 1 ? 4 : 2;
}

__device__ __forceinline__ uint32_t lane_of_team() {
    return threadIdx.x % kTeam;
}
/// Which eight of 64 neighbours a lane holds: element l of every 32 belongs to lane l of the fixed
/// reduction, and these eight are four whole lanes of it.
__device__ __forceinline__ uint32_t held_column(uint32_t i) {
    return i / 4 * 32 + lane_of_team() * 4 + i % 4;
}
/// The position that is the first of a team's two. Those of a warp are eight apart, which paired
/// order (see fragments.cuh) makes eight neighbours.
__device__ __forceinline__ uint32_t first_row() {
    const uint32_t warp = threadIdx.x / kWarp, team = lane_id() / kTeam;
    return blockIdx.x * kRows + warp / 4 * 32 + team * 8 + warp % 4 * 2;
}

/// The running block's head where the last come first: what was written last may still be in the
/// L2 cache, and so may be what is read last when the next kernel begins with the first.
__device__ __forceinline__ uint32_t head_from_last() {
    return gridDim.z - 1 - blockIdx.z;
}

/// A head by number, and where it begins in sources, which have the same heads of each sequence.
struct HeadPlace {
    uint32_t number, sequence, in_sequence;

    __device__ HeadPlace(const Source& x, uint32_t head)
        : number(head),
          sequence((x.spread.first + head) / x.spread.heads),
          in_sequence(x.spread.first + head - sequence * x.spread.heads) {}
    [[nodiscard]] __device__ __forceinline__ size_t in(const Source& x) const {
        return sequence * x.spread.per_sequence + in_sequence * x.spread.per_head;
    }
};

/// The running thread's part of 64 neighbours, of which there are `left`; zeros behind them.
template <bool kEven>
__device__ __forceinline__ Eight load_part(const float* from, uint32_t left) {
    Eight out;
#pragma unroll
    for (uint32_t half = 0; half < 8; half += 4) {
        const uint32_t c = held_column(half);
        if constexpr (kEven) {
            const float4 x = c < left ? *reinterpret_cast<const float4*>(from + c) : float4{};
            out.x[half] = x.x, out.x[half + 1] = x.y, out.x[half + 2] = x.z, out.x[half + 3] = x.w;
        } else {
#pragma unroll
            for (uint32_t i = 0; i < 4; ++i) out.x[half + i] = c + i < left ? from[c + i] : 0.0F;
        }
    }
    return out;
}

/// One row of a head; of a row outside of it there are no elements.
struct Row {
    const float* data;  ///< of the tensor
    size_t begin;       ///< of the row in it
    uint32_t cols;

    __device__ Row(const Source& x, const HeadPlace& head, uint32_t row)
        : Row(x, row, head.in(x) + row * x.stride) {}
    __device__ Row(const Source& x, uint32_t row, size_t at)
        : data(x.data), begin(at), cols(row < x.rows ? x.cols : 0) {}
    template <bool kEven>
    [[nodiscard]] __device__ __forceinline__ Eight part(uint32_t first) const {
        return load_part<kEven>(data + begin + first, cols > first ? cols - first : 0);
    }
};

/// What a thread has of its two rows.
struct TwoParts {
    Eight of[2];
};
/// The two rows of a team. Heads of few pieces are read once and held; others are read again for
/// each use, while they are near.
template <uint32_t kPieces, bool kEven>
class TwoRows {
public:
    __device__ __forceinline__ TwoRows(const Source& x, const HeadPlace& head)
        : rows_{{x, head, first_row()}, {x, first_row() + 1, rows_[0].begin + x.stride}},
          cols_(x.cols) {
        if constexpr (kPieces > 0) {
#pragma unroll
            for (uint32_t i = 0; i < kPieces; ++i) held_[i] = load(i * kCols);
        }
    }
    /// Calls `body(first, parts)` for each piece; all lanes of a warp take part.
    template <class Body>
    __device__ __forceinline__ void for_each_piece(const Body& body) const {
        if constexpr (kPieces > 0) {
#pragma unroll
            for (uint32_t i = 0; i < kPieces; ++i) body(i * kCols, held_[i]);
        } else {
            for (uint32_t first = 0; first < cols_; first += kCols) body(first, load(first));
        }
    }
    /// The piece of these rows that begins where `body` of another's for_each_piece is told.
    [[nodiscard]] __device__ __forceinline__ TwoParts piece(uint32_t first) const {
        if constexpr (kPieces > 0) return held_[first / kCols];
        return load(first);
    }
    [[nodiscard]] __device__ __forceinline__ const Row& row(uint32_t r) const {
        return rows_[r];
    }

private:
    [[nodiscard]] __device__ __forceinline__ TwoParts load(uint32_t first) const {
        return {rows_[0].template part<kEven>(first), rows_[1].template part<kEven>(first)};
    }

    Row rows_[2];
    uint32_t cols_;
    TwoParts held_[kPieces > 0 ? kPieces : 1];
};

/// The rounding words of a lane's part of the 64 elements from `offset` of the tensor on. If kEven
/// two lanes share two Philox blocks: one makes that of the low columns, the other that of the high
/// ones, and each gives the other half of it. All lanes of a warp take part.
template <bool kEven>
__device__ __forceinline__ EightWords words_of_part(const Words& words, size_t offset) {
    if constexpr (kEven) {
        const bool has_high = threadIdx.x % 2 != 0;
        const PhiloxWords p = philox_block(
            words, (words.idx0 + offset + held_column(has_high ? 4 : 0)) / kPhiloxBlock);
        const uint32_t got[2] = {__shfl_xor_sync(kAllLanes, has_high ? p.x0 : p.x2, 1),
                                 __shfl_xor_sync(kAllLanes, has_high ? p.x1 : p.x3, 1)};
        if (has_high) return {{got[0], got[1], p.x2, p.x3}};
        return {{p.x0, p.x1, got[0], got[1]}};
    } else {
        WordStream stream(words);
        EightWords out = {};
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i)
            out.pair[i / 2] |= stream.at(offset + held_column(i)) << i % 2 * 16;
        return out;
    }
}

/// The bytes of a lane's part of 64 elements from `offset` of the tensor on. All lanes of a warp
/// take part.
template <bool kEven>
__device__ __forceinline__ EightBytes quantise_part(const Eight& x, const Eight& inv,
                                                    const Words& words, size_t offset) {
    uint32_t q[8];
    if (!words.stochastic) {
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) q[i] = nearest_in_byte(x.x[i], inv.x[i]);
        return {pack4(q), pack4(q + 4)};
    }
    const EightWords word = words_of_part<kEven>(words, offset);
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) q[i] = stochastic_in_byte(x.x[i], inv.x[i], word.of(i));
    return {pack4<2>(q), pack4<2>(q + 4)};
}
__device__ __forceinline__ Eight eight_times(float x) {
    return {{x, x, x, x, x, x, x, x}};
}

struct Turned {
    Source x;
    Words words;
    int8_t* cols;  ///< batch x x.cols x k, in paired order
    uint32_t k;
};

/// 64 columns of 64 positions, turned, in paired order. Behind each column is a word that puts
/// what a warp takes at a time in different banks.
class TurnedTile {
public:
    /// Puts the running team's rows in their place. Two teams have the four rows of a word: each
    /// takes two columns of every four. All lanes of a warp take part.
    __device__ __forceinline__ void put(const EightBytes (&rows)[2]) {
        const uint32_t warp = threadIdx.x / kWarp, team = lane_id() / kTeam;
        const bool is_later = team % 2 != 0;
        constexpr uint32_t kFirst = 0x5140, kLast = 0x7362;  // two columns of two rows
        const uint32_t kept = is_later ? kLast : kFirst, given = is_later ? kFirst : kLast;
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t a = half == 0 ? rows[0].low : rows[0].high;
            const uint32_t b = half == 0 ? rows[1].low : rows[1].high;
            const uint32_t own = __byte_perm(a, b, kept);
            const uint32_t got = __shfl_xor_sync(kAllLanes, __byte_perm(a, b, given), kTeam);
            const uint32_t col = held_column(half * 4) + (is_later ? 2 : 0);
            const uint32_t word = warp * 2 + team / 2;
            words_[col][word] = __byte_perm(own, got, is_later ? 0x1054 : 0x5410);
            words_[col + 1][word] = __byte_perm(own, got, is_later ? 0x3276 : 0x7632);
        }
    }
    /// As columns `col` and following of a head, as far as there are any.
    __device__ __forceinline__ void store(const Turned& to, uint32_t head, uint32_t col) const {
        const uint32_t c = threadIdx.x / 4, first = threadIdx.x % 4 * 4;
        if (col + c >= to.x.cols) return;
        const uint32_t* const from = words_[c] + first;
        const size_t line = size_t{head} * to.x.cols + col + c;
        *reinterpret_cast<uint4*>(to.cols + line * to.k + blockIdx.x * kRows + first * 4) = {
            from[0], from[1], from[2], from[3]};
    }

private:
    uint32_t words_[kCols][kRows / 4 + 1];
};

/// dO times O of two rows in the fixed order. All lanes of a warp take part.
template <uint32_t kPieces, bool kEven>
__device__ __forceinline__ float2 dot_of(const TwoRows<kPieces, kEven>& a,
                                         const TwoRows<kPieces, kEven>& b) {
    float lanes[2][4] = {};
    a.for_each_piece([&](uint32_t first, const TwoParts& x) {
        const TwoParts y = b.piece(first);
#pragma unroll
        for (uint32_t i = 0; i < 16; ++i) {
            const uint32_t r = i / 8, e = i % 8;
            float& lane = lanes[r][e % 4];
            // Where heads are even the question is the same for four.
            const uint32_t col = first + held_column(kEven ? e / 4 * 4 : e);
            if (col < a.row(r).cols) lane = fused(x.of[r].x[e], y.of[r].x[e], lane);
        }
    });
#pragma unroll
    for (uint32_t s = kTeam / 2; s > 0; s /= 2)
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) {
            float& lane = lanes[i / 4][i % 4];
            lane = add(lane, __shfl_xor_sync(kAllLanes, lane, s));
        }
    const auto sum = [](const float(&x)[4]) { return add(add(x[0], x[2]), add(x[1], x[3])); };
    return {sum(lanes[0]), sum(lanes[1])};
}

/// The same for rows longer than a chunk: one after the other by the whole warp.
__device__ __forceinline__ float dot_of_long(const Row& a, const Row& b) {
    float mine = 0.0F;
    for (uint32_t lane = 0; lane < kWarp; lane += kTeam) {
        const size_t x = __shfl_sync(kAllLanes, a.begin, lane);
        const size_t y = __shfl_sync(kAllLanes, b.begin, lane);
        const uint32_t count = __shfl_sync(kAllLanes, a.cols, lane);
        const float dot = warp_reduce(
            count, [=](float acc, size_t i) { return fused(a.data[x + i], b.data[y + i], acc); });
        if (lane_id() / kTeam == lane / kTeam) mine = dot;
    }
    return mine;
}

/// The larger magnitudes of two rows, joined with those of a warp's other rows in the head's
/// `cols` maxima: after each of two exchanges a lane has half as many columns. All lanes of a warp
/// take part.
__device__ __forceinline__ void join_columns(uint32_t* maxima, uint32_t cols, uint32_t first,
                                             const TwoParts& x) {
    uint32_t most[8], column = 0;
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i)
        most[i] = larger(magnitude(x.of[0].x[i]), magnitude(x.of[1].x[i]));
#pragma unroll
    for (uint32_t half = 4; half > 1; half /= 2) {
        const uint32_t apart = half * kTeam / 2;
        const bool takes_upper = (lane_id() & apart) != 0;
        column += takes_upper ? half : 0;
#pragma unroll
        for (uint32_t i = 0; i < half; ++i) {
            const uint32_t mine = takes_upper ? most[i + half] : most[i];
            const uint32_t given = takes_upper ? most[i] : most[i + half];
            most[i] = larger(mine, __shfl_xor_sync(kAllLanes, given, apart));
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < 2; ++i) {
        const uint32_t at = first + held_column(column + i);
        if (at < cols) atomicMax(maxima + at, most[i]);
    }
}

/// Of two rows.
struct Scales {
    float2 s, inv;
};
/// Of rows with these maxima, by one division: four lanes of a team have its four operands. All
/// lanes of a warp take part.
__device__ __forceinline__ Scales scales_of(uint32_t most0, uint32_t most1) {
    const uint32_t first = lane_id() / kTeam * kTeam;
    const uint32_t bits = (threadIdx.x & 2) != 0 ? most1 : most0;
    const bool is_inverse = threadIdx.x % 2 != 0;
    const float quotient = scale_or_inverse(bits, is_inverse);
    const auto from = [&](uint32_t lane) { return __shfl_sync(kAllLanes, quotient, first + lane); };
    return {{from(0), from(2)}, {from(1), from(3)}};
}

/// The scales of two rows; on the way their columns' maxima are joined where `maxima` is given.
template <uint32_t kPieces, bool kEven>
__device__ __forceinline__ Scales find_scales(const TwoRows<kPieces, kEven>& rows, uint32_t cols,
                                              uint32_t* maxima, uint32_t* flag) {
    uint32_t most[2] = {};
    rows.for_each_piece([&](uint32_t first, const TwoParts& x) {
#pragma unroll
        for (uint32_t i = 0; i < 16; ++i)
            most[i / 8] = larger(most[i / 8], magnitude(x.of[i / 8].x[i % 8]));
        if (maxima != nullptr) join_columns(maxima, cols, first, x);
    });
#pragma unroll
    for (uint32_t s = kTeam / 2; s > 0; s /= 2)
#pragma unroll
        for (uint32_t& x : most) x = larger(x, __shfl_xor_sync(kAllLanes, x, s));
    flag_nonfinite(larger(most[0], most[1]), flag);
    return scales_of(most[0], most[1]);
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

/// Quantises two rows of an operand and tells their scales.
template <uint32_t kOperand, uint32_t kPieces, bool kEven>
__device__ __forceinline__ float2 quantise_rows(const Rows& p, const HeadPlace& head,
                                                const TwoRows<kPieces, kEven>& rows,
                                                uint32_t* maxima) {
    const uint32_t t = p.x[kOperand].rows, cols = p.x[kOperand].cols;
    const Scales scales = find_scales(rows, cols, maxima, p.flag);
    const Words words = kOperand == kDOut ? p.words : Words{};
    const uint32_t row = first_row();
    int8_t* const line = p.rows[kOperand] + (size_t{head.number} * t + row) * p.k + held_column(0);
    rows.for_each_piece([&](uint32_t first, const TwoParts& x) {
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            const Eight inv = eight_times(r == 0 ? scales.inv.x : scales.inv.y);
            const EightBytes q =
                quantise_part<kEven>(x.of[r], inv, words, rows.row(r).begin + first);
            if (row + r >= t) continue;
            auto* const to = reinterpret_cast<uint32_t*>(line + r * p.k + first);
            to[0] = q.low;
            to[kCols / 2 / sizeof(uint32_t)] = q.high;
        }
    });
    return scales.s;
}

/// What is known of the two positions of a team; each of its lanes has one field.
class TwoPositions {
public:
    /// Has the statistics of the forward pass on their way to the lanes that keep them.
    __device__ __forceinline__ void load_statistics(const Rows& p, uint32_t head) {
        const uint32_t which = lane_of_team() - kPositionMax;
        if (which > kPositionInverse - kPositionMax) return;
        const uint32_t t = p.x[kQ].rows, row = first_row();
        const float* const from = p.stats + (size_t{head} * t + row) * 2 + which;
        own_ = {row < t ? from[0] : 0.0F, row + 1 < t ? from[2] : 0.0F};
    }
    __device__ __forceinline__ void flag_maximum(uint32_t* flag) const {
        if (lane_of_team() == kPositionMax)
            flag_nonfinite(larger(magnitude(own_.x), magnitude(own_.y)), flag);
    }
    __device__ __forceinline__ void set(PositionField field, float2 of_both) {
        if (lane_of_team() == field) own_ = of_both;
    }
    __device__ __forceinline__ void set_k(float2 scales, float alpha) {
        set(kPositionK, scales);
        set(kPositionKAlpha, {mul(scales.x, alpha), mul(scales.y, alpha)});
    }
    __device__ __forceinline__ void store(const Rows& p, uint32_t head) const {
        const uint32_t tiles = position_tiles(p.x[kQ].rows), row = first_row();
        const uint32_t tile = row / PositionTile::count, pair = row % PositionTile::count / 2;
        if (tile < tiles) p.positions[size_t{head} * tiles + tile].put(pair, lane_of_team(), own_);
    }

private:
    float2 own_ = {};
};

/// Quantises q, k and v by row, and v's bytes once more along positions.
template <uint32_t kPieces, bool kEven>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kPieces))
    prepare_forward_kernel(Rows p) {
    follow_kernel_before();
    using Held = TwoRows<kPieces, kEven>;
    TurnedTile& tile = *shared_memory<TurnedTile>();
    const HeadPlace head(p.x[kQ], head_from_last());
    const Held q(p.x[kQ], head), k(p.x[kK], head);
    TwoPositions at;
    at.set(kPositionQ, quantise_rows<kQ>(p, head, q, nullptr));
    const Held v(p.x[kV], head);
    at.set_k(quantise_rows<kK>(p, head, k, nullptr), p.alpha);
    const Scales of_v = find_scales(v, p.x[kV].cols, nullptr, p.flag);
    at.set(kPositionV, of_v.s);
    at.store(p, head.number);
    v.for_each_piece([&](uint32_t first, const TwoParts& x) {
        if (first != 0) __syncthreads();
        tile.put({quantise_part<kEven>(x.of[0], eight_times(of_v.inv.x), {}, 0),
                  quantise_part<kEven>(x.of[1], eight_times(of_v.inv.y), {}, 0)});
        __syncthreads();
        tile.store(p.v, head.number, first);
    });
}

/// Heads of more columns join their maxima in global memory at once.
constexpr uint32_t kSharedColumns = 1024;

template <uint32_t kPieces, bool kEven>
__device__ __forceinline__ float2 dots_of(const TwoRows<kPieces, kEven>& a,
                                          const TwoRows<kPieces, kEven>& b, uint32_t cols) {
    if (kPieces == 0 && cols > kChunk)
        return {dot_of_long(a.row(0), b.row(0)), dot_of_long(a.row(1), b.row(1))};
    return dot_of(a, b);
}

/// Quantises q, k, v and dO by row; on the way the largest magnitudes of q, k and dO by column.
/// Each operand's loads are under way while the one ahead of it is quantised.
template <uint32_t kPieces, bool kEven>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kPieces))
    prepare_backward_kernel(Rows p) {
    follow_kernel_before();
    using Held = TwoRows<kPieces, kEven>;
    const uint32_t hd = p.x[kQ].cols;
    const HeadPlace head(p.x[kQ], head_from_last());
    const Held q(p.x[kQ], head), k(p.x[kK], head);
    TwoPositions at;
    at.load_statistics(p, head.number);
    uint32_t* const of_head = p.maxima + size_t{3} * head.number * hd;
    // What is known here lets ptxas see which memory the atomics are in.
    const bool is_shared = kPieces > 0 || hd <= kSharedColumns;
    uint32_t* const maxima = is_shared ? shared_memory<uint32_t>() : of_head;
    if (is_shared) {
        for (uint32_t i = threadIdx.x; i < 3 * hd; i += kThreads) maxima[i] = 0;
        __syncthreads();
    }
    at.set(kPositionQ, quantise_rows<kQ>(p, head, q, maxima));
    const Held v(p.x[kV], head);
    at.set_k(quantise_rows<kK>(p, head, k, maxima + hd), p.alpha);
    const Held d_out(p.x[kDOut], head);
    at.set(kPositionV, quantise_rows<kV>(p, head, v, nullptr));
    const Held out(p.out, head);
    at.set(kPositionDOut, quantise_rows<kDOut>(p, head, d_out, maxima + size_t{2} * hd));
    at.set(kPositionDot, dots_of(d_out, out, hd));
    at.flag_maximum(p.flag);
    at.store(p, head.number);
    if (!is_shared) return;
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

/// The inverse scales of 64 columns from `col` on; the scales are told by one block.
__device__ __forceinline__ void load_inverses(float* inverse, const Columns& p, uint32_t operand,
                                              uint32_t head, uint32_t col) {
    if (threadIdx.x >= kCols) return;
    const uint32_t own = col + threadIdx.x, hd = p.of[operand].x.cols;
    const bool inside = own < hd;
    const Scale scale = scale_of(inside ? p.maxima[(size_t{3} * head + operand) * hd + own] : 0);
    inverse[threadIdx.x] = scale.inv;
    if (inside && blockIdx.x == 0) p.scale[operand][size_t{head} * hd + own] = scale.s;
}

/// One block per 64 positions, 64 columns and operand.
template <bool kEven>
__global__ void __launch_bounds__(kThreads, kEven ? 6 : 4) turn_kernel(Columns p) {
    follow_kernel_before();
    ColumnsShared& shared = *shared_memory<ColumnsShared>();
    const uint32_t operand = blockIdx.y % 3, col = blockIdx.y / 3 * kCols;
    const Turned from = p.of[operand];
    const HeadPlace head(from.x, blockIdx.z);
    const TwoRows<0, kEven> rows(from.x, head);
    const TwoParts x = rows.piece(col);
    load_inverses(shared.inverse, p, operand, head.number, col);
    __syncthreads();
    Eight inv;
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) inv.x[i] = shared.inverse[held_column(i)];
    shared.tile.put({quantise_part<kEven>(x.of[0], inv, from.words, rows.row(0).begin + col),
                     quantise_part<kEven>(x.of[1], inv, from.words, rows.row(1).begin + col)});
    __syncthreads();
    shared.tile.store(from, head.number, col);
}

[[nodiscard]] bool is_even(const Source& x) {
    const size_t lengths = x.cols | x.stride | x.spread.per_sequence | x.spread.per_head;
    return is_aligned(x) && lengths % kPhiloxBlock == 0;
}

/// Calls `body(pieces, even)` with constants, for the commonest heads.
template <class Body>
void with_heads(uint32_t hd, bool even, const Body& body) {
    using std::false_type, std::integral_constant, std::true_type;
    if (!even) return body(integral_constant<uint32_t, 0>{}, false_type{});
    if (hd <= kCols) return body(integral_constant<uint32_t, 1>{}, true_type{});
    if (hd <= 2 * kCols) return body(integral_constant<uint32_t, 2>{}, true_type{});
    body(integral_constant<uint32_t, 0>{}, true_type{});
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
    const dim3 blocks(blocks_for(t, kRows), 1, batch);
    with_heads(hd, is_even(x.q) && is_even(x.k) && is_even(x.v), [&](auto pieces, auto even) {
        on.launch({blocks, kThreads, sizeof(TurnedTile)}, prepare_forward_kernel<pieces(), even()>,
                  p);
    });
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
    clear_words(on, p.maxima, maxima);
    const dim3 blocks(blocks_for(t, kRows), 1, batch);
    const size_t shared_bytes = hd > kSharedColumns ? 0 : size_t{3} * hd * sizeof(uint32_t);
    const bool is_all_even = is_even(x.q) && is_even(x.k) && is_even(x.v) && is_even(grad.d_out) &&
                             is_even(grad.out) && grad.of_d_out.idx0 % kPhiloxBlock == 0;
    const Columns turned{{{x.q, {}, out.q_cols.q, out.q_cols.k},
                          {x.k, {}, out.k_cols.q, out.k_cols.k},
                          {grad.d_out, grad.of_d_out, out.d_out_cols.q, out.d_out_cols.k}},
                         {out.q_cols.scale, out.k_cols.scale, out.d_out_cols.scale},
                         p.maxima};
    const dim3 turning(blocks.x, 3 * blocks_for(hd, kCols), batch);
    with_heads(hd, is_all_even, [&](auto pieces, auto even) {
        on.launch({blocks, kThreads, shared_bytes}, prepare_backward_kernel<pieces(), even()>, p);
        on.launch({turning, kThreads, sizeof(ColumnsShared)}, turn_kernel<even()>, turned);
    });
    return out;
}

}  // namespace trainyard::cuda
