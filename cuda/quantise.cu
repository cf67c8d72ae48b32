// SPDX-License-Identifier: Apache-2.0
// Quantises operands by row, by column or both: docs/spec/numerics.md, section 5.
#include <type_traits>

#include "cuda/eights.cuh"
#include "cuda/fragments.cuh"
#include "cuda/held_columns.cuh"
#include "cuda/launches.cuh"
#include "cuda/products.cuh"
#include "cuda/reduce.cuh"
#include "cuda/tile_maxima.cuh"

namespace trainyard::cuda {

namespace {

/// Of a multiprocessor, with 64 registers each: what it takes to have enough bytes under way.
constexpr uint32_t kThreadsAtOnce = 1024;

/// Eight neighbours of a row, whose bytes lie together in every layout, as they were fetched, in
/// whole loads of 16 bytes: the first `shift` floats are not among them. A row that begins between
/// two such loads takes three. Apart from `eight`, so that many rows are under way before the first
/// is used.
template <bool kAligned>
struct Fetched {
    static constexpr uint32_t floats = kAligned ? 8 : 12;
    float x[floats] = {};
    uint32_t shift = 0;

    [[nodiscard]] __device__ __forceinline__ Eight eight() const {
        Eight out;
        if constexpr (kAligned) {
#pragma unroll
            for (uint32_t j = 0; j < 8; ++j) out.x[j] = x[j];
        } else {
            float odd[10];
#pragma unroll
            for (uint32_t j = 0; j < 10; ++j) odd[j] = (shift & 1) != 0 ? x[j + 1] : x[j];
#pragma unroll
            for (uint32_t j = 0; j < 8; ++j) out.x[j] = (shift & 2) != 0 ? odd[j + 2] : odd[j];
        }
        return out;
    }
};

/// How many floats a row begins behind a load of 16 bytes.
__device__ __forceinline__ uint32_t shift_of(const float* row) {
    return reinterpret_cast<uintptr_t>(row) / sizeof(float) % kFloatsAtOnce;
}

/// Elements `col`, a multiple of eight, to col + 7 of a row of `cols` that begins `shift` behind a
/// load; zeros behind its end. Nothing outside of the row is read.
template <bool kAligned>
__device__ __forceinline__ Fetched<kAligned> fetch_eight(const float* row, uint32_t col,
                                                         uint32_t cols, uint32_t shift) {
    constexpr uint32_t kFloats = Fetched<kAligned>::floats;
    Fetched<kAligned> out;
    out.shift = shift;
    const uint32_t left = col < cols ? cols - col : 0;
    const float* const from = row + col - shift;
    if (kAligned ? left >= 8 : left >= kFloats && col > 0) {
#pragma unroll
        for (uint32_t j = 0; j < kFloats; j += kFloatsAtOnce) {
            const float4 x = *reinterpret_cast<const float4*>(from + j);
            out.x[j] = x.x, out.x[j + 1] = x.y, out.x[j + 2] = x.z, out.x[j + 3] = x.w;
        }
    } else {
#pragma unroll
        for (uint32_t j = 0; j < kFloats; ++j)
            if (j - shift < 8 && j - shift < left) out.x[j] = from[j];
    }
    return out;
}

/// Of eight elements of which the first has number `inside` in the Philox block p; n is the next.
__device__ __forceinline__ EightWords words_between(const PhiloxWords& p, const PhiloxWords& n,
                                                    uint32_t inside) {
    const uint32_t all[8] = {p.x0, p.x1, p.x2, p.x3, n.x0, n.x1, n.x2, n.x3};
    uint32_t by4[6], by2[5];
#pragma unroll
    for (uint32_t i = 0; i < 6; ++i) by4[i] = (inside & 4) != 0 ? all[i + 2] : all[i];
#pragma unroll
    for (uint32_t i = 0; i < 5; ++i) by2[i] = (inside & 2) != 0 ? by4[i + 1] : by4[i];
    EightWords out;
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i)
        out.pair[i] = __funnelshift_r(by2[i], by2[i + 1], inside % 2 * 16);
    return out;
}

/// Of the elements at `offset` to offset + 7, which may belong to two Philox blocks.
__device__ __forceinline__ EightWords eight_words(const Words& words, uint64_t offset) {
    const uint64_t idx = words.idx0 + offset;
    const PhiloxWords p = philox_block(words, idx / 8);
    if (idx % 8 == 0) return {{p.x0, p.x1, p.x2, p.x3}};
    return words_between(p, philox_block(words, idx / 8 + 1), static_cast<uint32_t>(idx % 8));
}

/// A scale's inverse as `rounded` takes it: see stochastic_in_byte in floats.cuh.
__device__ __forceinline__ float inverse_for(float inv, bool is_random) {
    return is_random ? mul(inv, 65536.0F) : inv;
}

/// An integer whose byte number `kQuantisedByte<kRandom>` is the quantised x: with words at random
/// the rule's shift by 16 is left to whoever takes the byte.
template <bool kRandom>
constexpr uint32_t kQuantisedByte = kRandom ? 2 : 0;

template <bool kRandom>
__device__ __forceinline__ uint32_t rounded(float x, float inverse, uint32_t word) {
    const auto q = static_cast<uint32_t>(quantise_nearest(x, inverse));
    return kRandom ? q + word : q;
}

/// What puts byte `from` of __byte_perm's second word in byte `to` of its first.
__host__ __device__ constexpr uint32_t putting(uint32_t from, uint32_t to) {
    return (0x3210U & ~(0xfU << to * 4)) | (4 + from) << to * 4;
}

/// Operand::at for one place along the contraction and any group.
class PlaceInGroups {
public:
    __host__ __device__ PlaceInGroups(const Operand& to, uint32_t z, uint32_t byte)
        : first_(to.at(z, 0, byte)),
          pitch_(to.layout == Layout::slabs ? kSwizzledRow : to.k),
          turn_(to.layout == Layout::slabs ? 0x70 : 0) {}

