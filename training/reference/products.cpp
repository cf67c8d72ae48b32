// SPDX-License-Identifier: Apache-2.0
// Quantise, multiply in integers, scale back: docs/spec/numerics.md, sections 5 and 6.
#include "training/reference/products.hpp"

#include <algorithm>

#include "training/numerics/philox.hpp"
#include "training/numerics/quantise.hpp"

namespace trainyard::training::reference {

namespace {

std::vector<uint32_t> group_maxima(const MatrixView& x, Grouping grouping) {
    std::vector<uint32_t> amax(grouping == Grouping::rows ? x.rows : x.cols, 0);
    for (size_t r = 0; r < x.rows; ++r)
        for (size_t c = 0; c < x.cols; ++c) {
            uint32_t& group = amax[grouping == Grouping::rows ? r : c];
            group = std::max(group, bits_of(x.data[r * x.stride + c]) & 0x7fffffffU);
        }
    return amax;
}

uint32_t word_of(const Rounding& r, size_t row, size_t col) {
    return rounding_word(r.idx0 + row * r.idx_stride + col, r.noise.tensor, r.noise.step,
                         r.noise.seed);
}

}  // namespace

Quantised quantise(const MatrixView& x, Grouping grouping,
                   const std::optional<Rounding>& rounding) {
    Quantised out;
    out.rows = x.rows;
    out.cols = x.cols;
    for (const uint32_t amax : group_maxima(x, grouping)) {
        const Scale scale = scale_of(amax);
        out.nonfinite |= amax >= 0x7f800000U;
        out.scale.push_back(scale.s);
        out.inv.push_back(scale.inv);
    }
    out.q.assign(x.rows * x.cols, 0);
    if (out.nonfinite) return out;
    for (size_t r = 0; r < x.rows; ++r)
        for (size_t c = 0; c < x.cols; ++c) {
            const float value = x.data[r * x.stride + c];
            const float inv = out.inv[grouping == Grouping::rows ? r : c];
            out.q[r * x.cols + c] = rounding
                                        ? quantise_stochastic(value, inv, word_of(*rounding, r, c))
                                        : quantise_nearest(value, inv);
        }
    return out;
}

std::vector<int32_t> multiply(const Quantised& a, const Quantised& b, Form form, ProductSize size) {
    std::vector<int32_t> acc(size.m * size.n, 0);
    for (size_t m = 0; m < size.m; ++m)
        for (size_t k = 0; k < size.k; ++k) {
            const int32_t left = form == Form::tn ? a.q[k * a.cols + m] : a.q[m * a.cols + k];
            if (left == 0) continue;
            for (size_t n = 0; n < size.n; ++n) {
                const int32_t right = form == Form::nt ? b.q[n * b.cols + k] : b.q[k * b.cols + n];
                acc[m * size.n + n] += left * right;
            }
        }
    return acc;
}

void dequantise(float* c, size_t stride, const std::vector<int32_t>& acc, ProductSize size,
                const float* sa, const float* sb, const float* alpha) {
    for (size_t m = 0; m < size.m; ++m)
        for (size_t n = 0; n < size.n; ++n) {
            const float value = (static_cast<float>(acc[m * size.n + n]) * sa[m]) * sb[n];
            c[m * stride + n] = alpha != nullptr ? value * *alpha : value;
        }
}

bool linear(float* y, const float* x, const float* w, LinearShape s) {
    const Quantised qx = quantise({x, s.n, s.i, s.i}, Grouping::rows, {});
    const Quantised qw = quantise({w, s.i, s.o, s.o}, Grouping::cols, {});
    const ProductSize size{s.n, s.o, s.i};
    dequantise(y, s.o, multiply(qx, qw, Form::nn, size), size, qx.scale.data(), qw.scale.data(),
               nullptr);
    return qx.nonfinite || qw.nonfinite;
}

bool linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s, Noise noise) {
    const MatrixView dy{in.dy, s.n, s.o, s.o};
    const Rounding rounding{noise, 0, s.o};
    const Quantised by_token = quantise(dy, Grouping::rows, rounding);
    const Quantised by_output = quantise(dy, Grouping::cols, rounding);
    const Quantised w = quantise({in.w, s.i, s.o, s.o}, Grouping::rows, {});
    const Quantised x = quantise({in.x, s.n, s.i, s.i}, Grouping::cols, {});
    const ProductSize to_x{s.n, s.i, s.o};
    dequantise(dx, s.i, multiply(by_token, w, Form::nt, to_x), to_x, by_token.scale.data(),
               w.scale.data(), nullptr);
    const ProductSize to_w{s.i, s.o, s.n};
    dequantise(dw, s.o, multiply(x, by_output, Form::tn, to_w), to_w, x.scale.data(),
               by_output.scale.data(), nullptr);
    return by_token.nonfinite || by_output.nonfinite || w.nonfinite || x.nonfinite;
}

}  // namespace trainyard::training::reference
