// SPDX-License-Identifier: Apache-2.0
// The operators of Backend::apply on a device, plain: docs/spec/numerics.md, section 17.
#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/reduce.cuh"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::cuda {

namespace {

using training::Op;
using training::OpCall;
using training::Shape;

__device__ __forceinline__ float tanh_of(float x) {
    const float a = as_float(magnitude(x));
    if (a < 0.625F) {
        const float z = mul(x, x);
        float p = as_float(0xbbbaf0ea);
        p = fused(p, z, as_float(0x3ca9134e));
        p = fused(p, z, as_float(0xbd5c1e2d));
        p = fused(p, z, as_float(0x3e088393));
        p = fused(p, z, as_float(0xbeaaaa99));
        return fused(mul(p, z), x, x);
    }
    const float e = exp_of(add(a, a));
    const float b = sub(1.0F, divide(2.0F, add(e, 1.0F)));
    return as_float(bits_of(b) | (bits_of(x) & 0x80000000U));
}
__device__ __forceinline__ float logistic_of(float x) {
    return divide(1.0F, add(1.0F, exp_of(-x)));
}

/// y = f(a, b); operators of one input do not read b.
__global__ void pointwise_kernel(float* y, const float* a, const float* b, size_t count, Op op,
                                 float factor) {
    follow_kernel_before();
    const size_t i = thread_number();
    if (i >= count) return;
    const float x = a[i];
    switch (op) {
        case Op::mul:
            y[i] = mul(x, b[i]);
            return;
        case Op::silu:
            y[i] = mul(x, logistic_of(x));
            return;
        case Op::silu_grad: {
            const float u = b[i], s = logistic_of(u);
            y[i] = mul(x, mul(s, add(1.0F, mul(u, sub(1.0F, s)))));
            return;
        }
        case Op::relu:
            y[i] = x < 0.0F ? 0.0F : x;
            return;
        case Op::relu_grad:
            y[i] = b[i] > 0.0F ? x : 0.0F;
            return;
        case Op::tanh:
            y[i] = tanh_of(x);
            return;
        case Op::tanh_grad:
            y[i] = mul(x, sub(1.0F, mul(b[i], b[i])));
            return;
        case Op::mean_square_grad:
            y[i] = mul(sub(x, b[i]), factor);
            return;
        case Op::scale:
            y[i] = mul(x, factor);
            return;
        default:  // reshape
            y[i] = x;
    }
}

__global__ void softmax_kernel(float* y, const float* x, size_t rows, size_t cols, uint32_t* flag) {
    follow_kernel_before();
    const size_t row = warp_number();
    if (row >= rows) return;
    x += row * cols;
    y += row * cols;
    float m = x[0];
    bool bad = false;
    for (size_t j = lane_id(); j < cols; j += kWarp) {
        m = x[j] > m ? x[j] : m;
        bad = bad || is_nonfinite(x[j]);
    }
    if (bad) atomicOr(flag, 1U);
    m = warp_max(m);
    for (size_t j = lane_id(); j < cols; j += kWarp) y[j] = exp_of_falling(sub(x[j], m));
    const float* const e = y;
    const float sum = warp_reduce(cols, [e](float acc, size_t j) { return add(acc, e[j]); });
    const float is = divide(1.0F, sum);
    for (size_t j = lane_id(); j < cols; j += kWarp) y[j] = mul(y[j], is);
}

__global__ void softmax_grad_kernel(float* dx, const float* dy, const float* y, size_t rows,
                                    size_t cols) {
    follow_kernel_before();
    const size_t row = warp_number();
    if (row >= rows) return;
    dy += row * cols;
    y += row * cols;
    const float dot =
        warp_reduce(cols, [=](float acc, size_t j) { return fused(dy[j], y[j], acc); });
    for (size_t j = lane_id(); j < cols; j += kWarp)
        dx[row * cols + j] = mul(y[j], sub(dy[j], dot));
}

__global__ void mean_square_kernel(float* losses, const float* p, const float* t, size_t rows,
                                   size_t cols) {
    follow_kernel_before();
    const size_t row = warp_number();
    if (row >= rows) return;
    p += row * cols;
    t += row * cols;
    const float sum = warp_reduce(cols, [=](float acc, size_t j) {
        const float d = sub(p[j], t[j]);
        return fused(d, d, acc);
    });
    if (lane_id() == 0) losses[row] = divide(sum, __uint2float_rn(static_cast<uint32_t>(cols)));
}

/// Layer norm is one group over one row; see training/reference/norms.cpp.
struct NormLayout {
    size_t groups, positions, cols, rows;
    float eps;
};
struct NormGroup {
    size_t row, col, width, count, cols;
    __device__ size_t at(size_t i) const { return (row + i / width) * cols + column(i); }
    __device__ size_t column(size_t i) const { return col + i % width; }
};
__device__ __forceinline__ NormGroup group_of(const NormLayout& l, size_t number) {
    const size_t width = l.cols / l.groups;
    return {number / l.groups * l.positions, number % l.groups * width, width, l.positions * width,
            l.cols};
}
__device__ __forceinline__ float float_of(size_t n) {
    return __uint2float_rn(static_cast<uint32_t>(n));
}

struct NormForward {
    const float* x;
    const float* gain;
    const float* bias;
};

__global__ void norm_kernel(float* y, float* stats, NormForward in, NormLayout layout) {
    follow_kernel_before();
    const size_t number = warp_number();
    if (number >= layout.rows / layout.positions * layout.groups) return;
    const NormGroup g = group_of(layout, number);
    const float* const x = in.x;
    const float n = float_of(g.count);
    const float mean =
        divide(warp_reduce(g.count, [=](float acc, size_t i) { return add(acc, x[g.at(i)]); }), n);
    const float squares = warp_reduce(g.count, [=](float acc, size_t i) {
        const float d = sub(x[g.at(i)], mean);
        return fused(d, d, acc);
    });
    const float r = divide(1.0F, root(add(divide(squares, n), layout.eps)));
    if (lane_id() == 0) {
        stats[2 * number] = mean;
        stats[2 * number + 1] = r;
    }
    for (size_t i = lane_id(); i < g.count; i += kWarp)
        y[g.at(i)] =
            add(mul(mul(sub(x[g.at(i)], mean), r), in.gain[g.column(i)]), in.bias[g.column(i)]);
}

struct NormBackward {
    const float* dy;
    const float* x;
    const float* stats;
    const float* gain;
};

__global__ void norm_grad_kernel(float* dx, NormBackward in, NormLayout layout) {
    follow_kernel_before();
    const size_t number = warp_number();
    if (number >= layout.rows / layout.positions * layout.groups) return;
    const NormGroup g = group_of(layout, number);
    const float mean = in.stats[2 * number], r = in.stats[2 * number + 1];
    const float n = float_of(g.count);
    const auto slope = [=](size_t i) { return mul(in.dy[g.at(i)], in.gain[g.column(i)]); };
    const auto unit = [=](size_t i) { return mul(sub(in.x[g.at(i)], mean), r); };
    const float s1 =
        divide(warp_reduce(g.count, [=](float acc, size_t i) { return add(acc, slope(i)); }), n);
    const float s2 = divide(
        warp_reduce(g.count, [=](float acc, size_t i) { return fused(slope(i), unit(i), acc); }),
        n);
    for (size_t i = lane_id(); i < g.count; i += kWarp)
        dx[g.at(i)] = mul(r, sub(sub(slope(i), s1), mul(unit(i), s2)));
}

__global__ void norm_grad_columns_kernel(float* dg, float* db, NormBackward in, NormLayout layout) {
    follow_kernel_before();
    const size_t col = warp_number();
    if (col >= layout.cols) return;
    const size_t width = layout.cols / layout.groups;
    const float gain = warp_reduce(layout.rows, [=](float acc, size_t row) {
        const float* const stats =
            in.stats + 2 * (row / layout.positions * layout.groups + col / width);
        const size_t at = row * layout.cols + col;
        return add(acc, mul(in.dy[at], mul(sub(in.x[at], stats[0]), stats[1])));
    });
    const float bias = warp_reduce(layout.rows, [=](float acc, size_t row) {
        return add(acc, in.dy[row * layout.cols + col]);
    });
    if (lane_id() != 0) return;
    dg[col] = gain;
    db[col] = bias;
}

/// Where element `at` of the result comes from, for operators that only move elements.
struct Move {
    Op op;
    size_t in_cols, out_cols, first, count;
};

__global__ void move_kernel(float* y, const float* x, size_t count, Move m) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= count) return;
    const size_t row = at / m.out_cols, col = at % m.out_cols;
    switch (m.op) {
        case Op::transpose:  // first: rows of a block
            y[at] = x[(row / m.in_cols * m.first + col) * m.in_cols + row % m.in_cols];
            return;
        case Op::slice:
            y[at] = x[row * m.in_cols + m.first + col];
            return;
        case Op::slice_grad:
            y[at] = col < m.first || col >= m.first + m.count ? 0.0F
                                                              : x[row * m.in_cols + col - m.first];
            return;
        case Op::repeat:  // first: columns of a block, count: times
            y[at] = x[row * m.in_cols + col / (m.first * m.count) * m.first + col % m.first];
            return;
        case Op::repeat_grad: {
            const float* const from =
                x + row * m.in_cols + col / m.first * m.first * m.count + col % m.first;
            float sum = 0.0F;
            for (size_t k = 0; k < m.count; ++k) sum = add(sum, from[k * m.first]);
            y[at] = sum;
            return;
        }
        default:  // one part of concat: first is its column in y
            return;
    }
}

