// SPDX-License-Identifier: Apache-2.0
// Products with short contractions on compute capability 9.0, where storing a tile takes as long as
// making it: all terms of 128 rows stay in shared memory, columns stream past them, and the sums of
// one tile leave while those of the next are made.
#pragma once

#include "cuda/bulk_product.cuh"

namespace trainyard::cuda {

/// Blocks as in BulkShape, in pairs with the same columns; a tile is 128 x 128 sums, of which a
/// thread of a warpgroup holds 64, of this tile and of the one before. Shared memory has pieces of
/// 128 terms of 128 groups: those of the rows, a panel, and behind them stages for columns.
struct PanelShape {
    static constexpr uint32_t bm = 128, bn = 128, step = kSwizzledRow, blocks = 2;
    static constexpr uint32_t pieces = 12, piece_bytes = bm * step;
    static_assert(pieces * piece_bytes == BulkMemory::kOutletsAt);
    /// Of a contraction: the sums before leave in two of its steps, and stages need room.
    static constexpr uint32_t steps_min = 4, steps_max = 8;
    static constexpr int sums = 64;
};

/// A piece is full when its bytes have landed. It is empty when all warps that read what was copied
/// with it have done so: of the block for rows, of both blocks for columns.
struct PanelBarriers {
    uint64_t full[PanelShape::pieces], empty[PanelShape::pieces];
    uint64_t scales_full, scales_empty;
};

/// Where BulkMemory has its parts; of the scales of columns half.
struct PanelMemory {
    int8_t* pieces;
    TileScales* scales;
    PanelBarriers* barriers;

    static constexpr uint32_t kBytes =
        BulkMemory::kBarriersAt + sizeof(PanelBarriers) + kSwizzleBytes;

    [[nodiscard]] __device__ __forceinline__ static PanelMemory of_block() {
        int8_t* const pieces = swizzled_shared_memory();
        return {pieces, reinterpret_cast<TileScales*>(pieces + BulkMemory::kScalesAt),
                reinterpret_cast<PanelBarriers*>(pieces + BulkMemory::kBarriersAt)};
    }
    [[nodiscard]] __device__ __forceinline__ int8_t* piece(uint32_t i) const {
        return pieces + i * PanelShape::piece_bytes;
    }
};

/// The tiles of the running block, along the columns of one panel after the other. Clusters have
/// equal parts of all tiles, to one.
class PanelWalk {
public:
    __device__ __forceinline__ PanelWalk(const Product& p)
        : columns_(p.tiles_n), pairs_(p.tiles_m / PanelShape::blocks) {
        const uint64_t all = uint64_t{pairs_} * columns_ * p.batch;
        const uint32_t clusters = gridDim.x / PanelShape::blocks;
        const uint32_t cluster = blockIdx.x / PanelShape::blocks;
        const auto first = static_cast<uint32_t>(all * cluster / clusters);
        left_ = static_cast<uint32_t>(all * (cluster + 1) / clusters) - first;
        pair_ = first / columns_;
        col_ = first % columns_;
        tile_ = {0, 0, 0, p.a.k / PanelShape::step, 0};
        find_tile();
    }
    [[nodiscard]] __device__ __forceinline__ bool has_tile() const { return left_ > 0; }
    [[nodiscard]] __device__ __forceinline__ const Tile& tile() const { return tile_; }
    /// Whether the tile is the first, or the last, for which the block has its panel.
    [[nodiscard]] __device__ __forceinline__ bool begins_panel() const {
        return is_first_ || col_ == 0;
    }
    [[nodiscard]] __device__ __forceinline__ bool ends_panel() const {
        return left_ == 1 || col_ + 1 == columns_;
    }
    __device__ __forceinline__ void next() {
        is_first_ = false;
        --left_;
        if (++col_ == columns_) col_ = 0, ++pair_;
        find_tile();
    }

private:
    __device__ __forceinline__ void find_tile() {
        const uint32_t row = pair_ % pairs_ * PanelShape::blocks + cluster_rank();
        tile_.row = row * PanelShape::bm;
        tile_.col = col_ * PanelShape::bn;
        tile_.z = pair_ / pairs_;
    }

