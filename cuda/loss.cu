// SPDX-License-Identifier: Apache-2.0
// Softmax and cross-entropy of rows of logits, each of which a block reads once:
// docs/spec/numerics.md, section 9.
#include <algorithm>
#include <optional>

#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/reduce.cuh"
#include "cuda/tensor_core.cuh"
#include "cuda/tile_maxima.cuh"

namespace trainyard::cuda {

namespace {

using training::MatrixShape;

/// What is done for each row; without `losses` or `dz` that result is not wanted.
struct Loss {
    float* losses;
    float* dz;
    const float* z;
    const uint32_t* targets;
    uint32_t cols;
    float inv_n;
    float* exponentials;  ///< rows x cols, where a block has no room for a row
};

/// Threads of a block for rows that do not fit into its registers.
constexpr uint32_t kLossThreads = 1024;
/// Elements of a row that a thread holds, so that its warp has one chunk; those of them that are in
/// registers, of which sixteen warps have 128 each, and the rest in shared memory.
constexpr uint32_t kHeldTerms = kChunk / kWarp, kInRegisters = 104;
constexpr uint32_t kHeldChunksMax = 16, kHeldThreads = kHeldChunksMax * kWarp;
constexpr size_t kHeldBytes =
    (kWarp + kHeldChunksMax + (kHeldTerms - kInRegisters) * kHeldThreads) * sizeof(float);
/// Blocks that keep a device busy; with more rows each takes several, up to a limit.
constexpr uint32_t kHeldBlocks = 512, kHeldRowsMax = 16;

/// In shared memory before the row: the maximum of each warp, then the sum of each chunk.
__host__ __device__ inline uint32_t loss_head(uint32_t cols) {
    const auto chunks = static_cast<uint32_t>((cols + kChunk - 1) / kChunk);
    return kWarp + (chunks + 3) / 4 * 4;
}

__device__ __forceinline__ float loss_of(float sum, float m, float z) {
    return sub(add(log_of(sum), m), z);
}

/// The gradient at the target.
__device__ __forceinline__ float target_slope(float p, float inv_n) {
    return mul(sub(p, 1.0F), inv_n);
}

/// The largest value of all threads; every one gets it.
__device__ __forceinline__ float block_max(float x, float* of_warps) {
    x = warp_max(x);
    if (lane_id() == 0) of_warps[threadIdx.x / kWarp] = x;
    __syncthreads();
    return warp_max(of_warps[lane_id() < blockDim.x / kWarp ? lane_id() : 0]);
}

/// The fixed reduction of `cols` numbers, one warp to a chunk; every thread gets it.
__device__ __forceinline__ float block_sum(const float* x, uint32_t cols, float* of_chunks) {
    const auto chunks = static_cast<uint32_t>((cols + kChunk - 1) / kChunk);
    for (uint32_t c = threadIdx.x / kWarp; c < chunks; c += blockDim.x / kWarp) {
        const size_t begin = c * kChunk, left = cols - begin;
        const float sum = warp_chunk(begin, left < kChunk ? left : kChunk,
                                     [x](float acc, size_t i) { return add(acc, x[i]); });
        if (lane_id() == 0) of_chunks[c] = sum;
    }
    __syncthreads();
    return warp_reduce(chunks, [of_chunks](float acc, size_t c) { return add(acc, of_chunks[c]); });
}

/// Calls `use(j, load(j))` for the thread's elements of a row, several of which are loaded before
/// one is used.
template <uint32_t kThreadCount, class Load, class Use>
__device__ __forceinline__ void sweep(uint32_t cols, const Load& load, const Use& use) {
    constexpr uint32_t kAtOnce = 8;
    for (uint32_t j0 = threadIdx.x; j0 < cols; j0 += kAtOnce * kThreadCount) {
        float x[kAtOnce];
#pragma unroll
        for (uint32_t k = 0; k < kAtOnce; ++k) {
            const uint32_t j = j0 + k * kThreadCount;
            x[k] = load(j < cols ? j : j0);
        }
#pragma unroll
        for (uint32_t k = 0; k < kAtOnce; ++k) {
            const uint32_t j = j0 + k * kThreadCount;
            if (j < cols) use(j, x[k]);
        }
    }
}

/// One block per row: of one chunk, which shared memory keeps, or of any length.
template <uint32_t kThreadCount, bool kInShared>
__global__ void __launch_bounds__(kThreadCount) loss_kernel(Loss a) {
    follow_kernel_before();
    const size_t first = size_t{blockIdx.x} * a.cols;
    const float* const z = a.z + first;
    float* const shared = shared_memory<float>();
    float* const e = kInShared ? shared + loss_head(a.cols) : a.exponentials + first;
    const auto logit = [&](uint32_t j) { return z[j]; };
    float m = z[0];
    sweep<kThreadCount>(a.cols, logit, [&](uint32_t j, float x) {
        if (kInShared) e[j] = x;
        m = x > m ? x : m;
    });
    m = block_max(m, shared);
    const auto kept = [&](uint32_t j) { return e[j]; };  // by the same thread
    const auto exponentiate = [&](uint32_t j, float x) { e[j] = exp_of_falling(sub(x, m)); };
    if constexpr (kInShared)
        sweep<kThreadCount>(a.cols, kept, exponentiate);
    else
        sweep<kThreadCount>(a.cols, logit, exponentiate);
    __syncthreads();
    const float sum = block_sum(e, a.cols, shared + kWarp);
    const uint32_t target = a.targets[blockIdx.x];
    if (a.losses != nullptr && threadIdx.x == 0) a.losses[blockIdx.x] = loss_of(sum, m, z[target]);
    if (a.dz == nullptr) return;
    const float is = divide(1.0F, sum);
    sweep<kThreadCount>(a.cols, kept, [&](uint32_t j, float x) {
        const float p = mul(x, is);
        a.dz[first + j] = j == target ? target_slope(p, a.inv_n) : mul(p, a.inv_n);
    });
}

/// The same number, of which the compiler knows nothing.
__device__ __forceinline__ uint32_t opaque(uint32_t x) {
    asm volatile("" : "+r"(x));
    return x;
}

/// The elements 32 k + lane of a warp's chunk, of which this thread has `count`. Every k is known
/// when compiled.
struct HeldChunk {
    float in_registers[kInRegisters];
    float* in_shared;
    uint32_t count;