    [[nodiscard]] __host__ __device__ size_t at(uint32_t group) const {
        return (first_ + size_t{group} * pitch_) ^ (group * 16 & turn_);
    }

private:
    size_t first_;
    uint32_t pitch_, turn_;
};

template <bool kRandom>
__device__ __forceinline__ EightBytes quantise_eight(const Eight& x, float inverse,
                                                     const EightWords& words) {
    uint32_t q[8];
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j)
        q[j] = rounded<kRandom>(x.x[j], inverse, kRandom ? words.of(j) : 0);
    return {pack4<kQuantisedByte<kRandom>>(q), pack4<kQuantisedByte<kRandom>>(q + 4)};
}

/// What a thread of a row's team keeps of it between its maximum and its bytes, in eights.
constexpr uint32_t kHeld = 3;

/// Teams of more than a warp are whole blocks.
__host__ __device__ constexpr uint32_t block_of_team(uint32_t team) {
    return team > kWarp ? team : kThreads;
}

/// The largest of a team's numbers.
template <uint32_t kTeam>
__device__ __forceinline__ uint32_t team_max(uint32_t x) {
    constexpr uint32_t kAlone = kTeam < kWarp ? kTeam : kWarp;
#pragma unroll
    for (uint32_t s = kAlone / 2; s > 0; s /= 2) x = larger(x, __shfl_xor_sync(kAllLanes, x, s));
    if constexpr (kTeam > kWarp) {
        auto* const of_warps = shared_memory<uint32_t>();
        if (lane_id() == 0) of_warps[threadIdx.x / kWarp] = x;
        __syncthreads();
#pragma unroll
        for (uint32_t w = 0; w < kTeam / kWarp; ++w) x = larger(x, of_warps[w]);
    }
    return x;
}

/// Eights of a row, each `step` columns behind the one before, with all loads under way at once.
template <bool kAligned, uint32_t kCount>
__device__ __forceinline__ void load_eights(Eight (&to)[kCount], const float* row, uint32_t first,
                                            uint32_t step, uint32_t cols) {
    const uint32_t shift = kAligned ? 0 : shift_of(row);
    Fetched<kAligned> fetched[kCount];
#pragma unroll
    for (uint32_t i = 0; i < kCount; ++i)
        fetched[i] = fetch_eight<kAligned>(row, first + i * step, cols, shift);
#pragma unroll
    for (uint32_t i = 0; i < kCount; ++i) to[i] = fetched[i].eight();
}

