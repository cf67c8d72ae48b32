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

namespace trainyard::cuda {

namespace {

using training::AdamwScalars;
using training::AdamwTensors;
using training::SgdScalars;
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

__global__ void adamw_kernel(TensorTable<Update> table, AdamwScalars s) {
    follow_kernel_before();
    const Update& own = table.work[table.tensor_of(blockIdx.x)];
    const AdamwTensors x = own.x;
    const FourOf at(own.count, blockIdx.x - own.first);
    const float clip = x.clip != nullptr ? *x.clip : s.clip;
    if (at.left == 0 || is_nonfinite(clip)) return;
    const Four gradient = at.load(x.g);
    Four w = at.load(x.w), m = at.load(x.m), v = at.load(x.v);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const float g = mul(gradient.x[k], clip);
        m.x[k] = one_nan(fused(s.b1, m.x[k], mul(s.o1, g)));
        v.x[k] = one_nan(fused(s.b2, v.x[k], mul(mul(s.o2, g), g)));
        const float d = add(root(mul(v.x[k], s.ic2)), s.eps);
        const float u = fused(own.wd, w.x[k], divide(mul(m.x[k], s.ic1), d));
        w.x[k] = one_nan(fused(-s.lr, u, w.x[k]));
    }
    at.store(x.m, m);
    at.store(x.v, v);
    at.store(x.w, w);
}

__global__ void sgd_kernel(TensorTable<Update> table, SgdScalars s) {
    follow_kernel_before();
    const Update& own = table.work[table.tensor_of(blockIdx.x)];
    const AdamwTensors x = own.x;
    const FourOf at(own.count, blockIdx.x - own.first);
    const float clip = x.clip != nullptr ? *x.clip : s.clip;
    if (at.left == 0 || is_nonfinite(clip)) return;
    const Four gradient = at.load(x.g);
    Four w = at.load(x.w), m = at.load(x.m);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const float g = fused(own.wd, w.x[k], mul(gradient.x[k], clip));
        m.x[k] = one_nan(fused(s.momentum, m.x[k], g));
        w.x[k] = one_nan(fused(-s.lr, m.x[k], w.x[k]));
    }
    at.store(x.m, m);
    at.store(x.w, w);
}

template <class Scalars>
void update(Context& on, std::span<const TensorUpdate> all, const Scalars& s,
            void (*kernel)(TensorTable<Update>, Scalars)) {
    on.begin();
    std::vector<Update> list;
    for (const TensorUpdate& u : all) list.push_back({0, u.wd, u.count, u.tensors});
    const auto blocks_of = [](const Update& u) { return blocks_for(u.count, kPerBlock); };
    for_each_table<Update>(list, blocks_of, [&](const auto& table, uint32_t blocks) {
        on.launch({dim3(blocks), kThreads}, kernel, table, s);
    });
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

void adamw_all(Context& on, std::span<const TensorUpdate> all, const AdamwScalars& s) {
    update(on, all, s, adamw_kernel);
}

void sgd_all(Context& on, std::span<const TensorUpdate> all, const SgdScalars& s) {
    update(on, all, s, sgd_kernel);
}

}  // namespace trainyard::cuda