    __device__ __forceinline__ float& operator[](uint32_t k) {
        return k < kInRegisters ? in_registers[k] : in_shared[(k - kInRegisters) * kHeldThreads];
    }
    /// From the thread's first element on; -Inf behind the last of `wanted`.
    __device__ __forceinline__ void load(uint32_t k, const float* from, uint32_t wanted) {
        (*this)[k] = k < wanted ? from[k * kWarp] : as_float(0xff800000);
    }
    __device__ __forceinline__ float largest() {
        float m = (*this)[0];
#pragma unroll
        for (uint32_t k = 1; k < kHeldTerms; ++k) {
            const float x = (*this)[k];
            m = x > m ? x : m;
        }
        return m;
    }
    /// Puts exponentials in the place of logits; their sum in the order of the rule.
    __device__ __forceinline__ float exponentiate(float m) {
        float sum = 0.0F;
#pragma unroll
        for (uint32_t k = 0; k < kHeldTerms; ++k) {
            const float e = exp_of_falling(sub((*this)[k], m));
            (*this)[k] = e;
            if (k < count) sum = add(sum, e);
        }
        return warp_tree(sum);
    }
};

/// `per_block` rows one after the other, a chunk to each warp: what a row leaves behind makes room
/// for the next, whose loads are under way while the gradient is stored.
__global__ void __launch_bounds__(kHeldThreads, 1)
    held_loss_kernel(Loss a, uint32_t rows, uint32_t per_block) {
    follow_kernel_before();
    float* const maxima = shared_memory<float>();
    float* const sums = maxima + kWarp;
    const uint32_t chunks = blockDim.x / kWarp, chunk = threadIdx.x / kWarp;
    const uint32_t column = chunk * static_cast<uint32_t>(kChunk) + lane_id();
    HeldChunk x;
    x.in_shared = sums + kHeldChunksMax + threadIdx.x;
    x.count = column < a.cols ? (a.cols - column + kWarp - 1) / kWarp : 0;
    const uint32_t first = blockIdx.x * per_block;
    const uint32_t end = rows - first < per_block ? rows : first + per_block;
    const float inv_n = add(a.inv_n, 0.0F);  // as it came, it would be loaded for each element
    const float* z = a.z + size_t{first} * a.cols;
#pragma unroll
    for (uint32_t k = 0; k < kHeldTerms; ++k) x.load(k, z + column, x.count);
    for (uint32_t row = first; row < end; ++row) {
        // Or the compiler keeps all comparisons with it, for which there are no registers.
        x.count = opaque(x.count);
        const uint32_t target = a.targets[row];
        const float of_target = z[target];
        // Threads may disagree where there is a NaN, which reaches the sum and so every result.
        const float m = block_max(x.largest(), maxima);
        const float chunk_sum = x.exponentiate(m);
        if (lane_id() == 0) sums[chunk] = chunk_sum;
        __syncthreads();
        const float sum =
            warp_reduce(chunks, [sums](float acc, size_t c) { return add(acc, sums[c]); });
        if (a.losses != nullptr && threadIdx.x == 0) a.losses[row] = loss_of(sum, m, of_target);
        const float is = divide(1.0F, sum);
        float* const dz = a.dz != nullptr ? a.dz + size_t{row} * a.cols : nullptr;
        z += a.cols;
        const uint32_t wanted = dz != nullptr ? x.count : 0, next = row + 1 < end ? x.count : 0;
#pragma unroll
        for (uint32_t k = 0; k < kHeldTerms; ++k) {
            if (k < wanted) dz[column + k * kWarp] = mul(mul(x[k], is), inv_n);
            x.load(k, z + column, next);
        }
        if (wanted > 0 && target / kChunk == chunk && target % kWarp == lane_id())
            dz[target] = target_slope(mul(exp_of_falling(sub(of_target, m)), is), inv_n);
    }
}

/// The pieces of 16 aligned bytes that a row lies in. Its first and last may belong to other rows
/// as well, or lie outside of the tensor in part. Places are counted in floats from the first.
struct Pieces {
    static constexpr uint32_t kFloats = 4;

