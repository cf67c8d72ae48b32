// SPDX-License-Identifier: Apache-2.0
// Scores of attention in registers: 64 positions of one side against all of the other, 32 at a
// time, so that no T x T matrix leaves a multiprocessor.
#pragma once

#include <type_traits>

#include "cuda/heads.cuh"
#include "cuda/reduce.cuh"
#include "cuda/strip_checks.cuh"
#include "cuda/tensor_core.cuh"

namespace trainyard::cuda {

/// Rows of two operands whose product is scores, or gradients of probabilities.
struct Facing {
    const int8_t* own;    ///< batch x t x k
    const int8_t* other;  ///< batch x t x k
};

/// What a strip reads. `far` are operands in paired order (fragments.cuh), batch x hd x far_k.
struct StripInputs {
    Facing facing[2];
    const int8_t* far[2];
    const PositionTile* positions;  ///< batch x tiles
    uint32_t t, hd, k, far_k;
    bool causal;
};

constexpr uint32_t kStripWarps = 4;
constexpr uint32_t kStripThreads = kStripWarps * kWarp;
constexpr uint32_t kStripRows = kStripWarps * 16;
constexpr uint32_t kStripTile = 32;  ///< the lanes of a reduction, and one step of a contraction
static_assert(kStripTile == PositionTile::count);

/// The head of the running block; all heads' longest blocks come first in the grid.
__device__ __forceinline__ uint32_t own_head() {
    return blockIdx.x;
}

/// The stages of a walk. A row of a head lies in shared memory in slices of kCols bytes. Of a head
/// of one slice warps hold their own side in registers; in a kSliced one the slices of both sides
/// come in turn.
template <uint32_t kFacing, uint32_t kFar, uint32_t kCols, bool kSliced, Checks kChecks>
struct StripShape {
    static constexpr uint32_t facing = kFacing, far = kFar, cols = kCols;
    static constexpr bool sliced = kSliced;
    static constexpr Checks checks = kChecks;
    static constexpr uint32_t parts = kCols / 16;  ///< of a slice, as they are copied
    /// Of a row in shared memory: the 16 bytes that each of eight lanes loads at a time lie in
    /// different banks.
    static constexpr uint32_t line = kCols == 64 ? kCols : kCols + 16;
    static constexpr uint32_t own_bytes = kSliced ? kFacing * kStripRows * line : 0;
    static constexpr uint32_t far_bytes = kCols * kStripTile;
    static constexpr uint32_t column_sum_bytes =
        kChecks == Checks::sums ? kFar * ColumnSums::bytes : 0;
    static constexpr uint32_t position_bytes = sizeof(PositionTile) + column_sum_bytes;
    static constexpr uint32_t stage_bytes =
        kFacing * kStripTile * line + kFar * far_bytes + position_bytes;
    /// One is multiplied while copies for the others are under way. Two of these are needed where a
    /// tile may be nothing but a short product, which takes no longer than a copy.
    static constexpr uint32_t stages = kFacing == 1 && kCols == 64 ? 3 : 2;
    /// Of the stages; a kernel may keep more behind them.
    static constexpr uint32_t bytes = stages * (own_bytes + stage_bytes);

    /// What sums of scores start from. Of up to 128 products they stay below 2^22, so that this
    /// makes them the bits of a float that is 3 * 2^22 larger: no conversion is needed.
    static constexpr int32_t first_sum = kSliced ? 0 : 0x4b400000;
    static_assert(kSliced || kCols * 127 * 127 < 1 << 22);

    [[nodiscard]] __device__ __forceinline__ static float value_of(int32_t sum) {
        return kSliced ? __int2float_rn(sum) : sub(as_float(static_cast<uint32_t>(sum)), 0x3p22F);
    }
};

/// The tiles of a walk, [first, last). Outside of [met_first, met_last) none of the warp's rows
/// meets a column, in [free_first, free_last) all of them meet all columns.
struct TileRange {
    uint32_t first, last, met_first, met_last, free_first, free_last;

