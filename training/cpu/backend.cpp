// SPDX-License-Identifier: Apache-2.0
// Splits each operator into tiles, hands them to the pool, and joins nothing but exact results.
#include "training/cpu/backend.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "training/cpu/attention.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/reduce.hpp"
#include "training/reference/backend.hpp"
#include "training/reference/ops.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::cpu {

namespace {
constexpr size_t kRowsPerTask = 64;
constexpr size_t kGainsPerTask = 64;
constexpr size_t kElementsPerTask = 16384;

/// So many of at most `most` rows or columns that the busiest thread has the least to do: where six
/// tasks of 96 rows make 512, one thread would have a sixth more than the other. Multiples of 16.
size_t per_task(size_t count, size_t most, size_t threads) {
    const size_t fair = (count + threads * 16 - 1) / (threads * 16) * 16;
    most = std::clamp<size_t>(fair, 16, most);
    size_t best = most, least = ~size_t{0};
    for (size_t size = most; threads > 1 && size >= 16 && 3 * size >= most; size -= 16) {
        const size_t tasks = (count + size - 1) / size;
        const size_t busiest = (tasks + threads - 1) / threads * size;
        if (busiest < least) least = busiest, best = size;
    }
    return best;
}
}  // namespace

CpuBackend::CpuBackend(const Kernels& kernels, unsigned threads)
    : k_(kernels), pool_(threads), a_(kernels), b_(kernels), a2_(kernels), b2_(kernels) {
    const auto watch = [this](const ProductArgs& args, unsigned attempt) {
        before_product(args, attempt);
    };
    for (unsigned i = 0; i < pool_.threads(); ++i) workers_.emplace_back(kernels, watch);
}

void* CpuBackend::allocate(size_t bytes) {
    return reference::allocate_host(bytes);
}
void CpuBackend::release(void* memory) {
    reference::release_host(memory);
}
void CpuBackend::upload(void* to, const void* from_host, size_t bytes) {
    if (bytes != 0) std::memcpy(to, from_host, bytes);
}
void CpuBackend::download(void* to_host, const void* from, size_t bytes) {
    if (bytes != 0) std::memcpy(to_host, from, bytes);
}
void CpuBackend::fill_zero(float* x, size_t count) {
    if (count != 0) std::memset(x, 0, count * sizeof(float));
}

Result<BackendStatus, BackendError> CpuBackend::finish() {
    const BackendStatus status{std::exchange(nonfinite_, false)};
    if (std::exchange(failed_, false)) return unexpected(BackendError::device_failed);
    return status;
}

void CpuBackend::ranges(size_t count, size_t step,
                        const std::function<void(size_t, size_t)>& body) {
    run_ranges(&pool_, count, step, body);
}

void CpuBackend::embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                           EmbeddingShape s) {
    const size_t d = s.d;
    ranges(size_t{s.b} * s.t, kRowsPerTask, [&](size_t first, size_t last) {
        for (size_t n = first; n < last; ++n)
            k_.add(x + n * d, e + size_t{tokens[n]} * d, pos + n % s.t * d, d);
    });
}

void CpuBackend::embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                                EmbeddingShape s) {
    const FloatModeGuard mode;
    const size_t cols = s.d;
    fill_zero(de, size_t{s.v} * cols);
    fill_zero(dpos, size_t{s.t} * cols);
    for (size_t n = 0; n < size_t{s.b} * s.t; ++n) {
        float* to = de + size_t{tokens[n]} * cols;
        float* to_pos = dpos + n % s.t * cols;
        k_.add(to, to, d + n * cols, cols);
        k_.add(to_pos, to_pos, d + n * cols, cols);
    }
}

void CpuBackend::rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) {
    const size_t cols = s.cols;
    ranges(s.rows, kRowsPerTask, [&](size_t first, size_t last) {
        for (size_t t = first; t < last; ++t) {
            const float* row = x + t * cols;
            const float squares =
                cols <= kChunk ? k_.sum_squares(row, cols) : reference::sum_squares(row, cols);
            r[t] = 1.0F / std::sqrt(squares / static_cast<float>(cols) + as_float(0x3727c5ac));
            k_.norm_row(y + t * cols, row, g, r[t], cols);
        }
    });
}

