// SPDX-License-Identifier: Apache-2.0
// Sums, norms and gelu with the quantising of their rows, and gradients with their maxima:
// docs/spec/numerics.md, sections 5, 8, 11.
#include "cuda/fused_rows.cuh"

#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/products.cuh"
#include "cuda/tile_maxima.cuh"

namespace trainyard::cuda {

namespace {

/// What a lane or thread holds must be registers.
constexpr uint32_t kNormColsMax = 2048, kGeluColsMax = 8192;
/// Rows of operands are whole slabs then, with nothing to pad.
constexpr uint32_t kColsStep = kSwizzledRow;

bool is_aligned(const void* at) {
    return reinterpret_cast<uintptr_t>(at) % sizeof(float4) == 0;
}

struct NormRows {
    const float* a;
    const float* b;  ///< nullptr: a is the row to norm
    const float* g;
    float *sum, *y, *r;
    Operand q;  ///< without bytes: not wanted
    uint32_t rows, cols;
    uint32_t* flag;
};

constexpr uint32_t kNormThreads = 128;

/// A lane's part of a row: four neighbours in each turn, which is what memory likes.
template <uint32_t kFours>
struct RowPart {
    float x[kFours][4];

    /// Calls `use(four, column)` for each four that the row has.
    template <class Use>
    __device__ __forceinline__ void each(uint32_t cols, const Use& use) {
#pragma unroll
        for (uint32_t k = 0; k < kFours; ++k) {
            const uint32_t c = (k * kWarp + lane_id()) * 4;
            if (c < cols) use(x[k], c);
        }
    }
};
__device__ __forceinline__ void load_four(float (&to)[4], const float* from) {
    const float4 x = *reinterpret_cast<const float4*>(from);
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
}
__device__ __forceinline__ void store_four(float* to, const float (&x)[4]) {
    *reinterpret_cast<float4*>(to) = {x[0], x[1], x[2], x[3]};
}

/// The sum of squares of a row that the warp has left in shared memory: lane l of the rule takes
/// elements l, l + 32, ... in order.
__device__ __forceinline__ float sum_of_squares(const float* row, uint32_t cols) {
    float squares = 0.0F;
#pragma unroll 8
    for (uint32_t c = lane_id(); c < cols; c += kWarp) squares = fused(row[c], row[c], squares);
    return warp_tree(squares);
}

/// One warp per row of up to 128 kFours elements. Where registers allow it there are so many blocks
/// at once that 8,192 rows are two rounds of them.
template <uint32_t kFours>
__global__ void __launch_bounds__(kNormThreads, kFours <= 6 ? 8 : 3) norm_rows_kernel(NormRows p) {
    follow_kernel_before();
    const auto row = static_cast<uint32_t>(warp_number());
    if (row >= p.rows) return;
    const size_t begin = size_t{row} * p.cols;
    float* const in_order = shared_memory<float>() + threadIdx.x / kWarp * p.cols;
    RowPart<kFours> part;
    part.each(p.cols, [&](float(&x)[4], uint32_t c) { load_four(x, p.a + begin + c); });
    if (p.b != nullptr) {
        RowPart<kFours> other;
        other.each(p.cols, [&](float(&x)[4], uint32_t c) { load_four(x, p.b + begin + c); });
#pragma unroll
        for (uint32_t k = 0; k < kFours; ++k)
#pragma unroll
            for (uint32_t j = 0; j < 4; ++j) part.x[k][j] = add(part.x[k][j], other.x[k][j]);
        part.each(p.cols, [&](float(&x)[4], uint32_t c) { store_four(p.sum + begin + c, x); });
    }
    part.each(p.cols, [&](float(&x)[4], uint32_t c) { store_four(in_order + c, x); });
    __syncwarp();
    const float scale = rms_scale(sum_of_squares(in_order, p.cols), p.cols);
    if (lane_id() == 0) p.r[row] = scale;
    uint32_t amax = 0;
    part.each(p.cols, [&](float(&x)[4], uint32_t c) {
        float g[4];
        load_four(g, p.g + c);
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
            x[j] = mul(mul(x[j], scale), g[j]);
            amax = magnitude(x[j]) > amax ? magnitude(x[j]) : amax;
        }
        store_four(p.y + begin + c, x);
    });
    if (p.q.q == nullptr) return;
    amax = warp_max(amax);
    const Scale s = scale_of(amax);
    if (lane_id() == 0) {
        p.q.scale[row] = s.s;
        flag_nonfinite(amax, p.flag);
    }
    part.each(p.cols, [&](float(&x)[4], uint32_t c) {
        int q[4];
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) q[j] = quantise_nearest(x[j], s.inv);
        *reinterpret_cast<uint32_t*>(p.q.q + p.q.at(0, row, c)) = pack4(q);
    });
}

