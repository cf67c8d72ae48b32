// SPDX-License-Identifier: Apache-2.0
// Scores of attention in registers: 64 positions of one side against all of the other, 32 at a
// time, so that no T x T matrix leaves a multiprocessor.
#pragma once

#include "cuda/heads.cuh"
#include "cuda/reduce.cuh"
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
    const Position* positions;  ///< batch x t
    uint32_t t, hd, k, far_k;
    bool causal;
};

constexpr uint32_t kStripWarps = 4;
constexpr uint32_t kStripThreads = kStripWarps * kWarp;
constexpr uint32_t kStripRows = kStripWarps * 16;
constexpr uint32_t kStripTile = 32;  ///< the lanes of a reduction, and one step of a contraction
constexpr uint32_t kLinePad = 16;    ///< puts the words of a fragment in 32 banks
constexpr uint32_t kFarLine = kStripTile + kLinePad;

/// The stages of a walk. A row of a head lies in shared memory in slices of kCols bytes. Of a head
/// of one slice warps hold their own side in registers; in a kSliced one the slices of both sides
/// come in turn.
template <uint32_t kFacing, uint32_t kFar, uint32_t kCols, bool kSliced>
struct StripShape {
    static constexpr uint32_t facing = kFacing, far = kFar, cols = kCols;
    static constexpr bool sliced = kSliced;
    static constexpr uint32_t parts = kCols / 16;  ///< of a slice, as they are copied
    static constexpr uint32_t line = kCols + kLinePad;
    static constexpr uint32_t own_bytes = kSliced ? kFacing * kStripRows * line : 0;
    static constexpr uint32_t far_bytes = kCols * kFarLine;
    static constexpr uint32_t position_bytes = kStripTile * sizeof(Position);
    static constexpr uint32_t stage_bytes =
        kFacing * kStripTile * line + kFar * far_bytes + position_bytes;
    /// Of the stages; a kernel may keep more behind them.
    static constexpr uint32_t bytes = 2 * (own_bytes + stage_bytes);
};

