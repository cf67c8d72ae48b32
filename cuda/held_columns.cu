// SPDX-License-Identifier: Apache-2.0
// The scale of a column needs all of it before the first byte is made: docs/spec/numerics.md,
// section 5. A cluster keeps 16 columns in the registers of its blocks, which tell each other
// their maxima, so that memory is read once.
#include "cuda/held_columns.cuh"
#include "cuda/launches.cuh"
#include "cuda/shared_memory.cuh"
#include "cuda/tensor_core.cuh"
#include "cuda/tile_maxima.cuh"

namespace trainyard::cuda {

namespace {

/// Four threads beside each other hold 16 rows, eight of them below each other a line of a slab.
struct Strip {
    static constexpr uint32_t rows_held = 16;  ///< by one thread, of four columns
    static constexpr uint32_t lanes = 4, cols = lanes * kFloatsAtOnce;
    static constexpr uint32_t rows = kThreads / lanes * rows_held;  ///< of one block
    static constexpr uint32_t blocks_max = 8;                       ///< of every device's clusters
};

struct HeldColumns {
    Source x;
    Operand out;
    uint32_t* flag;
};

/// What a block knows of its columns: its warps' maxima, those of all blocks, inverse scales.
struct StripMaxima {
    uint32_t of_warp[kWarpsPerBlock][Strip::cols];
    uint32_t of_block[Strip::blocks_max][Strip::cols];
    alignas(sizeof(float4)) float inverse[Strip::cols];
};

/// The running thread's four columns and sixteen rows.
struct Part {
    uint32_t z, row, col;