struct GeluRows {
    const float* u;
    float* y;
    Operand q;
    uint32_t cols;
    uint32_t* flag;
};

/// The largest of a block's words.
__device__ __forceinline__ uint32_t block_max(uint32_t x) {
    auto* const of_warps = shared_memory<uint32_t>();
    x = warp_max(x);
    if (lane_id() == 0) of_warps[threadIdx.x / kWarp] = x;
    __syncthreads();
#pragma unroll
    for (uint32_t w = 0; w < kWarpsPerBlock; ++w) x = of_warps[w] > x ? of_warps[w] : x;
    return x;
}

/// One block per row of up to 1,024 kFours elements, four neighbours to a thread and turn.
template <uint32_t kFours>
__global__ void __launch_bounds__(kThreads) gelu_rows_kernel(GeluRows p) {
    follow_kernel_before();
    const size_t begin = size_t{blockIdx.x} * p.cols;
    float x[kFours][4];
    uint32_t amax = 0;
#pragma unroll
    for (uint32_t k = 0; k < kFours; ++k) {
        const uint32_t c = (k * kThreads + threadIdx.x) * 4;
        if (c >= p.cols) continue;
        load_four(x[k], p.u + begin + c);
    }
#pragma unroll
    for (uint32_t k = 0; k < kFours; ++k) {
        const uint32_t c = (k * kThreads + threadIdx.x) * 4;
        if (c >= p.cols) continue;
#pragma unroll
        for (float& each : x[k]) {
            each = gelu_of(each);
            amax = magnitude(each) > amax ? magnitude(each) : amax;
        }
        store_four(p.y + begin + c, x[k]);
    }
    amax = block_max(amax);
    const Scale s = scale_of(amax);
    if (threadIdx.x == 0) {
        p.q.scale[blockIdx.x] = s.s;
        flag_nonfinite(amax, p.flag);
    }
#pragma unroll
    for (uint32_t k = 0; k < kFours; ++k) {
        const uint32_t c = (k * kThreads + threadIdx.x) * 4;
        if (c >= p.cols) continue;
        int q[4];
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) q[j] = quantise_nearest(x[k][j], s.inv);
        *reinterpret_cast<uint32_t*>(p.q.q + p.q.at(0, blockIdx.x, c)) = pack4(q);
    }
}

struct GeluGradTiles {
    float* du;
    const float *da, *u;
    uint32_t rows, cols;
};

__device__ __forceinline__ float4 gelu_slopes(const float4& da, const float4& u) {
    return {mul(da.x, gelu_slope(u.x)), mul(da.y, gelu_slope(u.y)), mul(da.z, gelu_slope(u.z)),
            mul(da.w, gelu_slope(u.w))};
}

/// Rows of a thread's part that are under way while one is used.
constexpr uint32_t kRowsAhead = 3;

/// One block per tile of whole columns. A row is stored when it has been loaded by the same thread,
/// so that du may be da.
__global__ void __launch_bounds__(kThreads, 4)
    gelu_grad_maxima_kernel(GeluGradTiles p, Maxima out) {
    follow_kernel_before();
    const TilePart<true> at;
    const size_t begin =
        at.first_row * size_t{p.cols} + blockIdx.x * kTileCols + at.lane * kFloatsAtOnce;
    PartMaxima part;
    float4 da[at.rows] = {}, u[at.rows] = {};
#pragma unroll
    for (uint32_t i = 0; i < at.rows + kRowsAhead; ++i) {
        if (i < at.rows && at.row(i) < p.rows) {
            da[i] = *reinterpret_cast<const float4*>(p.da + begin + i * size_t{p.cols});
            u[i] = *reinterpret_cast<const float4*>(p.u + begin + i * size_t{p.cols});
        }
        if (i < kRowsAhead || at.row(i - kRowsAhead) >= p.rows) continue;
        const uint32_t k = i - kRowsAhead;
        const float4 du = gelu_slopes(da[k], u[k]);
        *reinterpret_cast<float4*>(p.du + begin + k * size_t{p.cols}) = du;
        part.take(k, du);
    }
    join_maxima<true>(part, at, p.rows, p.cols, 0, out);
}

