// SPDX-License-Identifier: Apache-2.0
// Products of compute capability 9.0 whose tensor cores do not wait for sums to leave: a thread has
// two sets of sums, and while those of one tile are made, those of the tile before are stored.
#pragma once

#include <utility>

#include "cuda/bulk_product.cuh"

namespace trainyard::cuda {

/// As BulkShape, in clusters of two, but 192 columns, so that there are registers for a second set
/// of sums, which leave in equal parts, one in each of the first steps of the next tile.
struct AlternatingShape {
    static constexpr uint32_t bm = 128, bn = 192, step = kSwizzledRow, blocks = 2;
    static constexpr uint32_t stages = 5;
    static constexpr uint32_t stage_bytes = (bm + bn) * step;
    static constexpr uint32_t outlet_bytes = 0;  // sums leave from registers
    static constexpr uint32_t sums = 96, parts = 6, sums_of_part = sums / parts;
    /// A contraction has at least as many steps as there are parts.
    static constexpr uint32_t steps_min = parts;
    /// Of the 168 of each thread at the start.
    static constexpr int registers_multiplying = 232, registers_filling = 40;
};

/// Complete sums that leave part by part.
class LeavingSums {
public:
    using S = AlternatingShape;
    using Sums = int32_t[S::sums];

    __device__ __forceinline__ LeavingSums(const Product& p, const StageMemory<S>& shared)
        : p_(p), shared_(shared) {}

    __device__ __forceinline__ void set(const Tile& tile) {
        place_ = FoursPlace(p_, tile);
        is_there_ = true;
    }
    /// Parts 0, 1, ...; nothing if there is no tile. False if its scales never come.
    template <uint32_t kPart>
    [[nodiscard]] __device__ __forceinline__ bool store(const Sums& sums) {
        constexpr uint32_t kFirst = kPart * S::sums_of_part, kLast = kFirst + S::sums_of_part;
        if (!is_there_) return true;
        if (kPart == 0 && !wait_for(p_, &shared_.barriers->scales_full, parity_)) return false;
        store_fours<kFirst, kLast>(p_, place_, sums, *shared_.scales);
        if (kPart + 1 < S::parts) return true;
        __syncwarp();  // all lanes have read the scales
        arrive_as_warp(&shared_.barriers->scales_empty);
        parity_ ^= 1;
        is_there_ = false;
        return true;
    }

private:
    const Product& p_;
    const StageMemory<S>& shared_;
    FoursPlace place_;
    bool is_there_ = false;
    uint32_t parity_ = 0;  ///< of the scales
};

/// A warp that multiplies: all steps of a tile into one set of sums, and parts of the other leave.
class AlternatingWarp {
public:
    using S = AlternatingShape;
    using Sums = int32_t[S::sums];

    __device__ __forceinline__ AlternatingWarp(const Product& p, const StageMemory<S>& shared)
        : p_(p),
          shared_(shared),
          leaving_(p, shared),
          of_first_stage_(shared.stage(0), shared.stage(0) + S::bm * kSwizzledRow) {}