    const float* at = nullptr;
    uint32_t begin = 0, end = 0;  ///< of the row

    Pieces() = default;
    __device__ __forceinline__ Pieces(const float* row, uint32_t cols)
        : at(row),
          begin(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(row) / sizeof(float) % kFloats)),
          end(begin + cols) {
        at -= begin;
    }
    [[nodiscard]] __device__ __forceinline__ bool has(uint32_t place) const {
        return place >= begin && place < end;
    }
    [[nodiscard]] __device__ __forceinline__ bool has_all(uint32_t place) const {
        return place >= begin && place + kFloats <= end;
    }
};

/// Pieces of a thread, 128 floats apart, and those of them that wait in registers for the place of
/// the row before, loaded in so many parts between its exponentials.
constexpr uint32_t kOwnPieces = kChunk / kWarp / Pieces::kFloats, kAhead = 20, kAheadParts = 4;
/// Pieces of the maxima so far that are under way: as many as there are registers for.
constexpr uint32_t kMaximaAhead = 4;
constexpr uint32_t kPieceStep = kWarp * Pieces::kFloats;
/// Threads of a block whose shared memory has a row, and the memory before it.
constexpr uint32_t kStreamThreads = 14 * kWarp, kStreamHead = kWarp + kHeldChunksMax;
/// Elements of a lane whose exponentials are taken side by side.
constexpr uint32_t kExponentialsAtOnce = 8;

/// Largest magnitudes of a gradient. Those of columns are kept apart for rows that begin with each
/// of the four floats of a piece, so that the four of a piece lie together as well.
struct LossMaxima {
    uint32_t* rows = nullptr;
    uint32_t* places = nullptr;  ///< by a row's first place and by place, with zeros at first
    uint32_t pitch = 0;          ///< places of all warps
};

/// A row's part in them, by places from the thread's first on. Maxima only grow: what is larger
/// than one that was read some time ago is compared in memory, which of many rows few are.
struct PlaceMaxima {
    uint32_t* own = nullptr;
    uint32_t of_row = 0;
    uint4 known[kMaximaAhead];

