// SPDX-License-Identifier: Apache-2.0
// What attention reads of its heads, made in one pass by rows and one by columns:
// docs/spec/numerics.md, section 10.
#pragma once

#include "cuda/products.cuh"

namespace trainyard::cuda {

/// What is known of one position of one head besides its bytes.
struct Position {
    float k_alpha, v, k, q;          ///< scales of its rows, and that of k times alpha
    float d_out, max, inverse, dot;  ///< scale; statistics of the forward pass; dO times O
};
/// The fields of a position by number.
enum PositionField : uint32_t {
    kPositionKAlpha,
    kPositionV,
    kPositionK,
    kPositionQ,
    kPositionDOut,
    kPositionMax,
    kPositionInverse,
    kPositionDot,
};

/// 32 positions as a warp reads them. A lane needs two neighbours, and mostly two fields: those of
/// x and y, and of z and w, are one access, and the lanes of a row have different banks.
struct PositionTile {
    static constexpr uint32_t count = 32;
    float4 of_pairs[4][count / 2];

    /// Positions 2 * pair and 2 * pair + 1.
    [[nodiscard]] __device__ __forceinline__ Position at(uint32_t pair, bool second) const {
        const float4 &a = of_pairs[0][pair], &b = of_pairs[1][pair], &c = of_pairs[2][pair],
                     &d = of_pairs[3][pair];
        if (second) return {a.y, a.w, b.y, b.w, c.y, c.w, d.y, d.w};
        return {a.x, a.z, b.x, b.z, c.x, c.z, d.x, d.z};
    }
    /// Field number `field` of positions 2 * pair and 2 * pair + 1.
    __device__ __forceinline__ void put(uint32_t pair, uint32_t field, float2 of_both) {
        float4& both = of_pairs[field / 2][pair];
        reinterpret_cast<float2*>(&both)[field % 2] = of_both;
    }
};
__host__ __device__ constexpr uint32_t position_tiles(uint32_t t) {
    return (t + PositionTile::count - 1) / PositionTile::count;
}

/// Operands of a forward pass; their scales are in the positions. Columns are in paired order.
struct ForwardHeads {
    Operand q, k, v_cols;
    PositionTile* positions = nullptr;  ///< batch x tiles; zeros behind the end
};

struct BackwardHeads {
    Operand q, k, v, d_out;
    Operand q_cols, k_cols, d_out_cols;  ///< with their scales
    PositionTile* positions = nullptr;   ///< as above
};

/// Rows of a head are positions; q, k and v as in training/backend.hpp.
struct HeadSources {
    Source q, k, v;
    float alpha;
};
struct GradSources {
    Source d_out, out;
    const float* stats;  ///< batch x t x 2
    Words of_d_out;
};

[[nodiscard]] ForwardHeads prepare_forward(Context& on, uint32_t batch, const HeadSources& x);
[[nodiscard]] BackwardHeads prepare_backward(Context& on, uint32_t batch, const HeadSources& x,
                                             const GradSources& grad);

}  // namespace trainyard::cuda