    /// False if bytes or scales never come. The products of the last step may still run.
    template <uint32_t... kPart>
    [[nodiscard]] __device__ __forceinline__ bool multiply(
        const Tile& tile, Sums& sums, Sums& before, std::integer_sequence<uint32_t, kPart...>) {
        if (!first_step(sums, before)) return false;
        const bool have_left = (rest_of_step<kPart>(sums, before) && ...);
        if (!have_left) return false;
        for (uint32_t i = S::parts; i < tile.last; ++i)
            if (!step(sums)) return false;
        leaving_.set(tile);
        return true;
    }
    /// The last tile's sums leave.
    template <uint32_t... kPart>
    __device__ __forceinline__ void finish(Sums& sums, std::integer_sequence<uint32_t, kPart...>) {
        warpgroup_wait<0>();
        hold_sums(sums);
        static_cast<void>((leaving_.store<kPart>(sums) && ...));
    }

private:
    [[nodiscard]] __device__ __forceinline__ bool wait_for_stage() {
        return wait_for(p_, shared_.barriers->full + turn_.stage, turn_.parity);
    }
    __device__ __forceinline__ void start(Sums& sums, bool adds) {
        Descriptors of_stage = of_first_stage_;
        of_stage.advance(turn_.stage * S::stage_bytes);
        start_products(sums, of_stage, adds);
    }
    __device__ __forceinline__ void give_back_before() {
        give_back<S::blocks>(shared_.barriers->empty + turn_.stage_before());
    }
    /// The products of the tile before end here.
    [[nodiscard]] __device__ __forceinline__ bool first_step(Sums& sums, Sums& before) {
        if (!wait_for_stage()) return false;
        warpgroup_wait<0>();
        hold_sums(before);
        start(sums, false);
        if (has_stage_) give_back_before();
        has_stage_ = true;
        turn_.next();
        return true;
    }
    /// Starts the products of a step and waits for those of the step before, whose stage it gives
    /// back.
    [[nodiscard]] __device__ __forceinline__ bool step(Sums& sums) {
        if (!wait_for_stage()) return false;
        start(sums, true);
        warpgroup_wait<1>();
        give_back_before();
        turn_.next();
        return true;
    }
    /// Step kPart, of which the first has been started, and then a part of the sums before.
    template <uint32_t kPart>
    [[nodiscard]] __device__ __forceinline__ bool rest_of_step(Sums& sums, Sums& before) {
        if (kPart > 0 && !step(sums)) return false;
        return leaving_.store<kPart>(before);
    }

    const Product& p_;
    const StageMemory<S>& shared_;
    LeavingSums leaving_;
    Descriptors of_first_stage_;
    Turn turn_{S::stages};
    bool has_stage_ = false;  ///< of the step before
};

__device__ __forceinline__ void multiply_alternating(const Product& p,
                                                     const StageMemory<AlternatingShape>& shared) {
    using S = AlternatingShape;
    constexpr std::make_integer_sequence<uint32_t, S::parts> kParts;
    AlternatingWarp warp(p, shared);
    int32_t even[S::sums] = {}, odd[S::sums] = {};
    for (TileWalk<S> walk(p); walk.has_tile(); walk.next()) {
        if (!warp.multiply(walk.tile(), even, odd, kParts)) return;
        walk.next();
        if (!walk.has_tile()) return warp.finish(even, kParts);
        if (!warp.multiply(walk.tile(), odd, even, kParts)) return;
    }
    warp.finish(odd, kParts);
}

/// As many clusters as run at once. Preconditions: operands in slabs of at least
/// AlternatingShape::steps_min steps, sums that leave in fours.
__global__ void __launch_bounds__(BulkShape::threads, 1)
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __cluster_dims__(AlternatingShape::blocks, 1, 1)
#endif
        alternating_product_kernel(Product p) {
    if constexpr (kHasWarpgroups) {
        using S = AlternatingShape;
        const auto shared = StageMemory<S>::of_block();
        if (threadIdx.x == 0) start_barriers<S, S::blocks>(*shared.barriers);
        meet<S::blocks>();
        follow_kernel_before();                  // barriers are ready meanwhile
        const bool is_hopeless = *p.stuck != 0;  // a launch before this one gave up
        if (threadIdx.x < BulkShape::multiplying) {
            take_registers<S::registers_multiplying>();
            if (!is_hopeless) multiply_alternating(p, shared);
            warpgroup_wait<0>();
        } else {
            give_registers<S::registers_filling>();
            const uint32_t warp = (threadIdx.x - BulkShape::multiplying) / kWarp;
            if (!is_hopeless && warp == 0) fill_stages<S, S::blocks>(p, shared);
            if (!is_hopeless && warp == 1) fill_scales<S>(p, shared);
        }
        meet<S::blocks>();  // until then the other block may write to this one's memory
    }
}

}  // namespace trainyard::cuda
