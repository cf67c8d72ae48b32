// SPDX-License-Identifier: Apache-2.0
// Norms, loss, embedding and AdamW in plain loops: docs/spec/numerics.md, sections 7 to 13.
#include "training/reference/ops.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "training/numerics/functions.hpp"
#include "training/numerics/reduce.hpp"

namespace trainyard::training::reference {

float sum(const float* x, size_t count) {
    return reduce(count, [x](float acc, size_t i) { return acc + x[i]; });
}
float sum_squares(const float* x, size_t count) {
    return reduce(count, [x](float acc, size_t i) { return fma(x[i], x[i], acc); });
}
float dot(const float* x, const float* y, size_t count) {
    return reduce(count, [x, y](float acc, size_t i) { return fma(x[i], y[i], acc); });
}

void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
               EmbeddingShape s) {
    for (size_t n = 0; n < size_t{s.b} * s.t; ++n)
        for (size_t i = 0; i < s.d; ++i)
            x[n * s.d + i] = e[size_t{tokens[n]} * s.d + i] + pos[(n % s.t) * s.d + i];
}

void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                    EmbeddingShape s) {
    std::fill(de, de + size_t{s.v} * s.d, 0.0F);
    std::fill(dpos, dpos + size_t{s.t} * s.d, 0.0F);
    for (size_t n = 0; n < size_t{s.b} * s.t; ++n)
        for (size_t i = 0; i < s.d; ++i) {
            float& to_e = de[size_t{tokens[n]} * s.d + i];
            float& to_pos = dpos[(n % s.t) * s.d + i];
            to_e = to_e + d[n * s.d + i];
            to_pos = to_pos + d[n * s.d + i];
        }
}

void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) {
    for (size_t t = 0; t < s.rows; ++t) {
        const float* row = x + t * s.cols;
        const float mean = sum_squares(row, s.cols) / static_cast<float>(s.cols);
        r[t] = 1.0F / std::sqrt(mean + as_float(0x3727c5ac));
        for (size_t i = 0; i < s.cols; ++i) y[t * s.cols + i] = (row[i] * r[t]) * g[i];
    }
}

namespace {

void rms_norm_grad_row(float* dx, const RmsNormGradInputs& in, size_t t, size_t cols) {
    const float* x = in.x + t * cols;
    const float* dy = in.dy + t * cols;
    const float* before = in.dx_in != nullptr ? in.dx_in + t * cols : nullptr;
    const float* g = in.g;
    const float r = in.r[t];
    const float dot_row =
        reduce(cols, [=](float acc, size_t i) { return fma(dy[i] * g[i], x[i] * r, acc); });
    const float c = dot_row / static_cast<float>(cols);
    for (size_t i = 0; i < cols; ++i) {
        const float h = fma(-(x[i] * r), c, dy[i] * g[i]);
        dx[t * cols + i] = fma(r, h, before != nullptr ? before[i] : 0.0F);
    }
}

}  // namespace

void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    for (size_t c = 0; c < s.cols; ++c)
        dg[c] = reduce(s.rows, [&](float acc, size_t t) {
            const size_t at = t * s.cols + c;
            return acc + in.dy[at] * (in.x[at] * in.r[t]);
        });
    for (size_t t = 0; t < s.rows; ++t) rms_norm_grad_row(dx, in, t, s.cols);
}

void gelu(float* y, const float* u, size_t count) {
    for (size_t i = 0; i < count; ++i) y[i] = training::gelu(u[i]);
}

void gelu_grad(float* du, const float* da, const float* u, size_t count) {
    for (size_t i = 0; i < count; ++i) du[i] = da[i] * training::gelu_grad(u[i]);
}

LossRow loss_row(float* e, const float* z, uint32_t target, size_t cols) {
    std::vector<float> own;
    if (e == nullptr) {
        own.resize(cols);
        e = own.data();
    }
    LossRow row;
    row.max = z[0];
    for (size_t j = 1; j < cols; ++j) row.max = z[j] > row.max ? z[j] : row.max;
    for (size_t j = 0; j < cols; ++j) e[j] = exp(z[j] - row.max);
    row.sum = sum(e, cols);
    row.loss = (log(row.sum) + row.max) - z[target];
    return row;
}

void cross_entropy(float* losses, const float* z, const uint32_t* targets, MatrixShape s) {
    for (size_t n = 0; n < s.rows; ++n)
        losses[n] = loss_row(nullptr, z + n * s.cols, targets[n], s.cols).loss;
}

void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                        float inv_n) {
    for (size_t n = 0; n < s.rows; ++n) {
        float* e = dz + n * s.cols;
        const float is = 1.0F / loss_row(e, z + n * s.cols, targets[n], s.cols).sum;
        for (size_t j = 0; j < s.cols; ++j) {
            const float p = e[j] * is;
            e[j] = j == targets[n] ? (p - 1.0F) * inv_n : p * inv_n;
        }
    }
}

void adamw(const AdamwTensors& x, size_t count, const AdamwScalars& s, float wd) {
    for (size_t i = 0; i < count; ++i) {
        const float g = x.g[i] * s.clip;
        x.m[i] = one_nan(fma(s.b1, x.m[i], s.o1 * g));
        x.v[i] = one_nan(fma(s.b2, x.v[i], (s.o2 * g) * g));
        const float d = std::sqrt(x.v[i] * s.ic2) + s.eps;
        float u = (x.m[i] * s.ic1) / d;
        u = fma(wd, x.w[i], u);
        x.w[i] = one_nan(fma(-s.lr, u, x.w[i]));
    }
}

void sgd(const AdamwTensors& x, size_t count, const SgdScalars& s, float wd) {
    for (size_t i = 0; i < count; ++i) {
        const float g = fma(wd, x.w[i], x.g[i] * s.clip);
        x.m[i] = one_nan(fma(s.momentum, x.m[i], g));
        x.w[i] = one_nan(fma(-s.lr, x.m[i], x.w[i]));
    }
}

void clip_norm(float* out, const float* squares, size_t count, float limit, bool stop) {
    float total = 0.0F;
    for (size_t k = 0; k < count; ++k) total = total + squares[k];
    const float norm = std::sqrt(total);
    out[0] = norm;
    if (stop || is_nonfinite(norm))
        out[1] = as_float(kNanBits);
    else
        out[1] = norm > limit ? limit / norm : 1.0F;
}

bool has_nonfinite(const float* x, size_t count) {
    bool found = false;
    for (size_t i = 0; i < count; ++i) found |= is_nonfinite(x[i]);
    return found;
}

}  // namespace trainyard::training::reference