    [[nodiscard]] __device__ __forceinline__ uint32_t met() const {
        const uint32_t begin = first > met_first ? first : met_first;
        const uint32_t end = last < met_last ? last : met_last;
        return end > begin ? end - begin : 0;
    }
};

/// 16 neighbouring terms of a row, which must be aligned.
__device__ __forceinline__ uint4 four_words_at(const int8_t* line) {
    return *reinterpret_cast<const uint4*>(line);
}

/// Four products of signed bytes and a sum.
__device__ __forceinline__ int32_t dot4(uint32_t a, uint32_t b, int32_t sum) {
    return __dp4a(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
}

/// Starts the copy of kRows lines of kParts times 16 bytes each; zeros outside. They lie in less
/// than 2^32 bytes; which type counts those decides whether the registers of a kernel suffice.
template <class Offset, uint32_t kRows, uint32_t kParts>
__device__ __forceinline__ void load_strip_lines(int8_t* to, uint32_t line, const int8_t* from,
                                                 uint32_t stride, uint32_t rows_left,
                                                 uint32_t bytes_left) {
    constexpr uint32_t kApart = kStripThreads / kParts;
    const uint32_t first = threadIdx.x / kParts, at = threadIdx.x % kParts * 16;
#pragma unroll
    for (uint32_t turn = 0; turn < kRows; turn += kApart) {
        const uint32_t row = turn + first;
        if (kRows % kApart != 0 && row >= kRows) return;
        const bool inside = row < rows_left && at < bytes_left;
        copy16_async(to + row * line + at, inside ? from + (Offset{row} * stride + at) : from,
                     inside);
    }
}

/// Sums of 16 rows of the warp with 32 rows of the other side: tile n holds columns 8 n to 8 n + 7.
using StripSums = int32_t[4][4];

/// One block's 64 own rows and its way along the other side.
template <class S>
class Strip {
public:
    /// `first_own`: the first of the 64 rows; `first_col`: the first of S::cols columns of far.
    __device__ Strip(const StripInputs& in, const StripDue& due, int8_t* shared,
                     uint32_t first_own, uint32_t first_col)
        : check(due),
          in_(in),
          slices_(S::sliced ? (in.k + S::cols - 1) / S::cols : 1),
          k_(S::sliced ? in.k : S::cols),
          shared_(shared),
          own_(first_own),
          col_(first_col),
          head_(size_t{own_head()} * in.t) {
        if constexpr (!S::sliced) hold_own();
    }

    /// Calls `use(is_free, first_other, sums, far, positions)` for tile after tile of the range
    /// that the warp's rows meet, in order. `far` is there only if `with_far`. `is_free`, a type,
    /// is true where nothing is masked.
    template <class Use>
    __device__ __forceinline__ void walk(const TileRange& range, bool with_far, const Use& use) {
        walk(
            range, with_far, [](uint32_t) {}, use);
    }
    /// The same, and `begin(first_other)` comes before the sums are there, when registers are free.
    template <class Begin, class Use>
    __device__ __forceinline__ void walk(const TileRange& range, bool with_far, const Begin& begin,
                                         const Use& use) {
        StripSums sums[S::facing];
        check.begin_walk();
        __syncthreads();  // the stages of the walk before are free
        Step now = {range.first, 0, 0};
#pragma unroll
        for (uint32_t i = 0; i + 1 < S::stages; ++i) load(after(now, i), range.last, with_far);
        for (; now.tile < range.last; now = after(now, 1)) {
            copy_wait<S::stages - 2>();
            __syncthreads();
            load(after(now, S::stages - 1), range.last, with_far);
            const uint32_t tile = now.tile;
            if (tile < range.met_first || tile >= range.met_last) continue;
            if (now.slice == 0) {
                begin(tile * kStripTile);
                clear(sums);
            }
            multiply(sums, now.stage);
            if (now.slice + 1 < slices_) continue;
            check.add_scores(sums);
            const int8_t* const stage = stage_at(now.stage) + S::facing * kStripTile * S::line;
            const auto* const positions =
                reinterpret_cast<const PositionTile*>(stage + S::far * S::far_bytes);
            if (tile >= range.free_first && tile < range.free_last)
                use(std::true_type{}, tile * kStripTile, sums, stage, positions);
            else
                use(std::false_type{}, tile * kStripTile, sums, stage, positions);
        }
    }

    /// What the sums of all walks come to; `multiply_columns` and `add_out` are its user's.
    StripCheck<S, S::checks> check;

    /// Behind the last walk. All lanes of the warp call it.
    __device__ __forceinline__ void settle_check(const TileRange& range) {
        check.settle(in_.t, own_ + threadIdx.x / kWarp * 16 + lane_id() / 4, range.met());
    }

    /// The sum of one own row and one of the other side, by the four lanes of a row.
    [[nodiscard]] __device__ __forceinline__ int32_t sum_of(uint32_t own, uint32_t other) const {
        const int8_t* const a = in_.facing[0].own + (head_ + own) * k_;
        const int8_t* const b = in_.facing[0].other + (head_ + other) * k_;
        int32_t sum = 0;
        for (uint32_t at = lane_id() % 4 * 16; at < k_; at += 64) {
            const uint4 x = four_words_at(a + at), y = four_words_at(b + at);
            sum = dot4(x.x, y.x, dot4(x.y, y.y, dot4(x.z, y.z, dot4(x.w, y.w, sum))));
        }
        for (uint32_t s = 2; s > 0; s /= 2) sum += __shfl_xor_sync(kAllLanes, sum, s);
        return sum;
    }

private:
    using Offset = std::conditional_t<S::far == 2, uint32_t, size_t>;

    /// A slice of a tile, and the stage that holds it.
    struct Step {
        uint32_t tile, slice, stage;
    };
    __device__ __forceinline__ Step after(Step step, uint32_t steps) const {
#pragma unroll
        for (uint32_t i = 0; i < steps; ++i) {
            const bool is_last_slice = step.slice + 1 == slices_;
            step = {step.tile + (is_last_slice ? 1 : 0), is_last_slice ? 0 : step.slice + 1,
                    step.stage + 1 == S::stages ? 0 : step.stage + 1};
        }
        return step;
    }
    __device__ __forceinline__ int8_t* own_at(uint32_t stage) const {
        return shared_ + stage * S::own_bytes;
    }
    __device__ __forceinline__ int8_t* stage_at(uint32_t stage) const {
        return shared_ + S::stages * S::own_bytes + stage * S::stage_bytes;
    }
    /// 64 terms of rows g and g + 8 of 16 as left operands of two products. A sum has no order:
    /// lane t of four takes 16 neighbouring bytes, on both sides, for two products.
    using Left = uint32_t[2][4];
    __device__ __forceinline__ static void put_left(Left& left, const uint4& low,
                                                    const uint4& high) {
        left[0][0] = low.x, left[0][1] = high.x, left[0][2] = low.y, left[0][3] = high.y;
        left[1][0] = low.z, left[1][1] = high.z, left[1][2] = low.w, left[1][3] = high.w;
    }
    /// Where a lane's bytes of a row begin, 16 for each 64 columns.
    __device__ __forceinline__ static uint32_t own_byte() {
        return lane_id() % 4 * (S::cols / 4);
    }

    /// The warp's 16 own rows; zeros where the matrix has ended.
    __device__ __forceinline__ void hold_own() {
        const uint32_t row = own_ + threadIdx.x / kWarp * 16 + lane_id() / 4;
        const auto words_of = [&](uint32_t f, uint32_t at, uint32_t part) {
            if (at >= in_.t) return uint4{0, 0, 0, 0};
            return four_words_at(in_.facing[f].own + (head_ + at) * k_ + own_byte() + part * 16);
        };
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f)
#pragma unroll
            for (uint32_t part = 0; part < S::cols / 64; ++part)
                put_left(held_[f][part], words_of(f, row, part), words_of(f, row + 8, part));
    }
    __device__ __forceinline__ static void clear(StripSums (&sums)[S::facing]) {
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f)
#pragma unroll
            for (uint32_t i = 0; i < 16; ++i) sums[f][i / 4][i % 4] = S::first_sum;
    }