void CpuBackend::rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    if (s.cols > kChunk) {
        const FloatModeGuard mode;
        return reference::rms_norm_grad(dx, dg, in, s);
    }
    norm_grad_gain(dg, in, s);
    const size_t cols = s.cols;
    ranges(s.rows, kRowsPerTask, [&](size_t first, size_t last) {
        for (size_t t = first; t < last; ++t) {
            const size_t at = t * cols;
            const NormGradRow row{dx + at,    in.dx_in != nullptr ? in.dx_in + at : nullptr,
                                  in.dy + at, in.x + at,
                                  in.g,       in.r[t],
                                  cols};
            const float dot = k_.norm_grad_dot(row, cols);
            k_.norm_grad_row(row, dot / static_cast<float>(cols));
        }
    });
}

/// Each column is reduced over chunks of rows.
void CpuBackend::norm_grad_gain(float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    const size_t cols = s.cols, chunks = (s.rows + kChunk - 1) / kChunk;
    std::vector<float> results(chunks > 1 ? chunks * cols : 0);
    float* const out = chunks > 1 ? results.data() : dg;
    ranges(cols, kGainsPerTask, [&](size_t first, size_t last) {
        for (size_t i = 0, row = 0; i < chunks; ++i, row += kChunk)
            k_.norm_grad_gain(out + i * cols, in.dy + row * cols, in.x + row * cols, in.r + row,
                              std::min(kChunk, s.rows - row), cols, first, last);
    });
    if (chunks == 1) return;
    const FloatModeGuard mode;
    for (size_t c = 0; c < cols; ++c) {
        std::vector<float> column;
        for (size_t i = 0; i < chunks; ++i) column.push_back(results[i * cols + c]);
        dg[c] = reduce_chunk_results(std::move(column));
    }
}

void CpuBackend::fill_rows(Operand& operand, const Source& s, Side side) {
    operand.begin_rows(s, side);
    ranges(operand.groups(), kRowsPerTask,
           [&](size_t first, size_t last) { operand.fill_rows(first, last); });
    nonfinite_ = nonfinite_ || operand.nonfinite();
}
void CpuBackend::fill_cols(Operand& operand, const Source& s, Side side) {
    operand.begin_cols(s, side);
    ranges(operand.groups(), per_task(operand.groups(), kColsPerTask, pool_.threads()),
           [&](size_t first, size_t last) { operand.fill_cols(first, last); });
    nonfinite_ = nonfinite_ || operand.nonfinite();
}

void CpuBackend::before_product(const ProductArgs&, unsigned) {}

/// Honest machines produce wrong bits now and then. The sum of each column of integers is known
/// from the sums of the rows of A: sum over m of (A B)[m][n] = sum over k of (sum of A[.][k])
/// B[k][n].
void CpuBackend::multiply(float* c, Operand& a, Operand& b, ProductSize size,
                          const std::function<void()>& fill) {
    // So many rows of A that they stay in the second-level cache while B passes by once per task.
    constexpr size_t kBytesOfA = 192 << 10;
    for (unsigned attempt = 0; attempt < kProductAttempts; ++attempt) {
        fill();
        ProductArgs args;
        a.set_left(args);
        b.set_right(args);
        args.c = c;
        args.c_stride = args.n = size.n;
        args.m = size.m;
        foresee_sums(args);
        before_product(args, attempt);
        const size_t fitting = kBytesOfA / std::max<size_t>(1, a.row_bytes()) / 16 * 16;
        run_product(args, per_task(size.m, std::clamp<size_t>(fitting, 16, 1024), pool_.threads()));
        if (sums_ == due_sums_) return;
        ++wrong_;
    }
    failed_ = true;
}