__global__ void place_kernel(float* y, const float* x, size_t count, size_t cols, size_t out_cols,
                             size_t first) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at < count) y[at / cols * out_cols + first + at % cols] = x[at];
}

struct Broadcast {
    size_t rows, cols, s;
    bool cyclic;
};

__global__ void broadcast_add_kernel(float* y, const float* x, const float* v, Broadcast b) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= b.rows * b.cols) return;
    const size_t row = at / b.cols;
    const size_t from = b.cyclic ? row % b.s : row / (b.rows / b.s);
    y[at] = add(x[at], v[from * b.cols + at % b.cols]);
}

__global__ void broadcast_sum_kernel(float* dv, const float* d, Broadcast b) {
    follow_kernel_before();
    const size_t task = warp_number();
    if (task >= b.s * b.cols) return;
    const size_t count = b.rows / b.s, v = task / b.cols;
    const float* const from = d + (b.cyclic ? v : v * count) * b.cols + task % b.cols;
    const size_t step = (b.cyclic ? b.s : 1) * b.cols;
    const float sum =
        warp_reduce(count, [=](float acc, size_t i) { return add(acc, from[i * step]); });
    if (lane_id() == 0) dv[task] = sum;
}

struct Rope {
    size_t rows, cols, head, rotated, positions;
    bool back;
};