    __device__ __forceinline__ void know(uint32_t n, uint32_t offset) {
        known[n % kMaximaAhead] = __ldcg(reinterpret_cast<const uint4*>(own + offset));
    }
    __device__ __forceinline__ void take(uint32_t offset, float x, uint32_t known_of_place) {
        const uint32_t m = magnitude(x);
        of_row = larger(of_row, m);
        if (m > known_of_place) atomicMax(own + offset, m);
    }
    __device__ __forceinline__ void take_one(uint32_t offset, float x) {
        take(offset, x, __ldcg(own + offset));
    }
    __device__ __forceinline__ void take_piece(uint32_t n, uint32_t offset, const float4& x) {
        const uint4& k = known[n % kMaximaAhead];
        take(offset, x.x, k.x), take(offset + 1, x.y, k.y);
        take(offset + 2, x.z, k.z), take(offset + 3, x.w, k.w);
    }
};

/// A row in shared memory, as its pieces lie in the tensor. The thread reads, scales, stores and
/// replaces the same pieces of it, 4,096 floats to a warp; exponentials it takes of the elements of
/// one lane of its warp's chunk. Pieces that the row has in part are left to loops of their own:
/// code for them in each place of the others would not fit into a cache of instructions.
struct StreamedRow {
    float* shared;
    uint32_t own;  ///< the thread's first place
    float4 ahead[kAhead];

