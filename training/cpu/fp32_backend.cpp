// SPDX-License-Identifier: Apache-2.0
// Float32 products in a fixed order, to compare the recipe's loss with; never used for pay.
#include <cmath>
#include <vector>

#include "training/cpu/attention.hpp"
#include "training/cpu/backend.hpp"
#include "training/reference/matmul.hpp"

namespace trainyard::training::cpu {

namespace {

constexpr size_t kRowsPerTask = 16;

/// The matrices of one head inside qkv-shaped and output-shaped memory.
struct HeadView {
    HeadView(AttentionShape s, size_t head)
        : t(s.t), hd(s.hd), d(size_t{s.h} * s.hd), row0(head / s.h * s.t), col(head % s.h * s.hd) {
        alpha = 1.0F / std::sqrt(static_cast<float>(hd));
        causal = s.causal;
        stats0 = head * t * 2;
    }
    [[nodiscard]] size_t in_qkv(size_t part, size_t i) const {
        return (row0 + i) * 3 * d + part * d + col;
    }
    [[nodiscard]] size_t in_out(size_t i) const { return (row0 + i) * d + col; }
    [[nodiscard]] size_t seen(size_t i) const { return causal ? i + 1 : t; }
    size_t t, hd, d, row0, col, stats0;
    float alpha;
    bool causal;
};

class Fp32Backend final : public CpuBackend {
public:
    Fp32Backend(const Kernels& kernels, unsigned threads) : CpuBackend(kernels, threads) {}
    [[nodiscard]] std::string name() const override { return "fp32"; }
    [[nodiscard]] Recipe recipe() const override { return Recipe::fp32; }

    void linear(float* y, const float* x, const float* w, LinearShape s) override {
        ranges(s.n, kRowsPerTask, [&](size_t first, size_t last) {
            for (size_t n = first; n < last; ++n) combine(y + n * s.o, x + n * s.i, 1, s.i, w, s.o);
        });
    }

    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise) override {
        std::vector<float> turned(size_t{s.i} * s.o);
        for (size_t i = 0; i < s.i; ++i)
            for (size_t o = 0; o < s.o; ++o) turned[o * s.i + i] = in.w[i * s.o + o];
        ranges(s.n, kRowsPerTask, [&](size_t first, size_t last) {
            for (size_t n = first; n < last; ++n)
                combine(dx + n * s.i, in.dy + n * s.o, 1, s.o, turned.data(), s.i);
        });
        ranges(s.i, kRowsPerTask, [&](size_t first, size_t last) {
            for (size_t i = first; i < last; ++i)
                combine(dw + i * s.o, in.x + i, s.i, s.n, in.dy, s.o);
        });
    }

    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override {
        pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
            const HeadView v(s, head);
            std::vector<float> p(v.t);
            for (size_t i = 0; i < v.t; ++i) {
                scores(p.data(), v, qkv, i);
                const LossStats row = k_.exp_row(p.data(), p.data(), v.seen(i));
                const float is = 1.0F / long_sum(k_, p.data(), v.seen(i));
                stats[v.stats0 + 2 * i] = row.max;
                stats[v.stats0 + 2 * i + 1] = is;
                float* to = out + v.in_out(i);
                std::fill(to, to + v.hd, 0.0F);
                for (size_t j = 0; j < v.seen(i); ++j)
                    k_.add_scaled(to, qkv + v.in_qkv(2, j), v.hd, p[j] * is);
            }
        });
    }

    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise) override {
        pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
            const HeadView v(s, head);
            for (size_t i = 0; i < v.t; ++i)
                for (size_t part = 0; part < 3; ++part) {
                    float* to = dqkv + v.in_qkv(part, i);
                    std::fill(to, to + v.hd, 0.0F);
                }
            std::vector<float> p(v.t);
            for (size_t i = 0; i < v.t; ++i) {
                scores(p.data(), v, in.qkv, i);
                (void)k_.exp_row(p.data(), p.data(), v.seen(i));
                k_.scale(p.data(), p.data(), v.seen(i), in.stats[v.stats0 + 2 * i + 1]);
                grad_row(dqkv, in, v, p, i);
            }
        });
    }

    void apply(const OpCall& c) override {
        switch (c.op) {
            case Op::matmul:
                return products(
                    c, reference::matmul_shape(c.in_shape[0], c.in_shape[1], c.attributes.data()));
            case Op::matmul_grad:
                return product_grads(
                    c, reference::matmul_shape(c.in_shape[1], c.in_shape[2], c.attributes.data()));
            case Op::linear_grad_x: {
                const Shape dy = c.in_shape[0], w = c.in_shape[1];
                return multiply(c.out[0], {c.in[0], dy.cols, 1}, {c.in[1], 1, w.cols}, {w.rows, 1},
                                {dy.rows, w.rows, dy.cols});
            }
            default:
                return CpuBackend::apply(c);
        }
    }