template <uint32_t kCount>
__device__ __forceinline__ uint32_t largest_of(const Eight (&x)[kCount]) {
    uint32_t most = 0;
#pragma unroll
    for (uint32_t i = 0; i < kCount; ++i)
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j) most = larger(most, magnitude(x[i].x[j]));
    return most;
}

/// A row for each team of threads. What they can hold is read once, the rest of a long row twice,
/// while it is near.
template <bool kAligned, uint32_t kTeam>
__global__ void __launch_bounds__(block_of_team(kTeam), kThreadsAtOnce / block_of_team(kTeam))
    quantise_rows_kernel(Source x, Words words, Operand out, uint32_t* flag) {
    follow_kernel_before();
    constexpr uint32_t kTeams = block_of_team(kTeam) / kTeam, kStep = kTeam * 8,
                       kMore = kAligned ? 2 : 1;
    const uint32_t row = blockIdx.x * kTeams + threadIdx.x / kTeam, z = blockIdx.z;
    const uint32_t first = threadIdx.x % kTeam * 8, cols = row < x.rows ? x.cols : 0;
    const size_t begin = x.spread.offset(z) + row * x.stride;
    const float* const from = x.data + begin;
    Eight held[kHeld];
    load_eights<kAligned>(held, from, first, kStep, cols);
    uint32_t most = largest_of(held);
    Eight more[kMore];
    for (uint32_t c = kHeld * kStep; c < cols; c += kMore * kStep) {
        load_eights<kAligned>(more, from, first + c, kStep, cols);
        most = larger(most, largest_of(more));
    }
    most = team_max<kTeam>(most);
    if (row >= x.rows) return;
    const Scale scale = scale_of(most);
    if (first == 0) {
        out.scale[size_t{z} * out.groups + row] = scale.s;
        flag_nonfinite(most, flag);
    }
    const float inverse = inverse_for(scale.inv, words.stochastic);
    const auto store = [&](const auto& values, uint32_t col) {
#pragma unroll
        for (const Eight& eight : values) {
            if (col < out.k)
                *reinterpret_cast<EightBytes*>(out.q + out.at(z, row, col)) =
                    words.stochastic
                        ? quantise_eight<true>(eight, inverse, eight_words(words, begin + col))
                        : quantise_eight<false>(eight, inverse, {});
            col += kStep;
        }
    };
    store(held, first);
    for (uint32_t c = kHeld * kStep; c < out.k; c += kMore * kStep) {
        load_eights<kAligned>(more, from, first + c, kStep, cols);
        store(more, first + c);
    }
}

/// What a part has of its row i, one element after the other; zeros outside of the matrix.
template <bool kAligned>
__device__ __forceinline__ float4 fetch_part(const TilePart<kAligned>& at, const float* row,
                                             uint32_t cols) {
    const auto one = [&](uint32_t j) {
        const uint32_t col = blockIdx.x * kTileCols + at.col(j);
        return col < cols ? row[col] : 0.0F;
    };
    return {one(0), one(1), one(2), one(3)};
}

template <bool kAligned, bool kRows>
__global__ void __launch_bounds__(kThreads) maxima_kernel(Source x, Maxima out) {
    follow_kernel_before();
    const TilePart<kAligned> at;
    const uint32_t z = blockIdx.z, col = blockIdx.x * kTileCols + at.col(0);
    const float* const from = x.data + x.spread.offset(z) + at.first_row * x.stride;
    float4 rows[at.rows];
    if (kAligned && at.first_row + at.rows <= x.rows && col + 3 < x.cols) {
#pragma unroll
        for (uint32_t i = 0; i < at.rows; ++i)
            rows[i] = *reinterpret_cast<const float4*>(from + i * x.stride + col);
    } else {
#pragma unroll
        for (uint32_t i = 0; i < at.rows; ++i)
            rows[i] = fetch_part(at, from + i * x.stride, at.row(i) < x.rows ? x.cols : 0);
    }
    PartMaxima part;
#pragma unroll
    for (uint32_t i = 0; i < at.rows; ++i) part.take(i, rows[i]);
    join_maxima<kRows>(part, at, x.rows, x.cols, z, out);
}

/// Where a block's tile begins, and in which matrix.
struct TileCorner {
    uint32_t row, col, z;
};