    __device__ __forceinline__ float4& piece(uint32_t place) {
        return *reinterpret_cast<float4*>(shared + place);
    }
    /// Calls `use(i)` for what the row has of the thread's first and last piece, if that is not all
    /// of them.
    template <class Use>
    __device__ __forceinline__ void for_each_at_ends(const Pieces& row, const Use& use) {
#pragma unroll 1
        for (uint32_t n = 0; n < 2; ++n) {
            const uint32_t place = n == 0 ? 0 : row.end / Pieces::kFloats * Pieces::kFloats;
            const bool is_own = place - own < kChunk && (place - own) % kPieceStep == 0;
            if (!is_own || row.has_all(place)) continue;
#pragma unroll 1
            for (uint32_t i = place; i < place + Pieces::kFloats; ++i)
                if (row.has(i)) use(i);
        }
    }
    __device__ __forceinline__ void copy(const Pieces& row, uint32_t place) {
        if (row.has_all(place)) copy16_async(shared + place, row.at + place, true);
    }
    __device__ __forceinline__ void copy_ends(const Pieces& row) {
        for_each_at_ends(row, [&](uint32_t i) { copy4_async(shared + i, row.at + i); });
    }
    __device__ __forceinline__ void copy_all(const Pieces& row) {
#pragma unroll 4
        for (uint32_t k = 0; k < kOwnPieces; ++k) copy(row, own + k * kPieceStep);
        copy_ends(row);
    }
    /// Of the thread's places, which have landed.
    __device__ __forceinline__ float largest(const Pieces& row) {
        float m = as_float(0xff800000);
        const auto take = [&m](float x) { m = x > m ? x : m; };
#pragma unroll 8
        for (uint32_t k = 0; k < kOwnPieces; ++k) {
            const uint32_t place = own + k * kPieceStep;
            if (!row.has_all(place)) continue;
            const float4 x = piece(place);
            take(x.x), take(x.y), take(x.z), take(x.w);
        }
        for_each_at_ends(row, [&](uint32_t i) { take(shared[i]); });
        return m;
    }
    /// Adds the exponentials of elements [k, end) of a lane to `sum` and leaves them in place.
    __device__ __forceinline__ static float exponentiate(float* lane, uint32_t k, uint32_t end,
                                                         float m, float sum) {
#pragma unroll 1
        for (; k + kExponentialsAtOnce <= end; k += kExponentialsAtOnce) {
            float x[kExponentialsAtOnce];
#pragma unroll
            for (uint32_t i = 0; i < kExponentialsAtOnce; ++i) x[i] = lane[(k + i) * kWarp];
#pragma unroll
            for (uint32_t i = 0; i < kExponentialsAtOnce; ++i) x[i] = exp_of_falling(sub(x[i], m));
#pragma unroll
            for (uint32_t i = 0; i < kExponentialsAtOnce; ++i) {
                lane[(k + i) * kWarp] = x[i];
                sum = add(sum, x[i]);
            }
        }
#pragma unroll 1
        for (; k < end; ++k) {
            const float e = exp_of_falling(sub(lane[k * kWarp], m));
            lane[k * kWarp] = e;
            sum = add(sum, e);
        }
        return sum;
    }
    /// The sum of the warp's chunk, of which this lane has no more than `count` elements; meanwhile
    /// most of the next row arrives.
    __device__ __forceinline__ float exponentiate_chunk(float* lane, uint32_t count, float m,
                                                        const Pieces& next) {
        constexpr uint32_t kTerms = kHeldTerms / kAheadParts, kLoads = kAhead / kAheadParts;
        float sum = 0.0F;
#pragma unroll
        for (uint32_t part = 0; part < kAheadParts; ++part) {
#pragma unroll
            for (uint32_t k = part * kLoads; k < (part + 1) * kLoads; ++k) {
                const uint32_t place = own + k * kPieceStep;
                if (next.has_all(place))
                    ahead[k] = *reinterpret_cast<const float4*>(next.at + place);
            }
            const uint32_t end = (part + 1) * kTerms;
            sum = exponentiate(lane, part * kTerms, count < end ? count : end, m, sum);
        }
        return warp_tree(sum);
    }
    /// Where number n of the thread's pieces lies behind its first, in the order in which they are
    /// replaced: those that have not come ahead are waited for.
    [[nodiscard]] __device__ __forceinline__ static constexpr uint32_t offset_of(uint32_t n) {
        return (n + kAhead) % kOwnPieces * kPieceStep;
    }
    /// Stores the gradient, which lies at `dz` as the row does in shared memory, if it is wanted,
    /// and puts the next row in the place of this one. With maxima it is wanted and lies so.
    template <bool kMaxima>
    __device__ __forceinline__ void replace(const Pieces& row, const Pieces& next, float* dz,
                                            float is, float inv_n, PlaceMaxima& maxima) {
        const auto slope = [is, inv_n](float e) { return mul(mul(e, is), inv_n); };
        const auto store_one = [&](uint32_t i) {
            const float x = slope(shared[i]);
            dz[i] = x;
            if constexpr (kMaxima) maxima.take_one(i - own, x);
        };
        const bool is_aligned = kMaxima || reinterpret_cast<uintptr_t>(dz) % sizeof(float4) == 0;
        if (dz != nullptr && is_aligned) for_each_at_ends(row, store_one);
        if (!is_aligned) store_by_ones(row, store_one);
        const auto know = [&](uint32_t n) {
            if (kMaxima && n < kOwnPieces) maxima.know(n, offset_of(n));
        };
#pragma unroll
        for (uint32_t n = 0; n < kMaximaAhead; ++n) know(n);
#pragma unroll
        for (uint32_t n = 0; n < kOwnPieces; ++n) {
            const uint32_t place = own + offset_of(n);
            if (dz != nullptr && is_aligned && row.has_all(place)) {
                const float4 e = piece(place);
                const float4 x = {slope(e.x), slope(e.y), slope(e.z), slope(e.w)};
                *reinterpret_cast<float4*>(dz + place) = x;
                if constexpr (kMaxima) maxima.take_piece(n, offset_of(n), x);
            }
            know(n + kMaximaAhead);
            if (n + kAhead < kOwnPieces)
                copy(next, place);
            else if (next.has_all(place))
                piece(place) = ahead[n + kAhead - kOwnPieces];
        }
        copy_ends(next);
    }
    /// Where the gradient does not lie as the row does.
    template <class Store>
    __device__ __forceinline__ void store_by_ones(const Pieces& row, const Store& store) {
#pragma unroll 1
        for (uint32_t k = 0; k < kOwnPieces * Pieces::kFloats; ++k) {
            const uint32_t i = own + k / Pieces::kFloats * kPieceStep + k % Pieces::kFloats;
            if (row.has(i)) store(i);
        }
    }
};

/// Rows as far apart as there are blocks, one after the other, a chunk to each warp. Each is read
/// from memory while the one before it is exponentiated and stored. Blocks that start together have
/// neighbouring rows: only every fourth of them begins like another, and raises the same maxima
/// from zero.
template <bool kMaxima>
__global__ void __launch_bounds__(kStreamThreads, 1)
    streamed_loss_kernel(Loss a, uint32_t rows, LossMaxima out) {
    follow_kernel_before();
    float* const maxima = shared_memory<float>();
    float* const sums = maxima + kWarp;
    const auto chunks = static_cast<uint32_t>((a.cols + kChunk - 1) / kChunk);
    const uint32_t chunk = threadIdx.x / kWarp;
    const uint32_t first_of_chunk = chunk * static_cast<uint32_t>(kChunk);
    const uint32_t column = first_of_chunk + lane_id();
    const uint32_t count = column < a.cols ? (a.cols - column + kWarp - 1) / kWarp : 0;
    StreamedRow x;
    x.shared = maxima + kStreamHead;
    x.own = first_of_chunk + lane_id() * Pieces::kFloats;
    Pieces row(a.z + size_t{blockIdx.x} * a.cols, a.cols);
    x.copy_all(row);
    for (uint32_t n = blockIdx.x; n < rows; n += gridDim.x) {
        const float* const z = row.at + row.begin;
        const uint32_t target = a.targets[n];
        const float of_target = z[target];
        const Pieces next =
            n + gridDim.x < rows ? Pieces(z + size_t{gridDim.x} * a.cols, a.cols) : Pieces();
        copy_commit();
        copy_wait<0>();
        // Threads may disagree where there is a NaN, which reaches the sum and so every result.
        const float m = block_max(x.largest(row), maxima);
        const float chunk_sum = x.exponentiate_chunk(x.shared + row.begin + column, count, m, next);
        if (lane_id() == 0) sums[chunk] = chunk_sum;
        __syncthreads();
        const float sum =
            warp_reduce(chunks, [sums](float acc, size_t c) { return add(acc, sums[c]); });
        if (a.losses != nullptr && threadIdx.x == 0) a.losses[n] = loss_of(sum, m, of_target);
        const float is = divide(1.0F, sum);
        float* const dz = a.dz != nullptr ? a.dz + size_t{n} * a.cols - row.begin : nullptr;
        const uint32_t place = row.begin + target;
        const bool has_target = place / kChunk == chunk &&  // in a piece of this thread
                                place / Pieces::kFloats % kWarp == lane_id();
        PlaceMaxima largest;
        if constexpr (kMaxima) {
            largest.own = out.places + row.begin * out.pitch + x.own;
            if (has_target)
                x.shared[place] = 0.0F;  // what is stored there is no part of the result
        }
        x.replace<kMaxima>(row, next, dz, is, a.inv_n, largest);
        if (dz != nullptr && has_target) {
            const float slope = target_slope(mul(exp_of_falling(sub(of_target, m)), is), a.inv_n);
            dz[place] = slope;
            if constexpr (kMaxima) largest.take_one(place - x.own, slope);
        }
        if constexpr (kMaxima) {
            const uint32_t of_row = warp_max(largest.of_row);
            if (lane_id() == 0) atomicMax(out.rows + n, of_row);
        }
        row = next;
    }
}

/// The maxima of columns, from those of their places in rows that begin with each float of a piece.
__global__ void fold_places_kernel(uint32_t* out, LossMaxima from, uint32_t cols) {
    follow_kernel_before();
    const auto col = static_cast<uint32_t>(thread_number());
    if (col >= cols) return;
    uint32_t most = 0;
#pragma unroll
    for (uint32_t b = 0; b < Pieces::kFloats; ++b)
        most = larger(most, from.places[b * from.pitch + b + col]);
    out[col] = most;
}

uint32_t rows_per_block(uint32_t rows) {
    return std::clamp(rows / kHeldBlocks, 1U, kHeldRowsMax);
}

/// The launch for rows that shared memory has room for, if it has. A row may begin with the last
/// float of a piece, and then lie in pieces of one more warp.
std::optional<Launch> streamed_launch(const Context& on, MatrixShape s) {
    const uint32_t warps = blocks_for(size_t{s.cols} + Pieces::kFloats - 1, kChunk);
    const Launch out{dim3(blocks_for(s.rows, rows_per_block(s.rows))), warps * kWarp,
                     (kStreamHead + size_t{warps} * kChunk) * sizeof(float)};
    const bool fits = out.threads <= kStreamThreads && out.shared_bytes <= on.shared_bytes_max();
    if (s.cols <= kChunk || !fits) return std::nullopt;
    return out;
}

/// Rows from `first` on, as many as their exponentials have room for.
void launch_part(Context& on, Loss a, uint32_t first, uint32_t rows, size_t shared_bytes) {
    const size_t at = size_t{first} * a.cols;
    a.z += at;
    a.targets += first;
    if (a.losses != nullptr) a.losses += first;
    if (a.dz != nullptr) a.dz += at;
    a.exponentials = a.dz != nullptr ? a.dz : on.take<float>(size_t{rows} * a.cols);
    on.launch({dim3(rows), kLossThreads, shared_bytes}, loss_kernel<kLossThreads, false>, a);
}

void launch_loss(Context& on, const Loss& a, uint32_t rows) {
    on.begin();
    const size_t head_bytes = loss_head(a.cols) * sizeof(float);
    const size_t row_bytes = size_t{a.cols} * sizeof(float);
    const uint32_t chunks = blocks_for(a.cols, kChunk);
    if (chunks == 1) {
        on.launch({dim3(rows), kThreads, head_bytes + row_bytes}, loss_kernel<kThreads, true>, a);
        return;
    }
    if (chunks <= kHeldChunksMax) {
        const uint32_t per_block = rows_per_block(rows);
        if (const auto streamed = streamed_launch(on, {rows, a.cols})) {
            on.launch(*streamed, streamed_loss_kernel<false>, a, rows, LossMaxima{});
            return;
        }
        on.launch({dim3(blocks_for(rows, per_block)), chunks * kWarp, kHeldBytes}, held_loss_kernel,
                  a, rows, per_block);
        return;
    }
    const auto fitting = a.dz != nullptr ? rows
                                         : static_cast<uint32_t>(std::clamp<size_t>(
                                               on.scratch_bytes_max() / row_bytes, 1, rows));
    for (uint32_t first = 0; first < rows; first += fitting) {
        if (first > 0) on.begin();
        launch_part(on, a, first, std::min(fitting, rows - first), head_bytes);
    }
}

}  // namespace

