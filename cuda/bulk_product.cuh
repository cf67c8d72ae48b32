// SPDX-License-Identifier: Apache-2.0
// Products by warpgroups of compute capability 9.0 that one warp feeds with bulk copies, so that
// they only multiply and store.
#pragma once

#include "cuda/warpgroup_product.cuh"

namespace trainyard::cuda {

/// Two warpgroups, 64 x 256 sums each, and a third, one warp of which keeps four stages of 128
/// bytes along k filled for them and one fetches the scales of their tile; it is whole so that it
/// can give its registers to the others. In a cluster of kBlocks blocks these make tiles one below
/// the other, and each fetches its part of the columns' operand for all.
struct BulkShape {
    static constexpr uint32_t bm = 128, bn = 256, stages = 4, step = kSwizzledRow;
    static constexpr uint32_t multiplying = 256, threads = multiplying + 128;
    /// Of the 168 of each thread at the start.
    static constexpr int registers_multiplying = 232, registers_filling = 40;
    static constexpr uint32_t stage_bytes = (bm + bn) * step;
    static constexpr uint32_t outlet_bytes = multiplying / kWarp * Outlet::bytes;
    /// Steps that are worth a part of their own: what it saves must pay for two launches more.
    static constexpr uint32_t split_steps_min = 8;
    static constexpr bool takes_tile_after_tile = true;
};

/// A stage is full when its bytes have landed, and empty when all warps of the cluster have
/// multiplied theirs. Scales are there when each lane has stored its part, and free again when all
/// warps of the block have stored their sums.
template <class S>
struct StageBarriers {
    uint64_t full[S::stages], empty[S::stages];
    uint64_t scales_full, scales_empty;
};

/// Dynamic shared memory: the stages, and behind them the outlets of the warps that multiply, the
/// scales of a tile and the barriers.
template <class S>
struct StageMemory {
    int8_t* stages;
    TileScales* scales;
    StageBarriers<S>* barriers;

    static constexpr uint32_t kOutletsAt = S::stages * S::stage_bytes;
    static constexpr uint32_t kScalesAt = kOutletsAt + S::outlet_bytes;
    static constexpr uint32_t kBarriersAt = kScalesAt + sizeof(TileScales);
    static constexpr uint32_t kBytes = kBarriersAt + sizeof(StageBarriers<S>) + kSwizzleBytes;

    [[nodiscard]] __device__ __forceinline__ static StageMemory of_block() {
        int8_t* const stages = swizzled_shared_memory();
        return {stages, reinterpret_cast<TileScales*>(stages + kScalesAt),
                reinterpret_cast<StageBarriers<S>*>(stages + kBarriersAt)};
    }
    [[nodiscard]] __device__ __forceinline__ int8_t* stage(uint32_t i) const {
        return stages + i * S::stage_bytes;
    }
    [[nodiscard]] __device__ __forceinline__ int8_t* outlets() const { return stages + kOutletsAt; }
};
using BulkMemory = StageMemory<BulkShape>;

/// `count` stages are used in turn, by those who fill them and by those who empty them; `parity` is
/// that of the phase which ends with this use.
struct Turn {
    uint32_t count = BulkShape::stages, stage = 0, parity = 0;