void norm_rows(Context& on, const Waiting& w, const Operand& q) {
    const bool adds = w.kind == Waiting::Kind::add_norm;
    const NormRows p{w.a,      adds ? w.b : nullptr, w.g, w.sum, w.y, w.r, q, w.s.rows,
                     w.s.cols, on.nonfinite_flag()};
    constexpr uint32_t kRowsPerBlock = kNormThreads / kWarp;
    const Launch how{dim3(blocks_for(w.s.rows, kRowsPerBlock)), kNormThreads,
                     size_t{kRowsPerBlock} * w.s.cols * sizeof(float)};
    if (w.s.cols <= 768) return on.launch(how, norm_rows_kernel<6>, p);
    if (w.s.cols <= 1024) return on.launch(how, norm_rows_kernel<8>, p);
    on.launch(how, norm_rows_kernel<16>, p);
}

void gelu_rows(Context& on, const Waiting& w, uint32_t cols, const Operand& q) {
    const GeluRows p{w.a, w.y, q, cols, on.nonfinite_flag()};
    const Launch how{dim3(static_cast<uint32_t>(w.count / cols)), kThreads,
                     kWarpsPerBlock * sizeof(uint32_t)};
    if (cols <= 1024) return on.launch(how, gelu_rows_kernel<1>, p);
    if (cols <= 4096) return on.launch(how, gelu_rows_kernel<4>, p);
    on.launch(how, gelu_rows_kernel<8>, p);
}

}  // namespace

bool fuses(const Waiting& w, uint32_t cols) {
    if (cols == 0 || cols % kColsStep != 0) return false;
    if (w.kind == Waiting::Kind::gelu)
        return cols <= kGeluColsMax && w.count % cols == 0 && is_aligned(w.a) && is_aligned(w.y);
    const bool is_norm = w.kind == Waiting::Kind::norm || w.kind == Waiting::Kind::add_norm;
    return is_norm && cols == w.s.cols && cols <= kNormColsMax && is_aligned(w.a) &&
           is_aligned(w.g) && is_aligned(w.y);
}

bool takes_over(const Waiting& norm, const Waiting& sum) {
    if (norm.kind != Waiting::Kind::norm || sum.kind != Waiting::Kind::add) return false;
    if (norm.a != sum.y || norm.count != sum.count || !fuses(norm, norm.s.cols)) return false;
    if (!is_aligned(sum.a) || !is_aligned(sum.b)) return false;
    // The sum's inputs may be dead, and the norm's results in their place: a row that is written
    // must have been read, by the same warp.
    const auto is_apart = [](const float* x, size_t x_count, const float* y, size_t y_count) {
        return x + x_count <= y || y + y_count <= x;
    };
    const auto is_safe = [&](const float* in) {
        return (in == norm.y || is_apart(in, sum.count, norm.y, norm.count)) &&
               is_apart(in, sum.count, norm.r, norm.s.rows);
    };
    return is_safe(sum.a) && is_safe(sum.b);
}

void launch_alone(Context& on, const Waiting& w) {
    switch (w.kind) {
        case Waiting::Kind::none:
            return;
        case Waiting::Kind::add:
            return add(on, w.y, w.a, w.b, w.count);
        case Waiting::Kind::gelu:
            return gelu(on, w.y, w.a, w.count);
        case Waiting::Kind::norm:
            return rms_norm(on, w.y, w.r, w.a, w.g, w.s);
        case Waiting::Kind::add_norm:
            on.begin();
            return norm_rows(on, w, {});
        case Waiting::Kind::gelu_grad:
            return gelu_grad(on, w.y, w.a, w.b, w.count);
        case Waiting::Kind::loss:
            return cross_entropy_both(on, w.losses, w.y, w.a, w.targets, w.s, w.inv_n);
    }
}

void launch_and_quantise(Context& on, const Waiting& w, uint32_t cols, const Operand& out) {
    if (w.kind == Waiting::Kind::gelu) return gelu_rows(on, w, cols, out);
    norm_rows(on, w, out);
}

bool leaves_maxima(const Context& on, const Waiting& w, uint32_t cols) {
    if (cols == 0 || w.count == 0 || w.count % cols != 0) return false;
    if (w.kind == Waiting::Kind::loss) return cols == w.s.cols && loss_leaves_maxima(on, w);
    return w.kind == Waiting::Kind::gelu_grad && cols % kTileCols == 0 && is_aligned(w.y) &&
           is_aligned(w.a) && is_aligned(w.b);
}

void launch_with_maxima(Context& on, const Waiting& w, uint32_t cols, const Maxima& out) {
    if (w.kind == Waiting::Kind::loss) return loss_with_maxima(on, w, out);
    const auto rows = static_cast<uint32_t>(w.count / cols);
    on.launch({dim3(cols / kTileCols, blocks_for(rows, kTileRows)), kThreads, sizeof(ColumnMaxima)},
              gelu_grad_maxima_kernel, GeluGradTiles{w.y, w.a, w.b, rows, cols}, out);
}

}  // namespace trainyard::cuda