    /// Starts the copies of a step, none behind the last tile.
    __device__ __forceinline__ void load(const Step& step, uint32_t last, bool with_far) const {
        if (step.tile < last) load(step, with_far);
        copy_commit();
    }
    __device__ __forceinline__ void load(const Step& step, bool with_far) const {
        const uint32_t other = step.tile * kStripTile, byte = step.slice * S::cols;
        int8_t* own = own_at(step.stage);
        int8_t* stage = stage_at(step.stage);
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f) {
            const Facing& facing = in_.facing[f];
            if (S::sliced)
                load_strip_lines<Offset, kStripRows, S::parts>(
                    own, S::line, facing.own + (head_ + own_) * k_ + byte, k_, in_.t - own_,
                    k_ - byte);
            load_strip_lines<Offset, kStripTile, S::parts>(
                stage, S::line, facing.other + (head_ + other) * k_ + byte, k_, in_.t - other,
                k_ - byte);
            own += kStripRows * S::line;
            stage += kStripTile * S::line;
        }
        if (step.slice + 1 == slices_) {
            if (with_far) load_far(stage, other);
            const PositionTile* const from =
                in_.positions + own_head() * position_tiles(in_.t) + step.tile;
            load_strip_lines<Offset, 1, sizeof(PositionTile) / 16>(
                stage + S::far * S::far_bytes, sizeof(PositionTile),
                reinterpret_cast<const int8_t*>(from), sizeof(PositionTile), 1,
                sizeof(PositionTile));
            if constexpr (S::checks == Checks::sums)
                load_column_sums(stage + S::far * S::far_bytes + sizeof(PositionTile), step.tile);
        }
    }
    /// By threads that copy no positions.
    __device__ __forceinline__ void load_column_sums(int8_t* to, uint32_t tile) const {
        constexpr uint32_t kFirst = sizeof(PositionTile) / 16, kParts = S::column_sum_bytes / 16;
        static_assert(kFirst + kParts <= kStripThreads);
        if (threadIdx.x < kFirst || threadIdx.x >= kFirst + kParts) return;
        const int8_t* const from = check.columns(size_t{own_head()} * gridDim.y + blockIdx.y,
                                                 position_tiles(in_.t));
        const uint32_t at = (threadIdx.x - kFirst) * 16;
        copy16_async(to + at, from + size_t{tile} * S::column_sum_bytes + at, true);
    }
    __device__ __forceinline__ void load_far(int8_t* to, uint32_t other) const {
        const size_t first = size_t{own_head()} * in_.hd + col_;
#pragma unroll
        for (uint32_t f = 0; f < S::far; ++f)
            load_strip_lines<Offset, S::cols, kStripTile / 16>(
                to + f * S::far_bytes, kStripTile, in_.far[f] + first * in_.far_k + other,
                in_.far_k, in_.hd - col_, kStripTile);
    }

    __device__ __forceinline__ void multiply(StripSums (&sums)[S::facing], uint32_t stage) const {
        const uint32_t g = lane_id() / 4;
        const int8_t* own = own_at(stage) + (threadIdx.x / kWarp * 16 + g) * S::line + own_byte();
        const int8_t* other = stage_at(stage) + g * S::line + own_byte();
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f) {
#pragma unroll
            for (uint32_t part = 0; part < S::cols / 64; ++part) {
                if constexpr (S::sliced) {
                    Left left;
                    put_left(left, four_words_at(own + part * 16),
                             four_words_at(own + 8 * S::line + part * 16));
                    multiply_part(sums[f], left, other + part * 16);
                } else {
                    multiply_part(sums[f], held_[f][part], other + part * 16);
                }
            }
            own += kStripRows * S::line;
            other += kStripTile * S::line;
        }
    }
    __device__ __forceinline__ static void multiply_part(StripSums& sums, const Left& left,
                                                         const int8_t* other) {
#pragma unroll
        for (uint32_t n = 0; n < 4; n += 2) {
            const uint4 right[2] = {four_words_at(other + n * 8 * S::line),
                                    four_words_at(other + (n + 1) * 8 * S::line)};
#pragma unroll
            for (uint32_t i = 0; i < 2; ++i) mma_s8(sums[n + i], left[0], {right[i].x, right[i].y});
#pragma unroll
            for (uint32_t i = 0; i < 2; ++i) mma_s8(sums[n + i], left[1], {right[i].z, right[i].w});
        }
    }

    StripInputs in_;
    uint32_t slices_, k_;  ///< of a row, and its bytes
    int8_t* shared_;
    uint32_t own_, col_;
    size_t head_;  ///< positions before this head's
    Left held_[S::facing][S::sliced ? 1 : S::cols / 64];
};