    __device__ __forceinline__ void next() {
        if (++stage < count) return;
        stage = 0;
        parity ^= 1;
    }
    [[nodiscard]] __device__ __forceinline__ uint32_t stage_before() const {
        return (stage == 0 ? count : stage) - 1;
    }
};

/// No wait of a kernel that works takes so many clocks; about five seconds.
constexpr long long kClocksMax = 1LL << 33;

/// Waits, as a whole warp, until the phase with this parity has ended. False, after it has raised
/// the flag, if that takes so long that it never will: a kernel that never ends could not be told
/// from one that works, and a trap would cost the process its device.
__device__ __forceinline__ bool wait_for(const Product& p, uint64_t* barrier, uint32_t parity) {
    if (__all_sync(kAllLanes, has_ended(barrier, parity))) return true;
    const long long start = clock64();
    while (!__all_sync(kAllLanes, has_ended(barrier, parity))) {
        if (!__any_sync(kAllLanes, clock64() - start > kClocksMax)) continue;
        *p.stuck = 1;
        return false;
    }
    return true;
}

/// Warps arrive, not threads: fewer arrivals for the same order.
__device__ __forceinline__ void arrive_as_warp(uint64_t* barrier) {
    if (lane_id() == 0) arrive(barrier);
}
/// The warp has done with this block's stage; all blocks that write to it hear of it.
template <uint32_t kBlocks>
__device__ __forceinline__ void give_back(uint64_t* empty) {
    if constexpr (kBlocks == 1) return arrive_as_warp(empty);
    if (lane_id() < kBlocks) arrive_at(empty, lane_id());
}
/// The tiles of the running block, one after the other.
template <class S>
class TileWalk {
public:
    __device__ __forceinline__ explicit TileWalk(const Product& p)
        : p_(p), tiles_(p.tiles_m * p.tiles_n), all_(tiles_ * p.splits * p.batch), i_(blockIdx.x) {}
    [[nodiscard]] __device__ __forceinline__ bool has_tile() const { return i_ < all_; }
    [[nodiscard]] __device__ __forceinline__ Tile tile() const {
        return tile_of<S>(p_, i_ % tiles_, i_ / tiles_ % p_.splits, i_ / tiles_ / p_.splits);
    }
    __device__ __forceinline__ void next() { i_ += gridDim.x; }

private:
    const Product& p_;
    uint32_t tiles_, all_, i_;
};
/// Calls `use(tile)` for each tile of this block, until it is false.
template <class S, class Use>
__device__ __forceinline__ void for_each_tile(const Product& p, const Use& use) {
    for (TileWalk<S> walk(p); walk.has_tile(); walk.next())
        if (!use(walk.tile())) return;
}

/// The part of a slab from group `first` on, at most `groups_max` groups: one piece of memory.
struct Piece {
    const int8_t* from;
    uint32_t bytes;
};
__device__ __forceinline__ Piece piece_of(const Operand& x, uint32_t z, uint32_t first,
                                          uint32_t groups_max, uint32_t step) {
    const uint32_t left = first < x.groups ? x.groups - first : 0;
    return {x.q + x.at(z, first, step * kSwizzledRow),
            (left < groups_max ? left : groups_max) * kSwizzledRow};
}

/// Starts the copies of one stage, by one thread. What lies behind the last group of an operand is
/// not written: its sums are not stored. Bytes of the other block may land before they are
/// expected; the phase does not end without the arrival.
template <class S, uint32_t kBlocks>
__device__ __forceinline__ void fill_stage(const Product& p, const Tile& tile, uint32_t step,
                                           int8_t* to, uint64_t* full) {
    constexpr uint32_t kShare = S::bn / kBlocks;
    constexpr auto kAllRanks = static_cast<uint16_t>((1U << kBlocks) - 1);
    const uint32_t first = kBlocks == 1 ? 0 : cluster_rank() * kShare;
    const Piece a = piece_of(p.a, tile.z, tile.row, S::bm, step);
    const Piece b = piece_of(p.b, tile.z, tile.col, S::bn, step);
    const Piece share = piece_of(p.b, tile.z, tile.col + first, kShare, step);
    int8_t* const to_share = to + (S::bm + first) * kSwizzledRow;
    arrive_and_expect(full, a.bytes + b.bytes);
    if (a.bytes > 0) copy_bulk(to, a.from, a.bytes, full);
    if (share.bytes == 0) return;
    if constexpr (kBlocks == 1)
        copy_bulk(to_share, share.from, share.bytes, full);
    else
        copy_bulk_to_all(to_share, share.from, share.bytes, full, kAllRanks);
}

template <class S, uint32_t kBlocks>
__device__ __forceinline__ void fill_stages(const Product& p, const StageMemory<S>& shared) {
    Turn turn{S::stages};
    for_each_tile<S>(p, [&](const Tile& tile) {
        for (uint32_t step = tile.first; step < tile.last; ++step, turn.next()) {
            // The first time round this is the phase before the first, which counts as ended.
            if (!wait_for(p, shared.barriers->empty + turn.stage, turn.parity ^ 1)) return false;
            if (lane_id() == 0)
                fill_stage<S, kBlocks>(p, tile, step, shared.stage(turn.stage),
                                       shared.barriers->full + turn.stage);
        }
        return true;
    });
}

/// Fetches the scales of the next tile while the sums of this one are made.
template <class S>
__device__ __forceinline__ void fill_scales(const Product& p, const StageMemory<S>& shared) {
    constexpr uint32_t kPerLane = (S::bm + S::bn) / kWarp;
    uint32_t parity = 0;
    for_each_tile<S>(p, [&](const Tile& tile) {
        float x[kPerLane];
#pragma unroll
        for (uint32_t k = 0; k < kPerLane; ++k)
            x[k] = scale_of_tile(p, tile, k * kWarp + lane_id());
        if (!wait_for(p, &shared.barriers->scales_empty, parity ^ 1)) return false;
#pragma unroll
        for (uint32_t k = 0; k < kPerLane; ++k) shared.scales->all[k * kWarp + lane_id()] = x[k];
        arrive(&shared.barriers->scales_full);
        parity ^= 1;
        return true;
    });
}

/// Multiplies the steps of a tile. A stage is given back one step later, when its products have
/// ended and those of the next run.
template <uint32_t kBlocks>
__device__ __forceinline__ bool multiply_tile(const Product& p, const Tile& tile,
                                              const BulkMemory& shared, Turn& turn,
                                              int32_t (&acc)[128]) {
    for (uint32_t step = tile.first; step < tile.last; ++step, turn.next()) {
        if (!wait_for(p, shared.barriers->full + turn.stage, turn.parity)) return false;
        const int8_t* const stage = shared.stage(turn.stage);
        start_products(acc, {stage, stage + BulkShape::bm * kSwizzledRow});
        warpgroup_wait<1>();
        if (step > tile.first) give_back<kBlocks>(shared.barriers->empty + turn.stage_before());
    }
    warpgroup_wait<0>();
    if (tile.last > tile.first) give_back<kBlocks>(shared.barriers->empty + turn.stage_before());
    return true;
}

template <uint32_t kBlocks, Checks kChecks>
__device__ __forceinline__ void multiply_stages(const Product& p, const BulkMemory& shared) {
    Turn turn;
    uint32_t parity = 0;  ///< of the scales
    int32_t acc[128];
    for_each_tile<BulkShape>(p, [&](const Tile& tile) {
#pragma unroll
        for (int32_t& sum : acc) sum = 0;
        hold_sums(acc);
        if (!multiply_tile<kBlocks>(p, tile, shared, turn, acc)) return false;
        hold_sums(acc);
        if constexpr (kChecks == Checks::sums) check_sums(p, tile, acc);
        if (!wait_for(p, &shared.barriers->scales_full, parity)) return false;
        store_sums(p, tile, acc, shared.outlets(), *shared.scales);
        __syncwarp();  // all lanes have read them
        arrive_as_warp(&shared.barriers->scales_empty);
        parity ^= 1;
        return true;
    });
    warpgroup_wait<0>();
}

template <class S, uint32_t kBlocks>
__device__ __forceinline__ void start_barriers(StageBarriers<S>& barriers) {
    for (uint32_t i = 0; i < S::stages; ++i) {
        init_barrier(barriers.full + i, 1);
        init_barrier(barriers.empty + i, kBlocks * BulkShape::multiplying / kWarp);
    }
    init_barrier(&barriers.scales_full, kWarp);
    init_barrier(&barriers.scales_empty, BulkShape::multiplying / kWarp);
    publish_barriers();
}

template <uint32_t kBlocks>
__device__ __forceinline__ void meet() {
    if constexpr (kBlocks == 1)
        __syncthreads();
    else
        meet_cluster();
}

/// As many blocks as run at once, in clusters of kBlocks; each takes tile after tile. The size of
/// the cluster is part of the code too: no page says that a graph keeps that of a launch when the
/// arguments of its node change.
template <uint32_t kBlocks, Checks kChecks>
__global__ void __launch_bounds__(BulkShape::threads, 1)
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __cluster_dims__(kBlocks, 1, 1)
#endif
        bulk_product_kernel(Product p) {
    if constexpr (kHasWarpgroups) {
        const BulkMemory shared = BulkMemory::of_block();
        if (threadIdx.x == 0) start_barriers<BulkShape, kBlocks>(*shared.barriers);
        meet<kBlocks>();
        follow_kernel_before();                  // barriers are ready meanwhile
        const bool is_hopeless = *p.stuck != 0;  // a launch before this one gave up
        if (threadIdx.x < BulkShape::multiplying) {
            take_registers<BulkShape::registers_multiplying>();
            if (!is_hopeless) multiply_stages<kBlocks, kChecks>(p, shared);
        } else {
            give_registers<BulkShape::registers_filling>();
            const uint32_t warp = (threadIdx.x - BulkShape::multiplying) / kWarp;
            if (!is_hopeless && warp == 0) fill_stages<BulkShape, kBlocks>(p, shared);
            if (!is_hopeless && warp == 1) fill_scales(p, shared);
        }
        meet<kBlocks>();  // until then other blocks may write to this one's memory
    }
}

}  // namespace trainyard::cuda