__global__ void rope_kernel(float* y, const float* x, const float* table, Rope r) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= r.rows * r.cols) return;
    const size_t row = at / r.cols, col = at % r.cols, half = r.head / 2, j = col % r.head;
    if (col >= r.rotated) {
        y[at] = x[at];
        return;
    }
    const float* const cosine = table + row % r.positions * r.head;
    const float c = cosine[j % half], sine = cosine[half + j % half];
    const float s = r.back ? -sine : sine;
    y[at] = j < half ? sub(mul(x[at], c), mul(x[at + half], s))
                     : add(mul(x[at], c), mul(x[at - half], s));
}

__global__ void lookup_kernel(float* y, const uint32_t* tokens, const float* table, size_t count,
                              size_t cols) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at < count) y[at] = table[size_t{tokens[at / cols]} * cols + at % cols];
}

/// One thread per column adds in order of n.
__global__ void lookup_grad_kernel(float* table, const float* d, const uint32_t* tokens,
                                   size_t count, size_t cols) {
    follow_kernel_before();
    const size_t col = thread_number();
    if (col >= cols) return;
    for (size_t n = 0; n < count; ++n) {
        float& to = table[size_t{tokens[n]} * cols + col];
        to = add(to, d[n * cols + col]);
    }
}

struct Window {
    size_t h, w, kernel, stride, pad, c, out_h, out_w;
};