/// Column e mod 2 of tile n, as a lane holds it, of 32.
__device__ __forceinline__ uint32_t column_of(uint32_t n, uint32_t e) {
    return n * 8 + lane_id() % 4 * 2 + e % 2;
}

/// A position of the running block's head.
__device__ __forceinline__ Position position_at(const StripInputs& in, uint32_t i) {
    const PositionTile* const tiles = in.positions + own_head() * position_tiles(in.t);
    return tiles[i / kStripTile].at(i % kStripTile / 2, i % 2 != 0);
}

/// The two rows of a block that a lane holds, r = 0 and 1. Behind the end of the matrix they have
/// the last position.
struct OwnRows {
    uint32_t first;  ///< and the other is eight rows below
    Position at[2];

    __device__ OwnRows(const StripInputs& in, uint32_t first_own)
        : first(first_own + threadIdx.x / kWarp * 16 + lane_id() / 4) {
#pragma unroll
        for (uint32_t r = 0; r < 2; ++r) {
            const uint32_t inside = row(r) < in.t ? row(r) : in.t - 1;
            at[r] = position_at(in, inside);
        }
    }
    [[nodiscard]] __device__ __forceinline__ uint32_t row(uint32_t r) const {
        return first + r * 8;
    }
};

/// The tiles of a walk by rows, and by columns: what the running block's rows meet, or are met by.
/// Rows behind the end meet nothing, so no tile of theirs is free of masks.
template <bool kByColumn>
__device__ __forceinline__ TileRange range_of(const StripInputs& in, uint32_t first_own) {
    const uint32_t own = first_own + threadIdx.x / kWarp * 16;
    TileRange range = {};
    range.last = (in.t + kStripTile - 1) / kStripTile;
    if (kByColumn) {
        range.met_last = range.free_last = range.last;
        range.met_first = own >= in.t ? range.last : in.causal ? own / kStripTile : 0;
        if (!in.causal) return range;
        range.first = first_own / kStripTile;
        range.free_first = (own + 15 + kStripTile - 1) / kStripTile;
        return range;
    }
    range.met_last = own < in.t ? range.last : 0;
    const uint32_t end = first_own + kStripRows;
    if (in.causal && end < in.t) range.last = (end + kStripTile - 1) / kStripTile;
    if (in.causal && own < in.t) range.met_last = own / kStripTile + 1;
    if (end <= in.t) range.free_last = (in.causal ? own + 1 : in.t) / kStripTile;
    return range;
}