/// Starts the copy of kRows lines of kParts times 16 bytes each; zeros outside.
template <uint32_t kRows, uint32_t kParts>
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
        copy16_async(to + row * line + at, inside ? from + size_t{row} * stride + at : from,
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
    __device__ Strip(const StripInputs& in, int8_t* shared, uint32_t first_own, uint32_t first_col)
        : in_(in),
          slices_(S::sliced ? (in.k + S::cols - 1) / S::cols : 1),
          k_(S::sliced ? in.k : S::cols),
          shared_(shared),
          own_(first_own),
          col_(first_col),
          head_(size_t{blockIdx.z} * in.t) {
        if constexpr (!S::sliced) hold_own();
    }

    /// Calls `use(first_other, sums, far, positions)` for tile after tile in [first, last), in
    /// order, by all threads. `far` is there only if `with_far`.
    template <class Use>
    __device__ __forceinline__ void walk(uint32_t first, uint32_t last, bool with_far,
                                         const Use& use) {
        StripSums sums[S::facing];
        __syncthreads();  // the stages of the walk before are free
        load(first, 0, 0, with_far);
        uint32_t tile = first, slice = 0;
        for (uint32_t step = 0; tile < last; ++step) {
            const bool is_last_slice = slice + 1 == slices_;
            const uint32_t next_tile = is_last_slice ? tile + 1 : tile;
            const uint32_t next_slice = is_last_slice ? 0 : slice + 1;
            copy_wait<0>();
            __syncthreads();
            if (next_tile < last) load(next_tile, next_slice, step + 1, with_far);
            if (slice == 0) clear(sums);
            multiply(sums, step);
            if (is_last_slice) {
                const int8_t* const stage = stage_at(step) + S::facing * kStripTile * S::line;
                const auto* const positions =
                    reinterpret_cast<const Position*>(stage + S::far * S::far_bytes);
                use(tile * kStripTile, sums, stage, positions);
            }
            tile = next_tile;
            slice = next_slice;
        }
    }

private:
    __device__ __forceinline__ int8_t* own_at(uint32_t step) const {
        return shared_ + step % 2 * S::own_bytes;
    }
    __device__ __forceinline__ int8_t* stage_at(uint32_t step) const {
        return shared_ + 2 * S::own_bytes + step % 2 * S::stage_bytes;
    }
    /// The warp's 16 own rows as left operands of all products; zeros where the matrix has ended.
    __device__ __forceinline__ void hold_own() {
        const uint32_t row = own_ + threadIdx.x / kWarp * 16 + lane_id() / 4;
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f)
#pragma unroll
            for (uint32_t i = 0; i < S::cols / 8; ++i) {
                const uint32_t at = row + i % 2 * 8, byte = i / 2 * 16 + lane_id() % 4 * 4;
                held_[f][i] =
                    at < in_.t ? word_at(in_.facing[f].own + (head_ + at) * k_ + byte) : 0;
            }
    }
    __device__ __forceinline__ static void clear(StripSums (&sums)[S::facing]) {
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f)
#pragma unroll
            for (uint32_t i = 0; i < 16; ++i) sums[f][i / 4][i % 4] = 0;
    }

    __device__ __forceinline__ void load(uint32_t tile, uint32_t slice, uint32_t step,
                                         bool with_far) const {
        const uint32_t other = tile * kStripTile, byte = slice * S::cols;
        int8_t* own = own_at(step);
        int8_t* stage = stage_at(step);
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f) {
            const Facing& facing = in_.facing[f];
            if (S::sliced)
                load_strip_lines<kStripRows, S::parts>(own, S::line,
                                                       facing.own + (head_ + own_) * k_ + byte, k_,
                                                       in_.t - own_, k_ - byte);
            load_strip_lines<kStripTile, S::parts>(stage, S::line,
                                                   facing.other + (head_ + other) * k_ + byte, k_,
                                                   in_.t - other, k_ - byte);
            own += kStripRows * S::line;
            stage += kStripTile * S::line;
        }
        if (slice + 1 == slices_) {
            if (with_far) load_far(stage, other);
            const auto* const from = reinterpret_cast<const int8_t*>(in_.positions + head_ + other);
            load_strip_lines<kStripTile, sizeof(Position) / 16>(
                stage + S::far * S::far_bytes, sizeof(Position), from, sizeof(Position),
                in_.t - other, sizeof(Position));
        }
        copy_commit();
    }
    __device__ __forceinline__ void load_far(int8_t* to, uint32_t other) const {
        const size_t first = size_t{blockIdx.z} * in_.hd + col_;
#pragma unroll
        for (uint32_t f = 0; f < S::far; ++f)
            load_strip_lines<S::cols, kStripTile / 16>(to + f * S::far_bytes, kFarLine,
                                                       in_.far[f] + first * in_.far_k + other,
                                                       in_.far_k, in_.hd - col_, kStripTile);
    }

    __device__ __forceinline__ void multiply(StripSums (&sums)[S::facing], uint32_t step) const {
        const uint32_t g = lane_id() / 4, t = lane_id() % 4 * 4;
        const int8_t* own = own_at(step) + (threadIdx.x / kWarp * 16 + g) * S::line + t;
        const int8_t* other = stage_at(step) + g * S::line + t;
#pragma unroll
        for (uint32_t f = 0; f < S::facing; ++f) {
#pragma unroll
            for (uint32_t k = 0; k < S::cols; k += 32) {
                uint32_t a[4];
#pragma unroll
                for (uint32_t i = 0; i < 4; ++i)
                    a[i] = S::sliced ? word_at(own + i % 2 * 8 * S::line + k + i / 2 * 16)
                                     : held_[f][k / 8 + i];
#pragma unroll
                for (uint32_t n = 0; n < 4; ++n) {
                    const int8_t* const line = other + n * 8 * S::line + k;
                    const uint32_t b[2] = {word_at(line), word_at(line + 16)};
                    mma_s8(sums[f][n], a, b);
                }
            }
            own += kStripRows * S::line;
            other += kStripTile * S::line;
        }
    }

    StripInputs in_;
    uint32_t slices_, k_;  ///< of a row, and its bytes
    int8_t* shared_;
    uint32_t own_, col_;
    size_t head_;  ///< positions before this head's
    uint32_t held_[S::facing][S::sliced ? 1 : S::cols / 8];
};

/// sums (16 x kCols) += left (16 x 32, in paired order) times one tile of far.
template <uint32_t kCols>
__device__ __forceinline__ void multiply_far(int32_t (&sums)[kCols / 8][4],
                                             const uint32_t (&left)[4], const int8_t* far) {
    const int8_t* const line = far + lane_id() / 4 * kFarLine + lane_id() % 4 * 4;
#pragma unroll
    for (uint32_t d = 0; d < kCols / 8; ++d) {
        const uint32_t b[2] = {word_at(line + d * 8 * kFarLine),
                               word_at(line + d * 8 * kFarLine + 16)};
        mma_s8(sums[d], left, b);
    }
}

/// Puts q, the value of sum e of tile n, into the warp's 16 x 32 operand in paired order.
__device__ __forceinline__ void put_byte(uint32_t (&left)[4], uint32_t n, uint32_t e, int q) {
    left[n / 2 * 2 + e / 2] |= (static_cast<uint32_t>(q) & 0xffU) << (8 * (n % 2 * 2 + e % 2));
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
