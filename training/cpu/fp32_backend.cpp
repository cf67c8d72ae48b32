// SPDX-License-Identifier: Apache-2.0
// Float32 products in a fixed order, to compare the recipe's loss with; never used for pay.
#include <cmath>
#include <vector>

#include "training/cpu/attention.hpp"
#include "training/cpu/backend.hpp"
#include "training/reference/matmul.hpp"

namespace trainyard::training::cpu {

namespace {

constexpr size_t kRowsPerTask = 48;

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
        combine({y, x, w, s.i, 1, s.i, s.o, s.o, s.o}, s.n);
    }

    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise) override {
        std::vector<float> turned(size_t{s.i} * s.o);
        for (size_t i = 0; i < s.i; ++i)
            for (size_t o = 0; o < s.o; ++o) turned[o * s.i + i] = in.w[i * s.o + o];
        combine({dx, in.dy, turned.data(), s.o, 1, s.o, s.i, s.i, s.i}, s.n);
        combine({dw, in.x, in.dy, 1, s.i, s.n, s.o, s.o, s.o}, s.i);
    }

    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override {
        pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
            const HeadView v(s, head);
            std::vector<float> p(v.t * v.t);
            scores(p.data(), v, qkv);
            for (size_t i = 0; i < v.t; ++i) {
                float* row = p.data() + i * v.t;
                const LossStats sums = k_.exp_row(row, row, v.seen(i));
                const float is = 1.0F / long_sum(k_, row, v.seen(i));
                stats[v.stats0 + 2 * i] = sums.max;
                stats[v.stats0 + 2 * i + 1] = is;
                k_.scale(row, row, v.seen(i), is);
                std::fill(row + v.seen(i), row + v.t, 0.0F);
            }
            by_head(out + v.in_out(0), v.d, {p.data(), v.t, 1}, qkv + v.in_qkv(2, 0), 3 * v.d, v);
        });
    }

    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise) override {
        pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
            const HeadView v(s, head);
            const size_t t = v.t, three = 3 * v.d;
            std::vector<float> p(t * t), ds(t * t), turned = transposed(in.qkv + v.in_qkv(2, 0), v);
            scores(p.data(), v, in.qkv);
            const float* d_out = in.d_out + v.in_out(0);
            k_.fp32_product({ds.data(), d_out, turned.data(), v.d, 1, v.hd, t, t, t}, 0, t);
            for (size_t i = 0; i < t; ++i) grad_row(p.data() + i * t, ds.data() + i * t, v, in, i);
            by_head(dqkv + v.in_qkv(2, 0), three, {p.data(), 1, t}, d_out, v.d, v);
            by_head(dqkv + v.in_qkv(0, 0), three, {ds.data(), t, 1}, in.qkv + v.in_qkv(1, 0), three,
                    v);
            by_head(dqkv + v.in_qkv(1, 0), three, {ds.data(), 1, t}, in.qkv + v.in_qkv(0, 0), three,
                    v);
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

    /// A t x t matrix and how far apart its rows and terms are.
    struct Weights {
        const float* x;
        size_t row, term;
    };

    /// c (t x hd) = weights (t x t) b (t x hd).
    void by_head(float* c, size_t c_stride, Weights a, const float* b, size_t b_stride,
                 const HeadView& v) const {
        k_.fp32_product({c, a.x, b, a.row, a.term, v.t, v.hd, b_stride, c_stride}, 0, v.t);
    }

    /// hd x t from rows of qkv.
    static std::vector<float> transposed(const float* x, const HeadView& v) {
        std::vector<float> out(v.hd * v.t);
        for (size_t i = 0; i < v.t; ++i)
            for (size_t c = 0; c < v.hd; ++c) out[c * v.t + i] = x[i * 3 * v.d + c];
        return out;
    }

    void combine(const Fp32Args& args, size_t rows) {
        ranges(rows, kRowsPerTask,
               [&](size_t first, size_t last) { k_.fp32_product(args, first, last); });
    }

    /// Scaled by alpha; above the diagonal too.
    void scores(float* s, const HeadView& v, const float* qkv) const {
        const std::vector<float> turned = transposed(qkv + v.in_qkv(1, 0), v);
        const float* q = qkv + v.in_qkv(0, 0);
        k_.fp32_product({s, q, turned.data(), 3 * v.d, 1, v.hd, v.t, v.t, v.t}, 0, v.t);
        k_.scale(s, s, v.t * v.t, v.alpha);
    }

    /// Row i: p from scores, ds from dP; zeros above the diagonal.
    void grad_row(float* p, float* ds, const HeadView& v, const AttentionGradInputs& in,
                  size_t i) const {
        const float dot = long_dot(k_, in.d_out + v.in_out(i), in.out + v.in_out(i), v.hd);
        (void)k_.exp_row(p, p, v.seen(i));
        k_.scale(p, p, v.seen(i), in.stats[v.stats0 + 2 * i + 1]);
        k_.score_grad(ds, p, ds, dot, v.seen(i));
        k_.scale(ds, ds, v.seen(i), v.alpha);
        std::fill(p + v.seen(i), p + v.t, 0.0F);
        std::fill(ds + v.seen(i), ds + v.t, 0.0F);
    }
};

}  // namespace
}  // namespace trainyard::training::cpu

namespace trainyard::training {

std::unique_ptr<Backend> make_fp32_backend(unsigned threads) {
    return std::make_unique<cpu::Fp32Backend>(kernels_for(CpuPath::best), threads);
}

}  // namespace trainyard::training
