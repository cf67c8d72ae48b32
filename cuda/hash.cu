// SPDX-License-Identifier: Apache-2.0
// SHA-256 of tiles and the Merkle trees over them: docs/spec/numerics.md, section 16; FIPS 180-4.
#include <algorithm>
#include <vector>

#include "core/sha256_constants.hpp"
#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "training/state_root.hpp"

namespace trainyard::cuda {

namespace {

using training::kTileElements;
using training::kTileSide;
using training::TensorView;

constexpr uint32_t kHashWords = 8;
constexpr uint32_t kBlockWords = 16;

__constant__ Sha256Rounds kRounds = kSha256Rounds;

/// The state of a hash as eight words; a digest is their bytes, each word's highest first.
struct Sha {
    uint32_t word[kHashWords] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

__device__ __forceinline__ uint32_t turn(uint32_t x, uint32_t by) {
    return __funnelshift_r(x, x, by);
}

/// `w` is overwritten. Everything is unrolled, so that words stay in registers.
__device__ __forceinline__ void compress(Sha& sha, uint32_t (&w)[kBlockWords]) {
    uint32_t s[kHashWords];
#pragma unroll
    for (uint32_t i = 0; i < kHashWords; ++i) s[i] = sha.word[i];
#pragma unroll
    for (uint32_t t = 0; t < 64; ++t) {
        if (t >= kBlockWords) {
            const uint32_t x = w[(t + 1) % kBlockWords], y = w[(t + 14) % kBlockWords];
            w[t % kBlockWords] += (turn(x, 7) ^ turn(x, 18) ^ x >> 3) + w[(t + 9) % kBlockWords] +
                                  (turn(y, 17) ^ turn(y, 19) ^ y >> 10);
        }
        const uint32_t e = s[4], a = s[0];
        const uint32_t t1 = s[7] + kRounds.k[t] + w[t % kBlockWords] +
                            (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & s[5]) ^ (~e & s[6]));
        const uint32_t t2 =
            (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = t1 + t2;
    }
#pragma unroll
    for (uint32_t i = 0; i < kHashWords; ++i) sha.word[i] += s[i];
}

/// The last block of a message: what is left of it, one bit, and its length.
__device__ __forceinline__ void compress_last(Sha& sha, uint32_t first, uint32_t message_bytes) {
    uint32_t w[kBlockWords] = {};
    w[0] = first;
    w[kBlockWords - 1] = 8 * message_bytes;
    compress(sha, w);
}

/// A tensor as a matrix: a vector has rows of 32 elements, its last one perhaps fewer.
struct Tiled {
    const float* data;
    uint32_t rows, cols;
    uint32_t last_cols;   ///< of the last row
    uint32_t first_tile;  ///< number among all tiles of the list
};

struct Tile {
    const float* at;
    size_t stride;
    uint32_t rows, cols, last_cols;  ///< inside the tensor; `last_cols` in the last of these rows