/// A tile's columns in shared memory; parts of 16 bytes are exchanged so that the eight threads of
/// four rows, as well as the eight parts of a column, are in different banks.
struct TurnedTile {
    uint4 part[kTileCols][kTileRows / 16];

    __device__ __forceinline__ void set(uint32_t col, uint32_t word, uint32_t bytes) {
        reinterpret_cast<uint32_t*>(&part[col][word / 4 ^ col / 8])[word % 4] = bytes;
    }
    /// All columns that there are, as long as `to` has places for their bytes.
    __device__ __forceinline__ void store(const Operand& to, const TileCorner& at) const {
        const uint32_t p = threadIdx.x % 8, byte = at.row + p * 16;
        if (byte >= to.k) return;
        const PlaceInGroups place(to, at.z, byte);
#pragma unroll
        for (uint32_t c = threadIdx.x / 8; c < kTileCols; c += kThreads / 8)
            if (at.col + c < to.groups)
                *reinterpret_cast<uint4*>(to.q + place.at(at.col + c)) = part[c][p ^ c / 8];
    }
};

struct Tile {
    TurnedTile turned;
    float col_inverse[kTileCols];
    float row_inverse[kTileRows];
};

struct Tiles {
    Source x;
    Words words;
    Maxima amax;
    Operand rows;  ///< without bytes if only columns are wanted
    Operand cols;
    uint32_t* flag;
};

/// The inverse of the scale of group `group` of matrix z; the scale itself is `told` by one block.
__device__ __forceinline__ float inverse_of_group(const Tiles& a, const Operand& to,
                                                  const uint32_t* amax, uint32_t z, uint32_t group,
                                                  bool is_told) {
    if (group >= to.groups) return 0.0F;
    const size_t at = size_t{z} * to.groups + group;
    const Scale scale = scale_of(amax[at]);
    if (is_told) {
        to.scale[at] = scale.s;
        flag_nonfinite(amax[at], a.flag);
    }
    return inverse_for(scale.inv, a.words.stochastic);
}

template <bool kRows>
__device__ __forceinline__ void load_inverses(Tile& tile, const Tiles& a, const TileCorner& at) {
    const uint32_t i = threadIdx.x, r = i - kTileCols;
    if (i < kTileCols)
        tile.col_inverse[i] =
            inverse_of_group(a, a.cols, a.amax.cols, at.z, at.col + i, at.row == 0);
    else if (kRows && r < kTileRows)
        tile.row_inverse[r] =
            inverse_of_group(a, a.rows, a.amax.rows, at.z, at.row + r, at.col == 0);
}

/// How rows lie in loads of 16 bytes and in Philox blocks: all begin with one, row r begins r or
/// 3 r modulo 4 elements behind a load and behind four words, or each has to be asked.
enum class Lie : uint8_t { whole = 0, one = 1, three = 3, any = 4 };

/// As eight_words, without questions to which kLie has the answer; `shift` is the first element's
/// number modulo 4.
template <Lie kLie>
__device__ __forceinline__ EightWords words_of_lie(const Words& words, uint64_t offset,
                                                   uint32_t shift) {
    if constexpr (kLie == Lie::any) return eight_words(words, offset);
    const uint64_t idx = words.idx0 + offset;
    const PhiloxWords p = philox_block(words, idx / 8);
    if constexpr (kLie == Lie::whole) return {{p.x0, p.x1, p.x2, p.x3}};
    return words_between(p, philox_block(words, idx / 8 + 1),
                         static_cast<uint32_t>(idx & 4) | shift);
}

