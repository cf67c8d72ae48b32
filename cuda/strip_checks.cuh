// SPDX-License-Identifier: Apache-2.0
// Whether the sums of attention's products are what their operands give, exactly, as checksums.cuh
// says of others. All of a warp's scores with the rows that it walks along add up to its own rows
// times the sum of those; and a row of the next product to that row of its left operand times what
// the far operand has in all columns. The latter are numbers of 15 bits, in two bytes, so that they
// are two columns more of that product.
#pragma once

#include <cstdint>

#include "cuda/checksums.cuh"
#include "cuda/heads.cuh"
#include "cuda/tensor_core.cuh"

namespace trainyard::cuda {

struct StripInputs;

/// What a strip's sums must add up to; read only where they are checked.
struct StripDue {
    /// batch x t: of all scores that a position is given in one walk, of all facing operands.
    const uint32_t* scores = nullptr;
    const int8_t* columns = nullptr;  ///< batch x slices x tiles x far x ColumnSums::bytes
    uint32_t* residues = nullptr;     ///< Context::residues
};

/// The sums of far operands' columns, 32 terms in paired order: a line of 32 low bytes, of -64 to
/// 63, and one of as many that count 128.
struct ColumnSums {
    static constexpr uint32_t line = PositionTile::count, bytes = 2 * line;
    static constexpr int32_t base = 128;
};

/// What a kernel adds to check the sums of a warp's strip. One that checks nothing has nothing.
template <class S, Checks kChecks>
class StripCheck;

template <class S>
class StripCheck<S, Checks::none> {
public:
    __device__ __forceinline__ explicit StripCheck(const StripDue&) {}
    template <class... Any>
    __device__ __forceinline__ void begin_walk(const Any&...) {}
    template <class... Any>
    __device__ __forceinline__ void add_scores(const Any&...) {}
    template <class... Any>
    __device__ __forceinline__ void multiply_columns(const Any&...) {}
    template <class... Any>
    __device__ __forceinline__ void add_out(const Any&...) {}
    template <class... Any>
    __device__ __forceinline__ void settle(const Any&...) {}
};

template <class S>
class StripCheck<S, Checks::sums> {
public:
    __device__ __forceinline__ explicit StripCheck(const StripDue& due) : due_(due) {}
    /// Of a strip of the grid, all of its tiles.
    [[nodiscard]] __device__ __forceinline__ const int8_t* columns(size_t strip,
                                                                   uint32_t tiles) const {
        return due_.columns + strip * tiles * S::column_sum_bytes;
    }
    __device__ __forceinline__ void begin_walk() { ++walks_; }
    /// The sums of a tile with everything that S::first_sum made them start from.
    __device__ __forceinline__ void add_scores(const int32_t (&sums)[S::facing][4][4]) {
#pragma unroll
        for (uint32_t i = 0; i < S::facing * 16; ++i)
            residue_ += static_cast<uint32_t>(sums[i / 16][i / 4 % 4][i % 4]);
    }
    /// Joins the columns' sums of far operand f of the tile of `at` to the product. Each of the
    /// eight columns that `mma` has is one of the two, so that all lanes of a row get both.
    __device__ __forceinline__ void multiply_columns(const uint32_t (&left)[4],
                                                     const PositionTile* at, uint32_t f) {
        const auto* const sums = reinterpret_cast<const int8_t*>(at + 1) + f * ColumnSums::bytes;
        const auto words = *reinterpret_cast<const uint64_t*>(
            sums + lane_id() / 4 % 2 * ColumnSums::line + lane_id() % 4 * 8);
        int32_t both[4] = {};
        mma_s8(both, left, {static_cast<uint32_t>(words), static_cast<uint32_t>(words >> 32)});
        low_ += static_cast<uint32_t>(both[0]) + static_cast<uint32_t>(both[2]);
        high_ += static_cast<uint32_t>(both[1]) + static_cast<uint32_t>(both[3]);
    }
    /// The sums of a product with a far operand, when all of them are whole.
    __device__ __forceinline__ void add_out(const int32_t (&out)[S::cols / 8][4]) {
#pragma unroll
        for (uint32_t i = 0; i < S::cols / 2; ++i)
            residue_ += static_cast<uint32_t>(out[i / 4][i % 4]);
        if (lane_id() % 4 == 0) residue_ -= low_ + ColumnSums::base * high_;
        low_ = high_ = 0;
    }
    /// Behind the last walk: `tiles` are those of each that the warp's rows met. All lanes of the
    /// warp call it; first_row is the lane's first, t the rows that there are.
    __device__ __forceinline__ void settle(uint32_t t, uint32_t first_row, uint32_t tiles) const {
        constexpr auto kStart = static_cast<uint32_t>(S::first_sum) * 16 * S::facing;
        uint32_t residue = residue_ - walks_ * tiles * kStart;
        for (uint32_t s = 1; s < 4; s *= 2) residue += __shfl_xor_sync(kAllLanes, residue, s);
        const size_t first = size_t{blockIdx.x} * t + first_row;
        if (lane_id() % 4 != 0 || first_row >= t) return;
        residue -= walks_ * (due_.scores[first] + (first_row + 8 < t ? due_.scores[first + 8] : 0));
        if (residue != 0) atomicAdd(due_.residues + first % kResidues, residue);
    }

private:
    StripDue due_;
    uint32_t residue_ = 0, walks_ = 0;
    uint32_t low_ = 0, high_ = 0;  ///< of both rows' products with the columns' sums
};

/// The sums for kernels whose blocks hold `cols` columns of a head, by rows or by columns, if they
/// are checked. Takes scratch memory.
[[nodiscard]] StripDue foresee_strips(Context& on, uint32_t batch, const StripInputs& in,
                                      uint32_t cols, bool by_column);

/// Scratch memory of one head that foresee_strips takes, at most.
[[nodiscard]] size_t strip_check_bytes(uint32_t t, uint32_t hd);

}  // namespace trainyard::cuda
