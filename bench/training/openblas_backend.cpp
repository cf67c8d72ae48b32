// SPDX-License-Identifier: Apache-2.0
// Linear layers by one sgemm each, attention by sgemm over blocks of rows up to the diagonal.
#include "bench/training/openblas_backend.hpp"

#include <algorithm>
#include <cblas.h>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "training/cpu/attention.hpp"
#include "training/cpu/backend.hpp"

namespace trainyard::bench {

namespace {

using namespace training;
constexpr int kBlock = 64;

struct Matrix {
    const float* x;
    int stride;
    CBLAS_TRANSPOSE form = CblasNoTrans;
};

/// c (m x n) = factor a b + keep c.
void sgemm(float* c, int stride, Matrix a, Matrix b, const int (&mnk)[3], float factor = 1.0F,
           float keep = 0.0F) {
    cblas_sgemm(CblasRowMajor, a.form, b.form, mnk[0], mnk[1], mnk[2], factor, a.x, a.stride, b.x,
                b.stride, keep, c, stride);
}

class OpenBlasBackend final : public cpu::CpuBackend {
public:
    OpenBlasBackend() : CpuBackend(kernels_for(CpuPath::best), 1) {}
    [[nodiscard]] std::string name() const override { return "openblas"; }

    void linear(float* y, const float* x, const float* w, LinearShape s) override {
        openblas_linear(y, x, w, s);
    }
    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise) override {
        const int n = static_cast<int>(s.n), i = static_cast<int>(s.i), o = static_cast<int>(s.o);
        sgemm(dx, i, {in.dy, o}, {in.w, o, CblasTrans}, {n, i, o});
        sgemm(dw, o, {in.x, i, CblasTrans}, {in.dy, o}, {i, o, n});
    }
    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override {
        for (size_t head = 0; head < size_t{s.b} * s.h; ++head) {
            Head v(s, head);
            p_.resize(size_t{kBlock} * s.t);
            for (int i = 0; i < v.t; i += kBlock) {
                const int rows = std::min(kBlock, v.t - i), cols = i + rows;
                probabilities(v, qkv, i, rows, stats + head * s.t * 2);
                sgemm(out + v.in_out(i), v.d, {p_.data(), cols}, v.part(qkv, 2, 0),
                      {rows, v.hd, cols});
            }
        }
    }
    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise) override {
        std::vector<float> stats(size_t{s.t} * 2);
        std::fill(dqkv, dqkv + size_t{s.b} * s.t * 3 * s.h * s.hd, 0.0F);
        for (size_t head = 0; head < size_t{s.b} * s.h; ++head) {
            Head v(s, head);
            p_.resize(size_t{kBlock} * s.t);
            ds_.resize(p_.size());
            for (int i = 0; i < v.t; i += kBlock) grad_block(dqkv, v, in, i, stats.data());
        }
    }

private:
    struct Head {
        Head(AttentionShape s, size_t head)
            : t(static_cast<int>(s.t)),
              hd(static_cast<int>(s.hd)),
              d(static_cast<int>(s.h * s.hd)),
              row0(head / s.h * s.t),
              col(head % s.h * s.hd),
              alpha(1.0F / std::sqrt(static_cast<float>(s.hd))) {}
        [[nodiscard]] size_t in_out(int i) const {
            return (row0 + static_cast<size_t>(i)) * static_cast<size_t>(d) + col;
        }
        [[nodiscard]] size_t in_qkv(size_t which, int i) const {
            return (row0 + static_cast<size_t>(i)) * 3 * static_cast<size_t>(d) +
                   which * static_cast<size_t>(d) + col;
        }
        [[nodiscard]] Matrix part(const float* qkv, size_t which, int i) const {
            return {qkv + in_qkv(which, i), 3 * d};
        }
        int t, hd, d;
        size_t row0, col;
        float alpha;
    };

    /// p_: rows x (i + rows), zero above the diagonal.
    void probabilities(const Head& v, const float* qkv, int i, int rows, float* stats) {
        const int cols = i + rows;
        Matrix k = v.part(qkv, 1, 0);
        k.form = CblasTrans;
        sgemm(p_.data(), cols, v.part(qkv, 0, i), k, {rows, cols, v.hd}, v.alpha);
        for (int r = 0; r < rows; ++r) {
            float* row = p_.data() + r * cols;
            const auto n = static_cast<size_t>(i + r + 1);
            const cpu::LossStats sums = k_.exp_row(row, row, n);
            stats[2 * (i + r)] = sums.max;
            stats[2 * (i + r) + 1] = 1.0F / sums.sum;
            k_.scale(row, row, n, 1.0F / sums.sum);
            std::fill(row + n, row + cols, 0.0F);
        }
    }
    void grad_block(float* dqkv, const Head& v, const AttentionGradInputs& in, int i,
                    float* stats) {
        const int rows = std::min(kBlock, v.t - i), cols = i + rows;
        probabilities(v, in.qkv, i, rows, stats);
        const Matrix d_out{in.d_out + v.in_out(i), v.d};
        sgemm(dqkv + v.in_qkv(2, 0), 3 * v.d, {p_.data(), cols, CblasTrans}, d_out,
              {cols, v.hd, rows}, 1.0F, 1.0F);
        Matrix values = v.part(in.qkv, 2, 0);
        values.form = CblasTrans;
        sgemm(ds_.data(), cols, d_out, values, {rows, cols, v.hd});
        for (int r = 0; r < rows; ++r) {
            const size_t at = v.in_out(i + r);
            const float dot = k_.dot(in.d_out + at, in.out + at, static_cast<size_t>(v.hd));
            float* row = ds_.data() + r * cols;
            const auto n = static_cast<size_t>(i + r + 1);
            k_.score_grad(row, p_.data() + r * cols, row, dot, n);
            std::fill(row + n, row + cols, 0.0F);
        }
        sgemm(dqkv + v.in_qkv(0, i), 3 * v.d, {ds_.data(), cols}, v.part(in.qkv, 1, 0),
              {rows, v.hd, cols}, v.alpha);
        sgemm(dqkv + v.in_qkv(1, 0), 3 * v.d, {ds_.data(), cols, CblasTrans}, v.part(in.qkv, 0, i),
              {cols, v.hd, rows}, v.alpha, 1.0F);
    }

    std::vector<float> p_, ds_;
};

}  // namespace

std::unique_ptr<Backend> make_openblas_backend() {
    return std::make_unique<OpenBlasBackend>();
}

void openblas_linear(float* y, const float* x, const float* w, LinearShape s) {
    const int n = static_cast<int>(s.n), i = static_cast<int>(s.i), o = static_cast<int>(s.o);
    sgemm(y, o, {x, i}, {w, o}, {n, o, i});
}

const char* openblas_core() {
    return openblas_get_corename();
}

void restart_with_openblas_settings(char** argv) {
    const char* core = std::getenv("OPENBLAS_CORETYPE");
    const char* threads = std::getenv("OPENBLAS_NUM_THREADS");
    const bool right = core != nullptr && std::string_view(core) == "SkylakeX" &&
                       threads != nullptr && std::string_view(threads) == "1" &&
                       std::getenv("OPENBLAS_L2_SIZE") == nullptr;
    if (right) return;
    ::unsetenv("OPENBLAS_L2_SIZE");  // halves the blocks of sgemm where it is set for older chips
    ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    ::setenv("OPENBLAS_NUM_THREADS", "1", 1);
    ::execv("/proc/self/exe", argv);
    std::abort();
}

}  // namespace trainyard::bench