private:
    /// Element (r, c) of a matrix is data[r * row + c * col].
    struct Strided {
        const float* data;
        size_t row, col;
    };
    struct Strides {
        size_t row, col;
    };
    struct Sizes {
        size_t m, n, k;
    };

    void multiply(float* to, Strided a, Strided b, Strides c, Sizes s) {
        ranges(s.m, kRowsPerTask, [&](size_t first, size_t last) {
            for (size_t m = first; m < last; ++m)
                for (size_t n = 0; n < s.n; ++n) {
                    float sum = 0.0F;
                    for (size_t k = 0; k < s.k; ++k)
                        sum += a.data[m * a.row + k * a.col] * b.data[k * b.row + n * b.col];
                    to[m * c.row + n * c.col] = sum;
                }
        });
    }

    /// Strides of a logical rows x cols matrix that may be stored transposed.
    static Strides strides(size_t rows, size_t cols, bool turned) {
        return turned ? Strides{1, rows} : Strides{cols, 1};
    }

    void products(const OpCall& c, const reference::MatmulShape& s) {
        const Strides a = strides(s.m, s.k, s.turn_a), b = strides(s.k, s.n, s.turn_b);
        for (size_t i = 0; i < s.products; ++i)
            multiply(c.out[0] + i * s.m * s.n, {c.in[0] + i * s.m * s.k, a.row, a.col},
                     {c.in[1] + i * s.k * s.n, b.row, b.col}, {s.n, 1}, {s.m, s.n, s.k});
    }

    void product_grads(const OpCall& c, const reference::MatmulShape& s) {
        const Strides a = strides(s.m, s.k, s.turn_a), b = strides(s.k, s.n, s.turn_b);
        for (size_t i = 0; i < s.products; ++i) {
            const float* dy = c.in[0] + i * s.m * s.n;
            multiply(c.out[0] + i * s.m * s.k, {dy, s.n, 1},
                     {c.in[2] + i * s.k * s.n, b.col, b.row}, a, {s.m, s.k, s.n});
            multiply(c.out[1] + i * s.k * s.n, {c.in[1] + i * s.m * s.k, a.col, a.row},
                     {dy, s.n, 1}, b, {s.k, s.n, s.m});
        }
    }

    /// c = sum over k of a[k * step] * row k of b, in order of k.
    void combine(float* c, const float* a, size_t step, size_t terms, const float* b,
                 size_t cols) const {
        std::fill(c, c + cols, 0.0F);
        for (size_t k = 0; k < terms; ++k) k_.add_scaled(c, b + k * cols, cols, a[k * step]);
    }

    void scores(float* row, const HeadView& v, const float* qkv, size_t i) const {
        for (size_t j = 0; j < v.seen(i); ++j)
            row[j] = long_dot(k_, qkv + v.in_qkv(0, i), qkv + v.in_qkv(1, j), v.hd) * v.alpha;
    }

    void grad_row(float* dqkv, const AttentionGradInputs& in, const HeadView& v,
                  const std::vector<float>& p, size_t i) const {
        const float* d_out = in.d_out + v.in_out(i);
        const float dot = long_dot(k_, d_out, in.out + v.in_out(i), v.hd);
        for (size_t j = 0; j < v.seen(i); ++j) {
            k_.add_scaled(dqkv + v.in_qkv(2, j), d_out, v.hd, p[j]);
            const float dp = long_dot(k_, d_out, in.qkv + v.in_qkv(2, j), v.hd);
            const float ds = p[j] * (dp - dot) * v.alpha;
            k_.add_scaled(dqkv + v.in_qkv(0, i), in.qkv + v.in_qkv(1, j), v.hd, ds);
            k_.add_scaled(dqkv + v.in_qkv(1, j), in.qkv + v.in_qkv(0, i), v.hd, ds);
        }
    }
};

}  // namespace
}  // namespace trainyard::training::cpu

namespace trainyard::training {

std::unique_ptr<Backend> make_fp32_backend(unsigned threads) {
    return std::make_unique<cpu::Fp32Backend>(kernels_for(CpuPath::best), threads);
}

}  // namespace trainyard::training