/// One block per tile, which it transposes: each thread quantises eight neighbours of each of four
/// rows, with the words of one Philox block, for the row and for their columns. The last tile comes
/// first: the maxima were found from the first to the last, so what is still near is met before it
/// goes.
template <Lie kLie, bool kRows, bool kRandom>
__global__ void __launch_bounds__(kThreads, kLie == Lie::any ? 3 : 4)
    quantise_tiles_kernel(Tiles a) {
    follow_kernel_before();
    constexpr bool kAligned = kLie == Lie::whole;
    Tile& tile = *shared_memory<Tile>();
    const TileCorner at = {(gridDim.y - 1 - blockIdx.y) * kTileRows,
                           (gridDim.x - 1 - blockIdx.x) * kTileCols, gridDim.z - 1 - blockIdx.z};
    const uint32_t word = threadIdx.x / 8, c = threadIdx.x % 8 * 8, col = at.col + c;
    const size_t matrix = a.x.spread.offset(at.z);
    Fetched<kAligned> fetched[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t row = at.row + word * 4 + i;
        const float* const from = a.x.data + matrix + row * a.x.stride;
        const uint32_t shift =
            kLie == Lie::any ? shift_of(from) : i * static_cast<uint32_t>(kLie) % 4;
        fetched[i] = fetch_eight<kAligned>(from, col, row < a.x.rows ? a.x.cols : 0, shift);
    }
    load_inverses<kRows>(tile, a, at);
    __syncthreads();
    const PlaceInGroups place(kRows ? a.rows : a.cols, at.z, col);
    uint32_t turned[8] = {};
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
        const Eight x = fetched[i].eight();
        const uint32_t r = word * 4 + i, row = at.row + r;
        EightWords words = {};
        if constexpr (kRandom)
            words = words_of_lie<kLie>(a.words, matrix + row * a.x.stride + col, fetched[i].shift);
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j)
            turned[j] = __byte_perm(
                turned[j],
                rounded<kRandom>(x.x[j], tile.col_inverse[c + j], kRandom ? words.of(j) : 0),
                putting(kQuantisedByte<kRandom>, i));
        if constexpr (kRows) {
            if (row < a.x.rows)
                *reinterpret_cast<EightBytes*>(a.rows.q + place.at(row)) =
                    quantise_eight<kRandom>(x, tile.row_inverse[r], words);
        }
    }
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) tile.turned.set(c + j, word, turned[j]);
    __syncthreads();
    tile.turned.store(a.cols, at);
}

/// Calls `body` with std::true_type or std::false_type.
template <class Body>
void with_constant(bool flag, const Body& body) {
    if (flag) return body(std::true_type{});
    body(std::false_type{});
}

/// Whether the first row of every matrix begins where loads of 16 bytes may, and a multiple of
/// `step` elements behind the first matrix.
[[nodiscard]] bool begins_aligned(const Source& x, size_t step) {
    return reinterpret_cast<uintptr_t>(x.data) % sizeof(float4) == 0 &&
           x.spread.per_sequence % step == 0 && x.spread.per_head % step == 0;
}

[[nodiscard]] Lie lie_of(const Source& x, const Words& words) {
    const size_t step = words.stochastic ? 8 : kFloatsAtOnce;
    if (!begins_aligned(x, step) || words.idx0 % step != 0) return Lie::any;
    if (x.stride % step == 0) return Lie::whole;
    const size_t behind = x.stride % kFloatsAtOnce;
    return behind == 1 ? Lie::one : behind == 3 ? Lie::three : Lie::any;
}

template <Lie kLie, bool kRows, bool kRandom>
void launch_tiles(Context& on, uint32_t batch, const Tiles& a) {
    // Rows are padded to whole steps of the contraction, so they may have one tile more.
    const uint32_t tiles = kRows ? a.rows.k / kTileCols : blocks_for(a.x.cols, kTileCols);
    on.launch({dim3(tiles, blocks_for(a.cols.k, kTileRows), batch), kThreads, sizeof(Tile)},
              quantise_tiles_kernel<kLie, kRows, kRandom>, a);
}

template <bool kRows, bool kRandom>
void quantise_tiles(Context& on, uint32_t batch, const Tiles& a) {
    switch (lie_of(a.x, a.words)) {
        case Lie::whole:
            return launch_tiles<Lie::whole, kRows, kRandom>(on, batch, a);
        case Lie::one:
            return launch_tiles<Lie::one, kRows, kRandom>(on, batch, a);
        case Lie::three:
            return launch_tiles<Lie::three, kRows, kRandom>(on, batch, a);
        case Lie::any:
            return launch_tiles<Lie::any, kRows, kRandom>(on, batch, a);
    }
}

void quantise_tiles(Context& on, uint32_t batch, Tiles a) {
    a.flag = on.nonfinite_flag();
    if (a.rows.q == nullptr) return quantise_tiles<false, false>(on, batch, a);
    with_constant(a.words.stochastic,
                  [&](auto random) { quantise_tiles<true, random()>(on, batch, a); });
}