/// Fills due_sums_ with what the sums of the columns must be.
void CpuBackend::foresee_sums(const ProductArgs& args) {
    constexpr size_t kGroupsPerTask = 64, kPanelsPerTask = 16;
    row_sums_.assign(args.groups * k_.group, 0);
    ranges(args.groups, kGroupsPerTask,
           [&](size_t first, size_t last) { k_.row_sums(row_sums_.data(), args, first, last); });
    const size_t panels = (args.n + k_.panel - 1) / k_.panel;
    due_sums_.resize(panels * k_.panel);
    ranges(panels, kPanelsPerTask, [&](size_t first, size_t last) {
        k_.due_sums(due_sums_.data(), row_sums_.data(), args, first, last);
    });
}

/// Fills sums_ with the sums of the columns.
void CpuBackend::run_product(ProductArgs args, size_t rows_per_task) {
    const size_t width = due_sums_.size();
    const size_t tasks = (args.m + rows_per_task - 1) / rows_per_task;
    sums_.assign(std::max<size_t>(1, tasks) * width, 0);
    ranges(args.m, rows_per_task, [&](size_t first, size_t last) {
        ProductArgs part = args;
        part.column_sums = sums_.data() + first / rows_per_task * width;
        k_.product(part, first, last, 0, args.n);
    });
    for (size_t task = 1; task < tasks; ++task)
        for (size_t i = 0; i < width; ++i) sums_[i] += sums_[task * width + i];
    sums_.resize(width);
}

void CpuBackend::make_words(uint16_t* out, size_t count, const PhiloxArgs& args) {
    constexpr size_t kBlocksPerTask = 2048;
    ranges((count + 7) / 8, kBlocksPerTask, [&](size_t first, size_t last) {
        k_.words(out + first * 8, first, last - first, args);
    });
}

void CpuBackend::linear(float* y, const float* x, const float* w, LinearShape s) {
    multiply(y, a_, b_, {s.n, s.o}, [&] {
        fill_rows(a_, {x, s.n, s.i, s.i, nullptr, 0}, Side::left);
        fill_cols(b_, {w, s.i, s.o, s.o, nullptr, 0}, Side::right);
    });
}

void CpuBackend::linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                             Noise noise) {
    const size_t count = size_t{s.n} * s.o;
    uint16_t* words = words_.words((count + 7) / 8 * 8);
    make_words(words, count, {noise.seed, noise.step, noise.tensor});
    const Source dy{in.dy, s.n, s.o, s.o, words, s.o};
    multiply(dx, a_, b_, {s.n, s.i}, [&] {
        fill_rows(a_, dy, Side::left);
        fill_rows(b_, {in.w, s.i, s.o, s.o, nullptr, 0}, Side::right);
    });
    multiply(dw, a2_, b2_, {s.i, s.o}, [&] {
        fill_cols(a2_, {in.x, s.n, s.i, s.i, nullptr, 0}, Side::left);
        fill_cols(b2_, dy, Side::right);
    });
}

void CpuBackend::collect_flags() {
    for (HeadWorker& worker : workers_) {
        nonfinite_ = worker.take_nonfinite() || nonfinite_;
        wrong_ += worker.take_wrong();
        failed_ = worker.take_failed() || failed_;
    }
}

void CpuBackend::attention(float* out, float* stats, const float* qkv, AttentionShape s) {
    pool_.run(size_t{s.b} * s.h, [&](size_t i, size_t worker) {
        workers_[worker].forward(out, stats, qkv, s, i / s.h, i % s.h);
    });
    collect_flags();
}

void CpuBackend::attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                                AttentionNoise noise) {
    const size_t count = size_t{s.b} * s.t * s.h * s.hd;
    uint16_t* words = words_.words((count + 7) / 8 * 8);
    make_words(words, count, {noise.seed, noise.step, noise.tensor_do});
    pool_.run(size_t{s.b} * s.h, [&](size_t i, size_t worker) {
        workers_[worker].backward(dqkv, in, words, s, noise, i / s.h, i % s.h);
    });
    collect_flags();
}

