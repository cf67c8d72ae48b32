// SPDX-License-Identifier: Apache-2.0
// Sums, the clip factor and the optimisers, over all tensors of a program at once:
// docs/spec/numerics.md, sections 7 and 11.
#include <utility>
#include <vector>

#include "cuda/fours.cuh"
#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/reduce.cuh"
#include "cuda/tensor_table.cuh"
#include "training/state_sums.hpp"

namespace trainyard::cuda {

namespace {

using training::AdamwScalars;
using training::AdamwTensors;
using training::SgdScalars;
using training::StateSums;
using training::TensorUpdate;
using training::TensorView;

/// The chunk sums of one tensor, or of the chunk sums of one.
struct ChunkSums {
    uint32_t first;  ///< chunk among all of the table
    uint32_t squares;
    const float* x;
    size_t count;
    float* out;
};

/// One warp per chunk of 4,096 elements.
__global__ void chunk_sums_kernel(TensorTable<ChunkSums> table, uint32_t chunks) {
    follow_kernel_before();
    const auto number = static_cast<uint32_t>(warp_number());
    if (number >= chunks) return;
    const ChunkSums& own = table.work[table.tensor_of(number)];
    const float* const x = own.x;
    const uint32_t chunk = number - own.first;
    const bool squares = own.squares != 0;
    const size_t begin = chunk * kChunk, left = own.count - begin;
    const float sum =
        warp_chunk(begin, left < kChunk ? left : kChunk, [x, squares](float acc, size_t i) {
            return squares ? fused(x[i], x[i], acc) : add(acc, x[i]);
        });
    if (lane_id() == 0) own.out[chunk] = sum;
}

/// n = 0 has one chunk, whose sum is +0.
uint32_t chunks_of(const ChunkSums& sums) {
    return sums.count > kChunk ? blocks_for(sums.count, kChunk) : 1;
}

/// Levels of chunk sums until one is left of each.
void reduce(Context& on, std::vector<ChunkSums> level) {
    on.begin();
    while (!level.empty()) {
        std::vector<ChunkSums> next;
        for (ChunkSums& sums : level) {
            const uint32_t chunks = chunks_of(sums);
            if (chunks == 1) continue;
            auto* const parts = on.take<float>(chunks);
            next.push_back({0, 0, parts, chunks, std::exchange(sums.out, parts)});
        }
        for_each_table<ChunkSums>(level, chunks_of, [&](const auto& table, uint32_t chunks) {
            on.launch(per_warp(chunks), chunk_sums_kernel, table, chunks);
        });
        level = std::move(next);
    }
}

__global__ void check_finite_kernel(const float* x, size_t count, uint32_t* flag) {
    follow_kernel_before();
    const FourOf at(count);
    if (at.left == 0) return;
    const Four values = at.load(x);
    bool bad = false;
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) bad = bad || is_nonfinite(values.x[k]);
    if (bad) atomicOr(flag, 1U);
}

/// One thread: there is one number for each tensor.
__global__ void clip_norm_kernel(float* out, const float* squares, size_t count, float limit,
                                 const uint32_t* flag) {
    follow_kernel_before();
    float total = 0.0F;
    for (size_t k = 0; k < count; ++k) total = add(total, squares[k]);
    const float norm = root(total);
    out[0] = norm;
    if (*flag != 0 || is_nonfinite(norm))
        out[1] = as_float(training::kNanBits);
    else
        out[1] = norm > limit ? divide(limit, norm) : 1.0F;
}

/// One tensor's update.
struct Update {
    uint32_t first;  ///< block among all of the table
    float wd;
    size_t count;
    AdamwTensors x;
};

constexpr uint32_t kPerBlock = kThreads * 4;

/// What a thread has of a tensor's state.
struct Elements {
    Four w, m, v;
};

__device__ __forceinline__ void change(Elements& e, const Four& gradient, float clip, float wd,
                                       const AdamwScalars& s) {
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const float g = mul(gradient.x[k], clip);
        e.m.x[k] = one_nan(fused(s.b1, e.m.x[k], mul(s.o1, g)));
        e.v.x[k] = one_nan(fused(s.b2, e.v.x[k], mul(mul(s.o2, g), g)));
        const float d = add(root(mul(e.v.x[k], s.ic2)), s.eps);
        const float u = fused(wd, e.w.x[k], divide(mul(e.m.x[k], s.ic1), d));
        e.w.x[k] = one_nan(fused(-s.lr, u, e.w.x[k]));
    }
}

__device__ __forceinline__ void change(Elements& e, const Four& gradient, float clip, float wd,
                                       const SgdScalars& s) {
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const float g = fused(wd, e.w.x[k], mul(gradient.x[k], clip));
        e.m.x[k] = one_nan(fused(s.momentum, e.m.x[k], g));
        e.w.x[k] = one_nan(fused(-s.lr, e.m.x[k], e.w.x[k]));
    }
}

__global__ void adamw_kernel(TensorTable<Update> table, AdamwScalars s) {
    follow_kernel_before();
    const Update& own = table.work[table.tensor_of(blockIdx.x)];
    const AdamwTensors x = own.x;
    const FourOf at(own.count, blockIdx.x - own.first);
    const float clip = x.clip != nullptr ? *x.clip : s.clip;
    if (at.left == 0 || is_nonfinite(clip)) return;
    const Four gradient = at.load(x.g);
    Elements e{at.load(x.w), at.load(x.m), at.load(x.v)};
    change(e, gradient, clip, own.wd, s);
    at.store(x.m, e.m);
    at.store(x.v, e.v);
    at.store(x.w, e.w);
}