void cross_entropy(Context& on, float* losses, const float* z, const uint32_t* targets,
                   MatrixShape s) {
    launch_loss(on, {losses, nullptr, z, targets, s.cols, 0.0F, nullptr}, s.rows);
}

void cross_entropy_both(Context& on, float* losses, float* dz, const float* z,
                        const uint32_t* targets, MatrixShape s, float inv_n) {
    launch_loss(on, {losses, dz, z, targets, s.cols, inv_n, nullptr}, s.rows);
}

bool loss_leaves_maxima(const Context& on, const Waiting& w) {
    const auto behind_a_piece = [](const float* x) {
        return reinterpret_cast<uintptr_t>(x) % sizeof(float4);
    };
    return w.kind == Waiting::Kind::loss && behind_a_piece(w.y) == behind_a_piece(w.a) &&
           streamed_launch(on, w.s).has_value();
}

void loss_with_maxima(Context& on, const Waiting& w, const Maxima& out) {
    const Launch how = *streamed_launch(on, w.s);
    const uint32_t cols = w.s.cols, pitch = how.threads * kHeldTerms;
    const size_t places = size_t{Pieces::kFloats} * pitch;
    const LossMaxima maxima{out.rows, on.take<uint32_t>(places), pitch};
    if (!on.ok()) return;
    clear_words(on, maxima.places, places);
    const Loss loss{w.losses, w.y, w.a, w.targets, cols, w.inv_n, nullptr};
    on.launch(how, streamed_loss_kernel<true>, loss, w.s.rows, maxima);
    on.launch(per_element(cols), fold_places_kernel, out.cols, maxima, cols);
}

}  // namespace trainyard::cuda