void CpuBackend::add(float* y, const float* a, const float* b, size_t count) {
    ranges(count, kElementsPerTask, [&](size_t first, size_t last) {
        k_.add(y + first, a + first, b + first, last - first);
    });
}
void CpuBackend::gelu(float* y, const float* u, size_t count) {
    ranges(count, kElementsPerTask,
           [&](size_t first, size_t last) { k_.gelu(y + first, u + first, last - first); });
}
void CpuBackend::gelu_grad(float* du, const float* da, const float* u, size_t count) {
    ranges(count, kElementsPerTask, [&](size_t first, size_t last) {
        k_.gelu_grad(du + first, da + first, u + first, last - first);
    });
}

void CpuBackend::cross_entropy(float* losses, const float* z, const uint32_t* targets,
                               MatrixShape s) {
    ranges(s.rows, kRowsPerTask, [&](size_t first, size_t last) {
        std::vector<float> e(s.cols);
        for (size_t n = first; n < last; ++n) {
            const float* row = z + n * s.cols;
            const LossStats stats = k_.exp_row(e.data(), row, s.cols);
            const float sum = s.cols <= kChunk ? stats.sum : long_sum(k_, e.data(), s.cols);
            losses[n] = (log(sum) + stats.max) - row[targets[n]];
        }
    });
}

void CpuBackend::cross_entropy_grad(float* dz, const float* z, const uint32_t* targets,
                                    MatrixShape s, float inv_n) {
    ranges(s.rows, kRowsPerTask, [&](size_t first, size_t last) {
        for (size_t n = first; n < last; ++n) {
            float* e = dz + n * s.cols;
            const LossStats stats = k_.exp_row(e, z + n * s.cols, s.cols);
            const float sum = s.cols <= kChunk ? stats.sum : long_sum(k_, e, s.cols);
            k_.scale(e, e, s.cols, 1.0F / sum);
            const float at_target = (e[targets[n]] - 1.0F) * inv_n;
            k_.scale(e, e, s.cols, inv_n);
            e[targets[n]] = at_target;
        }
    });
}

void CpuBackend::add_up(float* out, const float* x, size_t count,
                        float (*chunk)(const float* x, size_t n)) {
    const FloatModeGuard mode;
    if (count <= kChunk) {
        *out = chunk(x, count);
        return;
    }
    std::vector<float> results((count + kChunk - 1) / kChunk);
    ranges(count, kChunk, [&](size_t first, size_t last) {
        results[first / kChunk] = chunk(x + first, last - first);
    });
    *out = reduce_chunk_results(std::move(results));
}

void CpuBackend::sum(float* out, const float* x, size_t count) {
    add_up(out, x, count, k_.sum);
}
void CpuBackend::sum_squares(float* out, const float* x, size_t count) {
    add_up(out, x, count, k_.sum_squares);
}
void CpuBackend::check_finite(const float* x, size_t count) {
    std::atomic<bool> found = false;
    ranges(count, 4 * kElementsPerTask, [&](size_t first, size_t last) {
        if (k_.has_nonfinite(x + first, last - first)) found = true;
    });
    nonfinite_ = nonfinite_ || found;
}

void CpuBackend::clip_norm(float* out, const float* squares, size_t count, float limit) {
    const FloatModeGuard mode;
    reference::clip_norm(out, squares, count, limit, nonfinite_);
}

void CpuBackend::adamw(const AdamwTensors& t, size_t count, const AdamwScalars& scalars, float wd) {
    AdamwScalars s = scalars;
    if (!reference::take_clip(s, t.clip)) return;
    const AdamwArgs args{s.lr, s.clip, s.b1, s.b2, s.o1, s.o2, s.ic1, s.ic2, s.eps, wd};
    ranges(count, kElementsPerTask, [&](size_t first, size_t last) {
        k_.adamw(t.w + first, t.m + first, t.v + first, t.g + first, last - first, args);
    });
}

void CpuBackend::tile_roots(void* out, std::span<const TensorView> tensors) {
    training::tile_roots(static_cast<Hash*>(out), tensors, &pool_);
}

}  // namespace trainyard::training::cpu

namespace trainyard::training {

std::unique_ptr<Backend> make_cpu_backend(CpuOptions options) {
    return std::make_unique<cpu::CpuBackend>(kernels_for(options.path), options.threads);
}

}  // namespace trainyard::training