__global__ void sgd_kernel(TensorTable<Update> table, SgdScalars s) {
    follow_kernel_before();
    const Update& own = table.work[table.tensor_of(blockIdx.x)];
    const AdamwTensors x = own.x;
    const FourOf at(own.count, blockIdx.x - own.first);
    const float clip = x.clip != nullptr ? *x.clip : s.clip;
    if (at.left == 0 || is_nonfinite(clip)) return;
    const Four gradient = at.load(x.g);
    Elements e{at.load(x.w), at.load(x.m), {}};
    change(e, gradient, clip, own.wd, s);
    at.store(x.m, e.m);
    at.store(x.w, e.w);
}

/// Adds what the lanes of a warp have of `x`, of which `left` are elements, to one of the words.
__device__ __forceinline__ void add_bits(uint32_t* words, const Four& x, uint32_t left,
                                         bool takes) {
    uint32_t sum = 0;
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) sum += k < left ? bits_of(x.x[k]) : 0;
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) sum += __shfl_xor_sync(kAllLanes, sum, s);
    if (lane_id() == 0)
        atomicAdd(words + warp_number() % StateSums::kWords, takes ? 0U - sum : sum);
}

/// Kinds of the state that an update reads.
constexpr uint32_t kinds_of(const AdamwScalars&) {
    return 3;
}
constexpr uint32_t kinds_of(const SgdScalars&) {
    return 2;
}

/// The update with the sums of the bits that it reads and leaves, also where it changes nothing.
template <class Scalars, uint32_t kKinds>
__global__ void checked_kernel(TensorTable<Update> table, Scalars s, StateSums* sums) {
    follow_kernel_before();
    const Update& own = table.work[table.tensor_of(blockIdx.x)];
    const AdamwTensors x = own.x;
    const FourOf at(own.count, blockIdx.x - own.first);
    const float clip = x.clip != nullptr ? *x.clip : s.clip;
    const bool changes = !is_nonfinite(clip);
    Four gradient = {};
    if (changes) gradient = at.load(x.g);
    Elements e{at.load(x.w), at.load(x.m), {}};
    if (kKinds == 3) e.v = at.load(x.v);
    const auto add_all = [&](StateSums::Words& words, bool takes) {
        add_bits(words[0], e.w, at.left, takes);
        add_bits(words[1], e.m, at.left, takes);
        if (kKinds == 3) add_bits(words[2], e.v, at.left, takes);
    };
    add_all(sums->due, true);
    if (changes) {
        change(e, gradient, clip, own.wd, s);
        at.store(x.m, e.m);
        if (kKinds == 3) at.store(x.v, e.v);
        at.store(x.w, e.w);
    }
    add_all(sums->left, false);
}

/// A warp for each kind: what was read is what was due, or the state has changed by itself.
__global__ void settle_state_kernel(StateSums* sums, Flags* flags) {
    follow_kernel_before();
    uint32_t* const due = sums->due[blockIdx.x];
    uint32_t* const left = sums->left[blockIdx.x];
    uint32_t rest = 0;
    for (uint32_t i = lane_id(); i < StateSums::kWords; i += kWarp) {
        rest += due[i];
        due[i] = left[i];
        left[i] = 0;
    }
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) rest += __shfl_xor_sync(kAllLanes, rest, s);
    if (lane_id() == 0 && rest != 0) atomicOr(&flags->state_changed, 1U);
}

template <class Scalars>
void update(Context& on, std::span<const TensorUpdate> all, const Scalars& s, StateSums* sums,
            void (*kernel)(TensorTable<Update>, Scalars)) {
    constexpr uint32_t kKinds = kinds_of(Scalars{});
    on.begin();
    std::vector<Update> list;
    for (const TensorUpdate& u : all) list.push_back({0, u.wd, u.count, u.tensors});
    const auto blocks_of = [](const Update& u) { return blocks_for(u.count, kPerBlock); };
    for_each_table<Update>(list, blocks_of, [&](const auto& table, uint32_t blocks) {
        if (sums == nullptr)
            on.launch({dim3(blocks), kThreads}, kernel, table, s);
        else
            on.launch({dim3(blocks), kThreads}, checked_kernel<Scalars, kKinds>, table, s, sums);
    });
    if (sums != nullptr) on.launch({dim3(kKinds), kWarp}, settle_state_kernel, sums, on.flags());
}

}  // namespace

void sum(Context& on, float* out, const float* x, size_t count) {
    reduce(on, {{0, 0, x, count, out}});
}

void sum_squares(Context& on, float* out, const float* x, size_t count) {
    reduce(on, {{0, 1, x, count, out}});
}

void sums_of_squares(Context& on, float* out, std::span<const TensorView> tensors) {
    std::vector<ChunkSums> list;
    for (const TensorView& t : tensors) list.push_back({0, 1, t.data, t.shape.count(), out++});
    reduce(on, std::move(list));
}

void check_finite(Context& on, const float* x, size_t count) {
    on.begin();
    on.launch(per_four(count), check_finite_kernel, x, count, on.nonfinite_flag());
}

void clip_norm(Context& on, float* out, const float* squares, size_t count, float limit) {
    on.begin();
    on.launch({dim3(1), 1}, clip_norm_kernel, out, squares, count, limit, on.nonfinite_flag());
}

void adamw_all(Context& on, std::span<const TensorUpdate> all, const AdamwScalars& s,
               StateSums* sums) {
    update(on, all, s, sums, adamw_kernel);
}

void sgd_all(Context& on, std::span<const TensorUpdate> all, const SgdScalars& s, StateSums* sums) {
    update(on, all, s, sums, sgd_kernel);
}

}  // namespace trainyard::cuda