    uint32_t columns_, pairs_;  ///< tiles of a panel, and pairs of panels of a matrix
    uint32_t left_, pair_, col_;
    bool is_first_ = true;
    Tile tile_;
};

/// Starts the copy of a step of the block's rows, by one thread.
__device__ __forceinline__ void fill_rows(const Product& p, const Tile& tile, uint32_t step,
                                          int8_t* to, uint64_t* full) {
    const Piece a = piece_of(p.a, tile.z, tile.row, PanelShape::bm, step);
    arrive_and_expect(full, a.bytes);
    if (a.bytes > 0) copy_bulk(to, a.from, a.bytes, full);
}

/// The same of columns: the block's part of them, for both blocks.
__device__ __forceinline__ void fill_columns(const Product& p, const Tile& tile, uint32_t step,
                                             int8_t* to, uint64_t* full) {
    constexpr uint32_t kShare = PanelShape::bn / PanelShape::blocks;
    constexpr auto kAllRanks = static_cast<uint16_t>((1U << PanelShape::blocks) - 1);
    const uint32_t first = cluster_rank() * kShare;
    arrive_and_expect(full, piece_of(p.b, tile.z, tile.col, PanelShape::bn, step).bytes);
    const Piece share = piece_of(p.b, tile.z, tile.col + first, kShare, step);
    if (share.bytes > 0)
        copy_bulk_to_all(to + first * kSwizzledRow, share.from, share.bytes, full, kAllRanks);
}

__device__ __forceinline__ void fill_panels(const Product& p, const PanelMemory& shared) {
    PanelBarriers& barriers = *shared.barriers;
    const uint32_t steps = p.a.k / PanelShape::step;
    Turn turn{PanelShape::pieces - steps};
    uint32_t parity = 0;  ///< of the panel
    for (PanelWalk walk(p); walk.has_tile(); walk.next()) {
        const bool begins = walk.begins_panel();
        for (uint32_t step = 0; step < steps; ++step, turn.next()) {
            const uint32_t stage = steps + turn.stage;
            if (begins && !wait_for(p, barriers.empty + step, parity ^ 1)) return;
            if (begins && lane_id() == 0)
                fill_rows(p, walk.tile(), step, shared.piece(step), barriers.full + step);
            if (!wait_for(p, barriers.empty + stage, turn.parity ^ 1)) return;
            if (lane_id() == 0)
                fill_columns(p, walk.tile(), step, shared.piece(stage), barriers.full + stage);
        }
        if (begins) parity ^= 1;
    }
}

__device__ __forceinline__ void fill_panel_scales(const Product& p, const PanelMemory& shared) {
    constexpr uint32_t kPerLane = (PanelShape::bm + PanelShape::bn) / kWarp;
    uint32_t parity = 0;
    for (PanelWalk walk(p); walk.has_tile(); walk.next(), parity ^= 1) {
        float x[kPerLane];
#pragma unroll
        for (uint32_t k = 0; k < kPerLane; ++k)
            x[k] = scale_of_tile(p, walk.tile(), k * kWarp + lane_id());
        if (!wait_for(p, &shared.barriers->scales_empty, parity ^ 1)) return;
#pragma unroll
        for (uint32_t k = 0; k < kPerLane; ++k) shared.scales->all[k * kWarp + lane_id()] = x[k];
        arrive(&shared.barriers->scales_full);
    }
}

/// What is left to do for complete sums: two halves to store, each 64 columns.
template <bool kFours>
class LeavingTile {
public:
    __device__ __forceinline__ LeavingTile(const Product& p, const PanelMemory& shared)
        : p_(p), shared_(shared) {}