/// sums (16 x kCols) += left (16 x 32, in paired order) times one tile of far.
template <uint32_t kCols>
__device__ __forceinline__ void multiply_far(int32_t (&sums)[kCols / 8][4],
                                             const uint32_t (&left)[4], const int8_t* far) {
    const int8_t* const line = far + lane_id() / 4 * kStripTile + lane_id() % 4 * 8;
#pragma unroll
    for (uint32_t d = 0; d < kCols / 8; ++d) {
        const auto words = *reinterpret_cast<const uint64_t*>(line + d * 8 * kStripTile);
        mma_s8(sums[d], left, {static_cast<uint32_t>(words), static_cast<uint32_t>(words >> 32)});
    }
}

/// Puts byte kByte of q[i][e], of sum e of tile 2 * pair + i, into the warp's 16 x 32 operand in
/// paired order.
template <uint32_t kByte>
__device__ __forceinline__ void pack_pair(uint32_t (&left)[4], uint32_t pair,
                                          const uint32_t (&q)[2][4]) {
    constexpr uint32_t kBoth = kByte | (4 + kByte) << 4;
#pragma unroll
    for (uint32_t r = 0; r < 2; ++r)
        left[pair * 2 + r] = __byte_perm(__byte_perm(q[0][r * 2], q[0][r * 2 + 1], kBoth),
                                         __byte_perm(q[1][r * 2], q[1][r * 2 + 1], kBoth), 0x5410);
}

/// The halving tree of numerics.md, section 7, over a row: lane 8 n + 2 (l mod 4) + e of the rule
/// is lanes[n][e] of lane l; all four lanes of the row get the sum.
__device__ __forceinline__ float quad_tree(const float (&lanes)[4][2]) {
    float x[2];
#pragma unroll
    for (uint32_t e = 0; e < 2; ++e)
        x[e] = add(add(lanes[0][e], lanes[2][e]), add(lanes[1][e], lanes[3][e]));
    for (uint32_t s = 2; s > 0; s /= 2)
#pragma unroll
        for (uint32_t e = 0; e < 2; ++e) x[e] = add(x[e], __shfl_xor_sync(kAllLanes, x[e], s));
    return add(x[0], x[1]);
}

}  // namespace trainyard::cuda