__global__ void im2col_kernel(float* y, const float* x, size_t count, Window s) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= count) return;
    const size_t patch = s.kernel * s.kernel * s.c;
    const size_t row = at / patch, k = at % patch / s.c, place = row % (s.out_h * s.out_w);
    const size_t image = row / (s.out_h * s.out_w);
    const size_t iy = place / s.out_w * s.stride + k / s.kernel - s.pad;
    const size_t ix = place % s.out_w * s.stride + k % s.kernel - s.pad;
    y[at] = iy < s.h && ix < s.w ? x[((image * s.h + iy) * s.w + ix) * s.c + at % s.c] : 0.0F;
}

__global__ void col2im_kernel(float* x, const float* patches, size_t count, Window s) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= count) return;
    const size_t row = at / s.c, iy = row / s.w % s.h, ix = row % s.w, image = row / (s.h * s.w);
    float sum = 0.0F;
    for (size_t k = 0; k < s.kernel * s.kernel; ++k) {
        const size_t ky = k / s.kernel, kx = k % s.kernel;
        const size_t y = iy + s.pad - ky, xx = ix + s.pad - kx;
        if (iy + s.pad < ky || ix + s.pad < kx || y % s.stride != 0 || xx % s.stride != 0 ||
            y / s.stride >= s.out_h || xx / s.stride >= s.out_w)
            continue;
        const size_t from = (image * s.out_h + y / s.stride) * s.out_w + xx / s.stride;
        sum = add(sum, patches[(from * s.kernel * s.kernel + k) * s.c + at % s.c]);
    }
    x[at] = sum;
}

struct Resample {
    size_t h, w, fy, fx, c;
    float scale;
};

__global__ void upsample_kernel(float* y, const float* x, size_t count, Resample s) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= count) return;
    const size_t row = at / s.c, line = row / (s.w * s.fx);
    const size_t ix = row % (s.w * s.fx) / s.fx, iy = line % (s.h * s.fy) / s.fy;
    const size_t image = line / (s.h * s.fy);
    y[at] = mul(x[((image * s.h + iy) * s.w + ix) * s.c + at % s.c], s.scale);
}

__global__ void downsample_kernel(float* y, const float* x, size_t count, Resample s) {
    follow_kernel_before();
    const size_t at = thread_number();
    if (at >= count) return;
    const size_t row = at / s.c, ix = row % s.w, line = row / s.w;
    float sum = 0.0F;
    for (size_t ky = 0; ky < s.fy; ++ky)
        for (size_t kx = 0; kx < s.fx; ++kx) {
            const size_t from = (line * s.fy + ky) * s.w * s.fx + ix * s.fx + kx;
            sum = add(sum, x[from * s.c + at % s.c]);
        }
    y[at] = mul(sum, s.scale);
}

__global__ void diffuse_kernel(float* y, const float* x0, const float* eps, const uint32_t* t,
                               const float* schedule, size_t count, size_t per_record) {
    follow_kernel_before();
    const size_t i = thread_number();
    if (i >= count) return;
    const float* const ab = schedule + size_t{t[i / per_record]} * 2;
    y[i] = add(mul(ab[0], x0[i]), mul(ab[1], eps[i]));
}

/// Which numbers of the counter RNG: of one noise id in one micro-batch.
struct Stream {
    uint32_t seed, step, id;
};

__global__ void noise_kernel(float* y, size_t count, Stream of) {
    follow_kernel_before();
    const size_t i = thread_number();
    if (i >= count) return;
    const PhiloxWords x =
        philox({static_cast<uint32_t>(i), of.id, of.step, 0}, of.seed, training::kPhiloxNoise);
    const uint32_t sum = (x.x0 & 0xffffU) + (x.x0 >> 16) + (x.x1 & 0xffffU) + (x.x1 >> 16) +
                         (x.x2 & 0xffffU) + (x.x2 >> 16) + (x.x3 & 0xffffU) + (x.x3 >> 16);
    const float centred = __int2float_rn(static_cast<int32_t>(sum) - 262140);
    y[i] = mul(centred, as_float(training::kUnitNoiseBits));
}