    [[nodiscard]] __device__ bool is_whole() const {
        return rows == kTileSide && cols == kTileSide && last_cols == kTileSide;
    }
};

__device__ __forceinline__ uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

__device__ __forceinline__ Tile tile_of(const Tiled& t, uint32_t index) {
    const uint32_t across = (t.cols + kTileSide - 1) / kTileSide;
    const uint32_t row = index / across * kTileSide, col = index % across * kTileSide;
    const uint32_t rows = smaller(kTileSide, t.rows - row);
    const uint32_t cols = smaller(kTileSide, t.cols - col);
    const uint32_t last = row + rows == t.rows ? smaller(cols, t.last_cols - col) : cols;
    return {t.data + size_t{row} * t.cols + col, t.cols, rows, cols, last};
}

/// Half a row of a tile as it lies in memory, +0 outside.
__device__ __forceinline__ void load_half(uint32_t (&w)[kBlockWords], const Tile& tile,
                                          uint32_t row, uint32_t half, bool aligned) {
    const float* const from = tile.at + row * tile.stride + half * kBlockWords;
    if (aligned) {
        const auto* const fours = reinterpret_cast<const float4*>(from);
#pragma unroll
        for (uint32_t i = 0; i < kBlockWords / 4; ++i) {
            const float4 x = fours[i];
            w[4 * i] = bits_of(x.x), w[4 * i + 1] = bits_of(x.y);
            w[4 * i + 2] = bits_of(x.z), w[4 * i + 3] = bits_of(x.w);
        }
        return;
    }
    const uint32_t valid = row + 1 < tile.rows    ? tile.cols
                           : row + 1 == tile.rows ? tile.last_cols
                                                  : 0;
#pragma unroll
    for (uint32_t i = 0; i < kBlockWords; ++i)
        w[i] = half * kBlockWords + i < valid ? bits_of(from[i]) : 0;
}

/// The tensor whose tiles number `n` belongs to.
__device__ __forceinline__ uint32_t tensor_of(const Tiled* list, uint32_t count, uint32_t n) {
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (list[middle].first_tile <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

constexpr uint32_t kLeafThreads = 128;

/// One thread per tile: SHA-256(00 | 4,096 bytes). The tag moves every word by one byte, so a word
/// of the message is the last byte of one word of the tile and the first three of the next.
__global__ void __launch_bounds__(kLeafThreads)
    tile_leaves_kernel(Sha* leaves, const Tiled* list, uint32_t tensors, uint32_t tiles) {
    follow_kernel_before();
    const auto n = static_cast<uint32_t>(thread_number());
    if (n >= tiles) return;
    const Tiled& tensor = list[tensor_of(list, tensors, n)];
    const Tile tile = tile_of(tensor, n - tensor.first_tile);
    const bool aligned = tile.is_whole() && tile.stride % 4 == 0 &&
                         reinterpret_cast<uintptr_t>(tile.at) % sizeof(float4) == 0;
    constexpr uint32_t kShifted = 0x7012;  // bytes 2, 1, 0 of a word below byte 3 of the one before
    Sha sha;
    uint32_t before = 0;  // the tag
    for (uint32_t block = 0; block < 2 * kTileSide; ++block) {
        uint32_t w[kBlockWords];
        load_half(w, tile, block / 2, block % 2, aligned);
#pragma unroll
        for (uint32_t i = 0; i < kBlockWords; ++i) {
            const uint32_t word = w[i];
            w[i] = __byte_perm(word, before, kShifted);
            before = word;
        }
        compress(sha, w);
    }
    compress_last(sha, (before & 0xff000000U) | 0x00800000U,
                  1 + kTileElements * static_cast<uint32_t>(sizeof(float)));
    leaves[n] = sha;
}

/// SHA-256(01 | left | right).
__device__ __forceinline__ Sha node_of(const Sha& left, const Sha& right) {
    uint32_t w[kBlockWords];
    uint32_t before = 1;  // the tag
#pragma unroll
    for (uint32_t i = 0; i < kBlockWords; ++i) {
        const uint32_t word = i < kHashWords ? left.word[i] : right.word[i % kHashWords];
        w[i] = __funnelshift_r(word, before, 8);
        before = word;
    }
    Sha sha;
    compress(sha, w);
    compress_last(sha, before << 24 | 0x00800000U, 1 + 2 * 32);
    return sha;
}

constexpr uint32_t kTreeNodes = 256;
constexpr uint32_t kTreeThreads = kTreeNodes / 2;

/// Up to 256 neighbouring nodes whose first number is a multiple of 256: a whole subtree, because
/// only the last node of a tree is ever without a partner.
struct Subtree {
    uint32_t from, count, to;
    bool is_root;  ///< `to` is a number of a tensor, not of a node
};

__global__ void __launch_bounds__(kTreeThreads)
    subtrees_kernel(Sha* roots, Sha* to, const Sha* nodes, const Subtree* list) {
    follow_kernel_before();
    Sha* const line = shared_memory<Sha>();
    const Subtree tree = list[blockIdx.x];
    const uint32_t i = threadIdx.x;
    for (uint32_t k = i; k < tree.count; k += kTreeThreads) line[k] = nodes[tree.from + k];
    __syncthreads();
    for (uint32_t count = tree.count; count > 1; count = (count + 1) / 2) {
        const bool is_pair = i < count / 2, is_alone = i == count / 2 && count % 2 != 0;
        Sha node;
        if (is_pair) node = node_of(line[2 * i], line[2 * i + 1]);
        if (is_alone) node = line[2 * i];
        __syncthreads();
        if (is_pair || is_alone) line[i] = node;
        __syncthreads();
    }
    if (i >= kHashWords) return;
    const uint32_t word = line[0].word[i];
    if (tree.is_root)
        roots[tree.to].word[i] = __byte_perm(word, 0, 0x0123);
    else
        to[tree.to].word[i] = word;
}

/// The subtrees of each level of kTreeNodes; every tensor's nodes lie together.
struct Levels {
    std::vector<std::vector<Subtree>> lists;
    uint32_t nodes_max = 0;  ///< that a level leaves for the next
};

Levels levels_of(std::vector<uint32_t> counts) {
    Levels out;
    for (bool more = true; more;) {
        auto& list = out.lists.emplace_back();
        uint32_t from = 0, to = 0;
        more = false;
        for (uint32_t k = 0; k < counts.size(); ++k) {
            const uint32_t count = counts[k], parts = blocks_for(count, kTreeNodes);
            for (uint32_t p = 0; p < parts; ++p) {
                const uint32_t done = p * kTreeNodes;
                list.push_back({from + done, std::min(kTreeNodes, count - done),
                                parts == 1 ? k : to + p, parts == 1});
            }
            from += count;
            counts[k] = parts > 1 ? parts : 0;
            to += counts[k];
            more = more || parts > 1;
        }
        out.nodes_max = std::max(out.nodes_max, to);
    }
    return out;
}

/// A list in scratch memory.
template <class T>
const T* send(Context& on, const std::vector<T>& list) {
    T* const to = on.take<T>(list.size());
    on.upload(to, list.data(), list.size() * sizeof(T));
    return to;
}

}  // namespace

void tile_roots(Context& on, void* out, std::span<const TensorView> tensors) {
    if (tensors.empty()) return;
    on.begin();
    std::vector<Tiled> list;
    std::vector<uint32_t> counts;
    uint32_t tiles = 0;
    for (const TensorView& t : tensors) {
        const auto [rank, rows, cols] = t.shape;
        if (rank == 1) {
            const uint32_t lines = blocks_for(cols, kTileSide);
            list.push_back({t.data, lines, kTileSide, cols - (lines - 1) * kTileSide, tiles});
        } else {
            list.push_back({t.data, rows, cols, cols, tiles});
        }
        counts.push_back(training::tile_count(t.shape));
        tiles += counts.back();
    }
    const Levels levels = levels_of(std::move(counts));
    Sha* nodes = on.take<Sha>(tiles);
    Sha* next = on.take<Sha>(levels.nodes_max);
    const Tiled* const sent = send(on, list);
    on.launch({dim3(blocks_for(tiles, kLeafThreads)), kLeafThreads}, tile_leaves_kernel, nodes,
              sent, static_cast<uint32_t>(list.size()), tiles);
    for (const auto& level : levels.lists) {
        on.launch(
            {dim3(static_cast<uint32_t>(level.size())), kTreeThreads, kTreeNodes * sizeof(Sha)},
            subtrees_kernel, static_cast<Sha*>(out), next, nodes, send(on, level));
        std::swap(nodes, next);
    }
}

}  // namespace trainyard::cuda
