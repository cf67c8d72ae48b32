// SPDX-License-Identifier: Apache-2.0
// What attention's two passes share: heads in groups, which columns a row meets, scores from sums,
// and how a head's rows are stored. docs/spec/numerics.md, section 10.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cuda/fragments.cuh"
#include "cuda/heads.cuh"
#include "cuda/operators.cuh"
#include "cuda/strips.cuh"

namespace trainyard::cuda {

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

[[nodiscard]] inline Heads heads_of(AttentionShape s) {
    // A square root and a quotient in binary32, rounded once each, are the same on any host.
    const float alpha = 1.0F / std::sqrt(static_cast<float>(s.hd));
    return {s.t, s.hd, s.h * s.hd, 0, 0, s.h, alpha, s.causal};
}

/// Scratch of one head: `rows` operands by position, `cols` by column, scales, positions, maxima.
[[nodiscard]] inline size_t head_bytes(const Context& on, AttentionShape s, uint32_t rows,
                                       uint32_t cols) {
    const size_t row = padded_terms(s.hd, Layout::lines) + 2 * sizeof(float);
    const size_t col = padded_terms(s.t, Layout::paired) + 2 * sizeof(float);
    const size_t maxima = 2 * sizeof(uint32_t);
    const size_t checks = on.residues() != nullptr ? strip_check_bytes(s.t, s.hd) : 0;
    return size_t{s.t} * (rows * row + maxima) + position_tiles(s.t) * sizeof(PositionTile) +
           size_t{s.hd} * cols * (col + sizeof(uint32_t)) + checks;
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

template <class S, class Kernel, class Parameters>
void launch_strips(Context& on, const Heads& h, Kernel* kernel, const Parameters& p,
                   size_t bytes_behind) {
    const size_t bytes = S::bytes + bytes_behind;
    const dim3 grid(h.count, blocks_for(h.hd, S::cols), blocks_for(h.t, kStripRows));
    on.launch({grid, kStripThreads, bytes}, kernel, p);
}

/// Calls `launch` with the number of columns that a block takes of a head, whether there are more,
/// whether alpha is a power of two, for the commonest heads, and whether sums are checked.
template <class Launch>
void with_columns(const Context& on, const Heads& h, const Launch& launch) {
    using std::false_type, std::integral_constant, std::true_type;
    const auto with = [&](auto cols, auto sliced, auto folded) {
        if (on.residues() == nullptr)
            launch(cols, sliced, folded, integral_constant<Checks, Checks::none>{});
        else
            launch(cols, sliced, folded, integral_constant<Checks, Checks::sums>{});
    };
    const bool is_folded = h.hd == 16 || h.hd == 64;
    if (is_folded) return with(integral_constant<uint32_t, 64>{}, false_type{}, true_type{});
    if (h.hd <= 64) return with(integral_constant<uint32_t, 64>{}, false_type{}, false_type{});
    if (h.hd <= 128) return with(integral_constant<uint32_t, 128>{}, false_type{}, false_type{});
    with(integral_constant<uint32_t, 128>{}, true_type{}, false_type{});
}

}  // namespace trainyard::cuda