__global__ void timestep_kernel(uint32_t* t, size_t count, Stream of, uint32_t below) {
    follow_kernel_before();
    const size_t i = thread_number();
    if (i >= count) return;
    const PhiloxWords x =
        philox({static_cast<uint32_t>(i), of.id, of.step, 1}, of.seed, training::kPhiloxNoise);
    t[i] = __umulhi(x.x0, below);
}

void random(Context& on, const OpCall& c) {
    const size_t count = c.out_shape[0].count();
    const Stream of{c.seed, c.step, c.attributes[0]};
    if (c.op == Op::noise)
        on.launch(per_element(count), noise_kernel, c.out[0], count, of);
    else
        on.launch(per_element(count), timestep_kernel, reinterpret_cast<uint32_t*>(c.out[0]), count,
                  of, c.attributes[1]);
}

void norm(Context& on, const OpCall& c) {
    const bool layer = c.op == Op::layer_norm || c.op == Op::layer_norm_grad;
    const bool forward = c.op == Op::layer_norm || c.op == Op::group_norm;
    const Shape x = c.in_shape[0];
    NormLayout l{1, 1, x.cols, x.rows, training::as_float(c.attributes[0])};
    if (!layer)
        l = {c.attributes[0], c.attributes[1], x.cols, x.rows, training::as_float(c.attributes[2])};
    const size_t groups = x.rows / l.positions * l.groups;
    if (forward) {
        on.launch(per_warp(groups), norm_kernel, c.out[0], c.out[1],
                  NormForward{c.in[0], c.in[1], c.in[2]}, l);
        return;
    }
    const NormBackward in{c.in[0], c.in[1], c.in[2], c.in[3]};
    on.launch(per_warp(groups), norm_grad_kernel, c.out[0], in, l);
    on.launch(per_warp(x.cols), norm_grad_columns_kernel, c.out[1], c.out[2], in, l);
}

void images(Context& on, const OpCall& c) {
    const auto& a = c.attributes;
    const size_t count = c.out_shape[0].count();
    if (c.op == Op::im2col || c.op == Op::col2im) {
        const Shape x = c.op == Op::im2col ? c.in_shape[0] : c.out_shape[0];
        const Window s{a[0],
                       a[1],
                       a[2],
                       a[3],
                       a[4],
                       x.cols,
                       (size_t{a[0]} + 2 * a[4] - a[2]) / a[3] + 1,
                       (size_t{a[1]} + 2 * a[4] - a[2]) / a[3] + 1};
        on.launch(per_element(count), c.op == Op::im2col ? im2col_kernel : col2im_kernel, c.out[0],
                  c.in[0], count, s);
        return;
    }
    const Resample s{a[0], a[1], a[2], a[3], c.in_shape[0].cols, training::as_float(a[4])};
    on.launch(per_element(count), c.op == Op::upsample ? upsample_kernel : downsample_kernel,
              c.out[0], c.in[0], count, s);
}

void movement(Context& on, const OpCall& c) {
    const Shape x = c.in_shape[0], y = c.out_shape[0];
    if (c.op == Op::concat) {
        size_t first = 0;
        for (size_t k = 0; k < c.inputs; ++k) {
            const Shape part = c.in_shape[k];
            on.launch(per_element(part.count()), place_kernel, c.out[0], c.in[k], part.count(),
                      size_t{part.cols}, size_t{y.cols}, first);
            first += part.cols;
        }
        return;
    }
    const size_t first = c.op == Op::transpose ? y.cols : c.attributes[0];
    const Move m{c.op, x.cols, y.cols, first, c.attributes[1]};
    on.launch(per_element(y.count()), move_kernel, c.out[0], c.in[0], y.count(), m);
}