template <uint32_t kTeam>
void launch_rows(Context& on, uint32_t batch, const Source& x, const Words& words,
                 const Operand& out) {
    constexpr uint32_t kBlock = block_of_team(kTeam);
    const dim3 grid(blocks_for(x.rows, kBlock / kTeam), 1, batch);
    const size_t shared_bytes = kTeam > kWarp ? kTeam / kWarp * sizeof(uint32_t) : 0;
    with_constant(is_aligned(x), [&](auto aligned) {
        on.launch({grid, kBlock, shared_bytes}, quantise_rows_kernel<aligned(), kTeam>, x, words,
                  out, on.nonfinite_flag());
    });
}

}  // namespace

bool is_aligned(const Source& x) {
    return begins_aligned(x, kFloatsAtOnce) && x.stride % kFloatsAtOnce == 0;
}

Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k, Layout layout) {
    Operand out;
    out.groups = groups;
    out.k = padded_terms(k, layout);
    out.layout = layout;
    out.q = on.take<int8_t>(size_t{batch} * groups * out.k);
    out.scale = on.take<float>(size_t{batch} * groups);
    return out;
}

Operand quantise_rows(Context& on, uint32_t batch, const Source& x, const Words& words,
                      Layout layout) {
    const Operand out = take_operand(on, batch, x.rows, x.cols, layout);
    // The smallest team that can hold a row, as far as there is one.
    const auto launch = out.k <= 8 * 8 * kHeld     ? launch_rows<8>
                        : out.k <= 32 * 8 * kHeld  ? launch_rows<32>
                        : out.k <= 128 * 8 * kHeld ? launch_rows<128>
                                                   : launch_rows<512>;
    launch(on, batch, x, words, out);
    return out;
}

Maxima take_maxima(Context& on, uint32_t batch, uint32_t rows, uint32_t cols) {
    const size_t of_rows = size_t{batch} * rows, of_cols = size_t{batch} * cols;
    auto* const all = on.take<uint32_t>(of_rows + of_cols);
    if (!on.ok()) return {};
    clear_words(on, all, of_rows + of_cols);
    return {all, all + of_rows};
}

void find_maxima(Context& on, uint32_t batch, const Source& x, const Maxima& out) {
    const dim3 grid(blocks_for(x.cols, kTileCols), blocks_for(x.rows, kTileRows), batch);
    with_constant(is_aligned(x), [&](auto aligned) {
        with_constant(out.rows != nullptr, [&](auto rows) {
            on.launch({grid, kThreads, sizeof(ColumnMaxima)}, maxima_kernel<aligned(), rows()>, x,
                      out);
        });
    });
}

Operand quantise_cols(Context& on, uint32_t batch, const Source& x, Layout layout) {
    const Operand out = take_operand(on, batch, x.cols, x.rows, layout);
    if (on.products() == Products::alternating && can_hold_columns(x, out)) {
        quantise_held_columns(on, batch, x, out);
        return out;
    }
    const Maxima amax{nullptr, take_maxima(on, batch, 0, x.cols).cols};
    find_maxima(on, batch, x, amax);
    quantise_tiles(on, batch, {x, {}, amax, {}, out, nullptr});
    return out;
}

BothWays quantise_both(Context& on, uint32_t batch, const Source& x, const Words& words,
                       BothLayouts layouts) {
    const BothWays out{take_operand(on, batch, x.rows, x.cols, layouts.rows),
                       take_operand(on, batch, x.cols, x.rows, layouts.cols)};
    quantise_both_into(on, batch, x, words, out);
    return out;
}

BothWays quantise_both(Context& on, uint32_t batch, const Source& x, const Words& words,
                       BothLayouts layouts, const Maxima& amax) {
    const BothWays out{take_operand(on, batch, x.rows, x.cols, layouts.rows),
                       take_operand(on, batch, x.cols, x.rows, layouts.cols)};
    quantise_tiles(on, batch, {x, words, amax, out.rows, out.cols, nullptr});
    return out;
}

void quantise_both_into(Context& on, uint32_t batch, const Source& x, const Words& words,
                        const BothWays& out) {
    const Maxima amax = take_maxima(on, batch, x.rows, x.cols);
    find_maxima(on, batch, x, amax);
    quantise_tiles(on, batch, {x, words, amax, out.rows, out.cols, nullptr});
}

}  // namespace trainyard::cuda