    __device__ __forceinline__ Part(uint32_t blocks)
        : z(blockIdx.z),
          row(cluster_rank() * Strip::rows + threadIdx.x / Strip::lanes * Strip::rows_held),
          col(blockIdx.x / blocks * Strip::cols + first_col()) {}
    [[nodiscard]] __device__ __forceinline__ static uint32_t first_col() {
        return threadIdx.x % Strip::lanes * kFloatsAtOnce;
    }
};

/// All loads are under way at once. Zeros outside of the matrix.
__device__ __forceinline__ void load_part(float4 (&to)[Strip::rows_held], const Source& x,
                                          const Part& at) {
    const float* const from = x.data + x.spread.offset(at.z) + at.row * x.stride + at.col;
    const auto row = [&](uint32_t i) {
        return *reinterpret_cast<const float4*>(from + i * x.stride);
    };
    if (at.col < x.cols && at.row + Strip::rows_held <= x.rows) {
#pragma unroll
        for (uint32_t i = 0; i < Strip::rows_held; ++i) to[i] = row(i);
    } else {
#pragma unroll
        for (uint32_t i = 0; i < Strip::rows_held; ++i) {
            to[i] = {};
            if (at.col < x.cols && at.row + i < x.rows) to[i] = row(i);
        }
    }
}

/// Leaves the block's maxima in its place in each block of the cluster.
template <uint32_t kBlocks>
__device__ __forceinline__ void tell_maxima(const float4 (&x)[Strip::rows_held],
                                            StripMaxima& maxima) {
    uint32_t most[kFloatsAtOnce] = {};
#pragma unroll
    for (uint32_t i = 0; i < Strip::rows_held; ++i) {
        const float row[] = {x[i].x, x[i].y, x[i].z, x[i].w};
#pragma unroll
        for (uint32_t j = 0; j < kFloatsAtOnce; ++j) most[j] = larger(most[j], magnitude(row[j]));
    }
#pragma unroll
    for (uint32_t j = 0; j < kFloatsAtOnce; ++j) {
#pragma unroll
        for (uint32_t s = Strip::lanes; s < kWarp; s *= 2)
            most[j] = larger(most[j], __shfl_xor_sync(kAllLanes, most[j], s));
        if (lane_id() < Strip::lanes)
            maxima.of_warp[threadIdx.x / kWarp][Part::first_col() + j] = most[j];
    }
    __syncthreads();
    if (threadIdx.x >= kBlocks * Strip::cols) return;
    const uint32_t col = threadIdx.x % Strip::cols, to = threadIdx.x / Strip::cols;
    uint32_t of_block = 0;
#pragma unroll
    for (uint32_t w = 0; w < kWarpsPerBlock; ++w)
        of_block = larger(of_block, maxima.of_warp[w][col]);
    store_at(&maxima.of_block[cluster_rank()][col], to, of_block);
}

/// One block tells the scales.
template <uint32_t kBlocks>
__device__ __forceinline__ void find_inverses(const HeldColumns& p, StripMaxima& maxima) {
    if (threadIdx.x < Strip::cols) {
        uint32_t most = 0;
#pragma unroll
        for (uint32_t b = 0; b < kBlocks; ++b) most = larger(most, maxima.of_block[b][threadIdx.x]);
        const Scale scale = scale_of(most);
        maxima.inverse[threadIdx.x] = scale.inv;
        const uint32_t group = blockIdx.x / kBlocks * Strip::cols + threadIdx.x;
        if (cluster_rank() == 0 && group < p.out.groups) {
            p.out.scale[size_t{blockIdx.z} * p.out.groups + group] = scale.s;
            flag_nonfinite(most, p.flag);
        }
    }
    __syncthreads();
}

/// Sixteen neighbours of a column are one store, and eight lanes store a line.
__device__ __forceinline__ void store_bytes(const float4 (&x)[Strip::rows_held], const Operand& out,
                                            const Part& at, const float4& inverse) {
    if (at.row >= out.k) return;
    const float inv[] = {inverse.x, inverse.y, inverse.z, inverse.w};
#pragma unroll
    for (uint32_t j = 0; j < kFloatsAtOnce; ++j) {
        int q[Strip::rows_held];
#pragma unroll
        for (uint32_t i = 0; i < Strip::rows_held; ++i) {
            const float row[] = {x[i].x, x[i].y, x[i].z, x[i].w};
            q[i] = quantise_nearest(row[j], inv[j]);
        }
        if (at.col + j < out.groups)
            *reinterpret_cast<uint4*>(out.q + out.at(at.z, at.col + j, at.row)) = {
                pack4(q), pack4(q + 4), pack4(q + 8), pack4(q + 12)};
    }
}

/// Clusters of kBlocks blocks below each other, a strip of columns for each.
template <uint32_t kBlocks>
__global__ void __launch_bounds__(kThreads, 2)
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __cluster_dims__(kBlocks, 1, 1)
#endif
        held_columns_kernel(HeldColumns p) {
    follow_kernel_before();
    if constexpr (kHasWarpgroups) {
        StripMaxima& maxima = *shared_memory<StripMaxima>();
        const Part at(kBlocks);
        float4 x[Strip::rows_held];
        load_part(x, p.x, at);
        meet_cluster();  // its blocks run, so their memory may be written to
        tell_maxima<kBlocks>(x, maxima);
        meet_cluster();
        find_inverses<kBlocks>(p, maxima);
        store_bytes(x, p.out, at,
                    *reinterpret_cast<const float4*>(maxima.inverse + Part::first_col()));
    }
}

template <uint32_t kBlocks>
void launch_strips(Context& on, uint32_t batch, const HeldColumns& p) {
    on.launch({dim3(blocks_for(p.x.cols, Strip::cols) * kBlocks, 1, batch), kThreads,
               sizeof(StripMaxima), kBlocks},
              held_columns_kernel<kBlocks>, p);
}

}  // namespace

bool can_hold_columns(const Source& x, const Operand& out) {
    return out.layout == Layout::slabs && is_aligned(x) && out.k <= Strip::rows * Strip::blocks_max;
}

void quantise_held_columns(Context& on, uint32_t batch, const Source& x, const Operand& out) {
    const uint32_t blocks = blocks_for(out.k, Strip::rows);
    const auto launch = blocks <= 1   ? launch_strips<1>
                        : blocks <= 2 ? launch_strips<2>
                        : blocks <= 4 ? launch_strips<4>
                                      : launch_strips<8>;
    launch(on, batch, {x, out, on.nonfinite_flag()});
}

}  // namespace trainyard::cuda