void broadcast(Context& on, const OpCall& c) {
    const Shape x = c.in_shape[0], v = c.op == Op::broadcast_add ? c.in_shape[1] : c.out_shape[0];
    const Broadcast b{x.rows, x.cols, v.rank == 1 ? 1U : v.rows, c.attributes[0] == 1};
    if (c.op == Op::broadcast_add)
        on.launch(per_element(x.count()), broadcast_add_kernel, c.out[0], c.in[0], c.in[1], b);
    else
        on.launch(per_warp(b.s * b.cols), broadcast_sum_kernel, c.out[0], c.in[0], b);
}

void tables(Context& on, const OpCall& c) {
    if (c.op == Op::lookup) {
        const size_t count = c.out_shape[0].count();
        on.launch(per_element(count), lookup_kernel, c.out[0], c.words(0), c.in[1], count,
                  size_t{c.out_shape[0].cols});
        return;
    }
    const Shape d = c.in_shape[0];
    on.set_bytes(c.out[0], 0, c.out_shape[0].count() * sizeof(float));
    on.launch(per_element(d.cols), lookup_grad_kernel, c.out[0], c.in[0], c.words(1),
              c.in_shape[1].count(), size_t{d.cols});
}

void by_rows(Context& on, const OpCall& c) {
    const Shape x = c.in_shape[0];
    const size_t rows = x.rows, cols = x.cols;
    if (c.op == Op::softmax)
        on.launch(per_warp(rows), softmax_kernel, c.out[0], c.in[0], rows, cols,
                  on.nonfinite_flag());
    else if (c.op == Op::softmax_grad)
        on.launch(per_warp(rows), softmax_grad_kernel, c.out[0], c.in[0], c.in[1], rows, cols);
    else
        on.launch(per_warp(rows), mean_square_kernel, c.out[0], c.in[0], c.in[1], rows, cols);
}

void pointwise(Context& on, const OpCall& c) {
    const float factor = c.op == Op::scale
                             ? training::as_float(c.attributes[0])
                             : (2.0F / static_cast<float>(c.in_shape[0].cols)) * c.inv_n;
    const size_t count = c.out_shape[0].count();
    on.launch(per_element(count), pointwise_kernel, c.out[0], c.in[0], c.in[1], count, c.op,
              factor);
}

}  // namespace

void apply(Context& on, const OpCall& c) {
    on.begin();
    switch (c.op) {
        case Op::softmax:
        case Op::softmax_grad:
        case Op::mean_square:
            return by_rows(on, c);
        case Op::layer_norm:
        case Op::layer_norm_grad:
        case Op::group_norm:
        case Op::group_norm_grad:
            return norm(on, c);
        case Op::im2col:
        case Op::col2im:
        case Op::upsample:
        case Op::downsample:
            return images(on, c);
        case Op::transpose:
        case Op::concat:
        case Op::slice:
        case Op::slice_grad:
        case Op::repeat:
        case Op::repeat_grad:
            return movement(on, c);
        case Op::broadcast_add:
        case Op::broadcast_sum:
            return broadcast(on, c);
        case Op::lookup:
        case Op::lookup_grad:
            return tables(on, c);
        case Op::rope:
        case Op::rope_grad: {
            const Shape x = c.in_shape[0];
            const Rope r{x.rows,          x.cols,          c.attributes[0],
                         c.attributes[1], c.attributes[2], c.op == Op::rope_grad};
            on.launch(per_element(x.count()), rope_kernel, c.out[0], c.in[0], c.in[1], r);
            return;
        }
        case Op::diffuse: {
            const size_t count = c.out_shape[0].count();
            on.launch(per_element(count), diffuse_kernel, c.out[0], c.in[0], c.in[1], c.words(2),
                      c.in[3], count, count / c.in_shape[2].count());
            return;
        }
        case Op::noise:
        case Op::timestep:
            return random(on, c);
        case Op::matmul:
            return matmul(on, c);
        case Op::matmul_grad:
            return matmul_grad(on, c);
        case Op::linear_grad_x:
            return linear_grad_x(on, c);
        default:
            return pointwise(on, c);
    }
}

}  // namespace trainyard::cuda