    __device__ __forceinline__ void set(const Tile& tile) {
        tile_ = tile;
        is_there_ = true;
    }
    /// Half 0 and then half 1; nothing if there is no tile. False if its scales never come.
    template <uint32_t kHalf>
    [[nodiscard]] __device__ __forceinline__ bool store(const int32_t (&acc)[PanelShape::sums]) {
        constexpr uint32_t kFirst = kHalf * PanelShape::sums / 2;
        if (!is_there_) return true;
        if (kHalf == 0 && !wait_for(p_, &shared_.barriers->scales_full, parity_)) return false;
        if constexpr (kFours) {
            store_fours<kFirst, kFirst + PanelShape::sums / 2>(p_, tile_, acc, *shared_.scales);
        } else {
            int8_t* const outlets = shared_.pieces + BulkMemory::kOutletsAt;
            const TurnedSums<kFirst, PanelShape::sums> sums(tile_, acc, outlets);
            store_ones<false>(p_, sums.at, sums.outlet, *shared_.scales);
        }
        if (kHalf == 0) return true;
        __syncwarp();  // all lanes have read the scales
        arrive_as_warp(&shared_.barriers->scales_empty);
        parity_ ^= 1;
        is_there_ = false;
        return true;
    }

private:
    const Product& p_;
    const PanelMemory& shared_;
    Tile tile_ = {};
    bool is_there_ = false;
    uint32_t parity_ = 0;  ///< of the scales
};

/// Where a warp that multiplies has got to.
struct PanelPlace {
    Turn turn;
    uint32_t parity = 0;  ///< of the panel
};

/// Gives back what the products of a step have read, which have ended.
__device__ __forceinline__ void give_back_step(const PanelMemory& shared, const PanelWalk& walk,
                                               uint32_t step, const Turn& turn) {
    const uint32_t steps = walk.tile().last;
    give_back<PanelShape::blocks>(shared.barriers->empty + steps + turn.stage_before());
    if (walk.ends_panel()) arrive_as_warp(shared.barriers->empty + step);
}

/// Multiplies the steps of a tile into `acc`, while the sums of the tile before are stored.
template <bool kFours>
__device__ __forceinline__ bool multiply_panel_tile(const Product& p, const PanelWalk& walk,
                                                    const PanelMemory& shared, PanelPlace& place,
                                                    int32_t (&acc)[PanelShape::sums],
                                                    LeavingTile<kFours>& leaving,
                                                    const int32_t (&before)[PanelShape::sums]) {
    const uint32_t steps = walk.tile().last;
    const bool begins = walk.begins_panel();
#pragma unroll
    for (int32_t& sum : acc) sum = 0;
    hold_sums(acc);
    for (uint32_t step = 0; step < steps; ++step, place.turn.next()) {
        const uint32_t stage = steps + place.turn.stage;
        if (begins && !wait_for(p, shared.barriers->full + step, place.parity)) return false;
        if (!wait_for(p, shared.barriers->full + stage, place.turn.parity)) return false;
        start_products(acc, shared.piece(step), shared.piece(stage));
        if (step == 0 && !leaving.template store<0>(before)) return false;
        if (step == 2 && !leaving.template store<1>(before)) return false;
        warpgroup_wait<1>();
        if (step > 0) give_back_step(shared, walk, step - 1, place.turn);
    }
    warpgroup_wait<0>();
    give_back_step(shared, walk, steps - 1, place.turn);
    hold_sums(acc);
    if (begins) place.parity ^= 1;
    leaving.set(walk.tile());
    return true;
}

template <bool kFours>
__device__ __forceinline__ void multiply_panels(const Product& p, const PanelMemory& shared) {
    PanelPlace place{{PanelShape::pieces - p.a.k / PanelShape::step}};
    LeavingTile<kFours> leaving(p, shared);
    int32_t even[PanelShape::sums], odd[PanelShape::sums];
    for (PanelWalk walk(p); walk.has_tile(); walk.next()) {
        if (!multiply_panel_tile(p, walk, shared, place, even, leaving, odd)) break;
        walk.next();
        if (!walk.has_tile()) {
            static_cast<void>(leaving.template store<0>(even) && leaving.template store<1>(even));
            break;
        }
        if (!multiply_panel_tile(p, walk, shared, place, odd, leaving, even)) break;
    }
    warpgroup_wait<0>();
    static_cast<void>(leaving.template store<0>(odd) && leaving.template store<1>(odd));
}

__device__ __forceinline__ void start_panel_barriers(PanelBarriers& barriers, uint32_t steps) {
    constexpr uint32_t kWarps = BulkShape::multiplying / kWarp;
    for (uint32_t i = 0; i < PanelShape::pieces; ++i) {
        init_barrier(barriers.full + i, 1);
        init_barrier(barriers.empty + i, i < steps ? kWarps : PanelShape::blocks * kWarps);
    }
    init_barrier(&barriers.scales_full, kWarp);
    init_barrier(&barriers.scales_empty, kWarps);
    publish_barriers();
}

/// As many clusters as run at once. Preconditions: operands in slabs of steps_min to steps_max
/// steps, sums that go to rows of floats.
template <bool kFours>
__global__ void __launch_bounds__(BulkShape::threads, 1)
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __cluster_dims__(PanelShape::blocks, 1, 1)
#endif
        panel_product_kernel(Product p) {
    if constexpr (kHasWarpgroups) {
        const bool is_hopeless = *p.stuck != 0;  // a launch before this one gave up
        const PanelMemory shared = PanelMemory::of_block();
        if (threadIdx.x == 0) start_panel_barriers(*shared.barriers, p.a.k / PanelShape::step);
        meet<PanelShape::blocks>();
        if (threadIdx.x < BulkShape::multiplying) {
            take_registers<BulkShape::registers_multiplying>();
            if (!is_hopeless) multiply_panels<kFours>(p, shared);
        } else {
            give_registers<BulkShape::registers_filling>();
            const uint32_t warp = (threadIdx.x - BulkShape::multiplying) / kWarp;
            if (!is_hopeless && warp == 0) fill_panels(p, shared);
            if (!is_hopeless && warp == 1) fill_panel_scales(p, shared);
        }
        meet<PanelShape::blocks>();  // until then the other block may write to this one's memory
    }
}

}  // namespace trainyard::cuda
