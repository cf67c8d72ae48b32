// SPDX-License-Identifier: Apache-2.0
// The kernels, written once over a vector type V; every copy is local to the file that includes it.
#pragma once

#include "training/cpu/kernels.hpp"
#include "training/numerics/strict.hpp"

namespace trainyard::training::cpu {
namespace {

constexpr size_t kLanes = 32;

inline float from_bits(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof(x));
    return x;
}

template <class V>
struct Kernel {
    using F = typename V::F;
    using I = typename V::I;
    static constexpr size_t W = V::W;
    static constexpr size_t kParts = kLanes / W;

    static size_t left(size_t n, size_t i) { return n - i < W ? n - i : W; }
    static F bits(uint32_t b) { return V::set1(from_bits(b)); }
    static F one_nan(F x) { return V::number_or(bits(0x7fc00000), x); }  // as training::one_nan

    // Reductions: docs/spec/numerics.md, section 7.

    /// The tree over 32 lanes held in kParts vectors.
    static float fold(F* lane) {
        for (size_t s = kParts / 2; s > 0; s /= 2)
            for (size_t i = 0; i < s; ++i) lane[i] = V::add(lane[i], lane[i + s]);
        return V::fold(lane[0]);
    }

    /// `update(acc, i, n)` handles elements i .. i + n - 1.
    template <class Update>
    static float reduce(size_t n, const Update& update) {
        F lane[kParts];
        for (F& l : lane) l = V::zero();
        size_t i = 0;
        for (; i + kLanes <= n; i += kLanes)
#pragma GCC unroll 32
            for (size_t p = 0; p < kParts; ++p) lane[p] = update(lane[p], i + p * W, W);
        for (size_t p = 0; i < n; ++p, i += W) {
            const size_t some = left(n, i);
            lane[p] = V::first(some, update(lane[p], i, some), lane[p]);
        }
        return fold(lane);
    }

    static float sum(const float* x, size_t n) {
        return reduce(n, [x](F acc, size_t i, size_t k) { return V::add(acc, V::load(x + i, k)); });
    }
    static float sum_squares(const float* x, size_t n) {
        return reduce(n, [x](F acc, size_t i, size_t k) {
            const F v = V::load(x + i, k);
            return V::fma(v, v, acc);
        });
    }
    static float dot(const float* x, const float* y, size_t n) {
        return reduce(n, [x, y](F acc, size_t i, size_t k) {
            return V::fma(V::load(x + i, k), V::load(y + i, k), acc);
        });
    }

    // Functions: section 3.

    static F exp(F x) {
        x = V::max(V::set1(-87.0F), x);
        x = V::min(V::set1(87.0F), x);
        const F shift = bits(0x4b400000);
        const F n = V::sub(V::fma(x, bits(0x3fb8aa3b), shift), shift);
        F r = V::fma(n, bits(0xbf318000), x);
        r = V::fma(n, bits(0x395e8083), r);
        F p = bits(0x39506967);
        p = V::fma(p, r, bits(0x3ab743ce));
        p = V::fma(p, r, bits(0x3c088908));
        p = V::fma(p, r, bits(0x3d2aa9c1));
        p = V::fma(p, r, bits(0x3e2aaaaa));
        p = V::fma(p, r, bits(0x3f000000));
        p = V::fma(p, V::mul(r, r), r);
        p = V::add(p, V::set1(1.0F));
        return V::mul(p, V::power_of_two(n));
    }

    struct Gelu {
        F t, s;
    };
    static Gelu gelu_parts(F x) {
        const F t = V::mul(x, x);
        const F w = V::fma(t, bits(0x3d922279), bits(0x3fcc422a));
        const F z = V::mul(x, w);
        const F one = V::set1(1.0F);
        return {t, V::div(one, V::add(one, exp(V::negate(z))))};
    }
    static void gelu(float* y, const float* u, size_t n) {
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            const F x = V::load(u + i, k);
            V::store(y + i, V::mul(x, gelu_parts(x).s), k);
        }
    }
    static void gelu_grad(float* du, const float* da, const float* u, size_t n) {
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            const F x = V::load(u + i, k);
            const Gelu g = gelu_parts(x);
            const F slope = V::mul(x, V::mul(g.s, V::sub(V::set1(1.0F), g.s)));
            const F d = V::fma(slope, V::fma(g.t, bits(0x3e5b33b6), bits(0x3fcc422a)), g.s);
            V::store(du + i, V::mul(V::load(da + i, k), d), k);
        }
    }

    static LossStats exp_row(float* e, const float* x, size_t n) {
        F top = V::set1(x[0]);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            top = V::first(k, V::max(V::load(x + i, k), top), top);
        }
        const float max = V::largest(top);
        const F m = V::set1(max);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(e + i, exp(V::sub(V::load(x + i, k), m)), k);
        }
        return {max, n <= 4096 ? sum(e, n) : 0.0F};
    }

    static void exp_scaled(float* y, const float* x, size_t n, RowStats row) {
        const F max = V::set1(row.max), factor = V::set1(row.factor);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(y + i, V::mul(exp(V::sub(V::load(x + i, k), max)), factor), k);
        }
    }

    // Element by element.

    static void scale(float* y, const float* x, size_t n, float factor) {
        const F f = V::set1(factor);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(y + i, V::mul(V::load(x + i, k), f), k);
        }
    }
    static void multiply(float* y, const float* a, const float* b, size_t n) {
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(y + i, V::mul(V::load(a + i, k), V::load(b + i, k)), k);
        }
    }
    static void add(float* y, const float* a, const float* b, size_t n) {
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(y + i, V::add(V::load(a + i, k), V::load(b + i, k)), k);
        }
    }
    static void score_grad(float* ds, const float* p, const float* dp, float dot_row, size_t n) {
        const F d = V::set1(dot_row);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(ds + i, V::mul(V::load(p + i, k), V::sub(V::load(dp + i, k), d)), k);
        }
    }
    static void adamw(float* w, float* m, float* v, const float* g, size_t n, const AdamwArgs& a) {
        const F clip = V::set1(a.clip), b1 = V::set1(a.b1), b2 = V::set1(a.b2);
        const F o1 = V::set1(a.o1), o2 = V::set1(a.o2), ic1 = V::set1(a.ic1), ic2 = V::set1(a.ic2);
        const F eps = V::set1(a.eps), wd = V::set1(a.wd), lr = V::set1(-a.lr);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            const F gc = V::mul(V::load(g + i, k), clip);
            const F m1 = V::fma(b1, V::load(m + i, k), V::mul(o1, gc));
            const F v1 = V::fma(b2, V::load(v + i, k), V::mul(V::mul(o2, gc), gc));
            const F d = V::add(V::sqrt(V::mul(v1, ic2)), eps);
            const F w0 = V::load(w + i, k);
            const F u = V::fma(wd, w0, V::div(V::mul(m1, ic1), d));
            V::store(m + i, one_nan(m1), k);
            V::store(v + i, one_nan(v1), k);
            V::store(w + i, one_nan(V::fma(lr, u, w0)), k);
        }
    }
    static bool has_nonfinite(const float* x, size_t n) {
        return amax(x, n) >= 0x7f800000U;
    }

    // RMSNorm: section 8.

    static void norm_row(float* y, const float* x, const float* g, float r, size_t n) {
        const F f = V::set1(r);
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            V::store(y + i, V::mul(V::mul(V::load(x + i, k), f), V::load(g + i, k)), k);
        }
    }
    static float norm_grad_dot(const NormGradRow& row, size_t n) {
        const F r = V::set1(row.r);
        return reduce(n, [&row, r](F acc, size_t i, size_t k) {
            const F a = V::mul(V::load(row.dy + i, k), V::load(row.g + i, k));
            return V::fma(a, V::mul(V::load(row.x + i, k), r), acc);
        });
    }
    static void norm_grad_row(const NormGradRow& row, float c) {
        const F r = V::set1(row.r), factor = V::set1(c);
        for (size_t i = 0; i < row.n; i += W) {
            const size_t k = left(row.n, i);
            const F a = V::mul(V::load(row.dy + i, k), V::load(row.g + i, k));
            const F xr = V::mul(V::load(row.x + i, k), r);
            const F h = V::fma(V::negate(xr), factor, a);
            const F before = row.dx_in != nullptr ? V::load(row.dx_in + i, k) : V::zero();
            V::store(row.dx + i, V::fma(r, h, before), k);
        }
    }
    /// Four vectors of columns, row by row: the lanes wait in the first-level cache.
    static void wide_gain(float* out, const float* dy, const float* x, const float* r, size_t rows,
                          size_t cols, size_t c) {
        F lane[kLanes][4];
        for (auto& l : lane)
            for (F& part : l) part = V::zero();
        for (size_t t = 0; t < rows; ++t) {
            const F rt = V::set1(r[t]);
            F* acc = lane[t % kLanes];
#pragma GCC unroll 4
            for (size_t p = 0; p < 4; ++p) {
                const size_t at = t * cols + c + p * W;
                acc[p] = V::add(acc[p], V::mul(V::load(dy + at), V::mul(V::load(x + at), rt)));
            }
        }
        for (size_t s = kLanes / 2; s > 0; s /= 2)
            for (size_t l = 0; l < s; ++l)
                for (size_t p = 0; p < 4; ++p) lane[l][p] = V::add(lane[l][p], lane[l + s][p]);
        for (size_t p = 0; p < 4; ++p) V::store(out + c + p * W, lane[0][p]);
    }
    static void norm_grad_gain(float* out, const float* dy, const float* x, const float* r,
                               size_t rows, size_t cols, size_t first, size_t last) {
        size_t c = first;
        for (; c + 4 * W <= last; c += 4 * W) wide_gain(out, dy, x, r, rows, cols, c);
        for (; c < last; c += W) {
            const size_t k = left(last, c);
            F lane[kLanes];
            for (size_t l = 0; l < kLanes; ++l) {
                F acc = V::zero();
                for (size_t t = l; t < rows; t += kLanes) {
                    const F xr = V::mul(V::load(x + t * cols + c, k), V::set1(r[t]));
                    acc = V::add(acc, V::mul(V::load(dy + t * cols + c, k), xr));
                }
                lane[l] = acc;
            }
            for (size_t s = kLanes / 2; s > 0; s /= 2)
                for (size_t l = 0; l < s; ++l) lane[l] = V::add(lane[l], lane[l + s]);
            V::store(out + c, lane[0], k);
        }
    }

    // Float32 products, for the recipe fp32.

    static void fp32_product(const Fp32Args& p, size_t m0, size_t m1) {
        size_t m = m0;
        for (; m + 6 <= m1; m += 6) fp32_rows<6>(p, m);
        for (; m < m1; ++m) fp32_rows<1>(p, m);
    }
    template <size_t R>
    static void fp32_rows(const Fp32Args& p, size_t m) {
        size_t n = 0;
        for (; n + 2 * W <= p.cols; n += 2 * W) fp32_tile<R, 2>(p, m, n, W);
        for (; n < p.cols; n += W) fp32_tile<R, 1>(p, m, n, left(p.cols, n));
    }
    template <size_t R, size_t N>
    static void fp32_tile(const Fp32Args& p, size_t m, size_t n, size_t some) {
        F sum[R][N];
        for (auto& row : sum)
            for (F& s : row) s = V::zero();
        for (size_t k = 0; k < p.terms; ++k) {
            F right[N];
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j)
                right[j] = V::load(p.b + k * p.b_stride + n + j * W, some);
#pragma GCC unroll 6
            for (size_t r = 0; r < R; ++r) {
                const F a = V::set1(p.a[(m + r) * p.a_row + k * p.a_term]);
#pragma GCC unroll 2
                for (size_t j = 0; j < N; ++j) sum[r][j] = V::fma(a, right[j], sum[r][j]);
            }
        }
        for (size_t r = 0; r < R; ++r)
            for (size_t j = 0; j < N; ++j)
                V::store(p.c + (m + r) * p.c_stride + n + j * W, sum[r][j], some);
    }

    // Quantisation: section 5.

    static uint32_t amax(const float* x, size_t n) {
        I some[4] = {V::zero_int(), V::zero_int(), V::zero_int(), V::zero_int()};
        size_t i = 0;
        for (; i + 4 * W <= n; i += 4 * W)
#pragma GCC unroll 4
            for (size_t p = 0; p < 4; ++p)
                some[p] = V::max_abs_bits(some[p], V::load(x + i + p * W, W));
        for (; i < n; i += W) some[0] = V::max_abs_bits(some[0], V::load(x + i, left(n, i)));
        const I top = V::max_int(V::max_int(some[0], some[1]), V::max_int(some[2], some[3]));
        return static_cast<uint32_t>(V::largest_int(top));
    }
    /// A few whole rows at a time: the processor fetches ahead along a row, not from row to row.
    static void amax_cols(uint32_t* amax_of, const float* x, size_t rows, size_t cols,
                          size_t stride) {
        size_t r = 0;
        for (; r + 8 <= rows; r += 8) raise_cols<8>(amax_of, x + r * stride, cols, stride);
        for (; r < rows; ++r) raise_cols<1>(amax_of, x + r * stride, cols, stride);
    }
    template <size_t R>
    static void raise_cols(uint32_t* amax_of, const float* x, size_t cols, size_t stride) {
        for (size_t c = 0; c < cols; c += W) {
            const size_t k = left(cols, c);
            I top = V::load_int(amax_of + c, k);
#pragma GCC unroll 8
            for (size_t r = 0; r < R; ++r)
                top = V::max_abs_bits(top, V::load(x + r * stride + c, k));
            V::store_int(amax_of + c, top, k);
        }
    }
    static void amax_rows(uint32_t* out, const float* x, size_t rows, size_t cols, size_t stride) {
        for (size_t r = 0; r < rows; ++r) out[r] = amax(x + r * stride, cols);
    }
    static uint32_t scales(float* scale, float* inv, const uint32_t* amax_of, size_t n) {
        const F whole = V::set1(127.0F);
        I top = V::zero_int();
        for (size_t i = 0; i < n; i += W) {
            const size_t k = left(n, i);
            const I m = V::load_int(amax_of + i, k);
            top = V::max_int(top, m);
            const F a = V::as_floats(m);
            V::store(scale + i, V::zero_below(0x0d800000, m, V::div(a, whole)), k);
            V::store(inv + i, V::zero_below(0x0d800000, m, V::div(whole, a)), k);
        }
        return static_cast<uint32_t>(V::largest_int(top));
    }
    // The clamp to +-127 of the rule is left out: |x inv| exceeds 127 by one ulp at most, which
    // both roundings absorb, and a group with an Inf or NaN makes the step invalid anyway.
    static I nearest(F x, F inv) {
        return V::round(V::mul(x, inv));
    }
    static I stochastic(F x, F inv, I word) {
        const I fixed = V::round(V::mul(V::mul(x, inv), V::set1(65536.0F)));
        return V::shift_right_16(V::add_int(fixed, word));
    }
    static I quantised(F x, F inv, const uint16_t* words, size_t n) {
        return words != nullptr ? stochastic(x, inv, V::load_words(words, n)) : nearest(x, inv);
    }
    static void quantise_cols(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        if constexpr (requires { V::quantise_cols(out, a, k, n); })
            V::quantise_cols(out, a, k, n);
        else
            stage_cols(out, a, k, n);
    }
    static void stage_cols(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        V::pack_cols(out, stage(a, k, n), k, n);
    }
    /// The quantised elements in the order of the source.
    static const void* stage(const QuantiseArgs& a, size_t rows, size_t cols) {
        for (size_t r = 0; r < rows; ++r) {
            const float* x = a.x + r * a.stride;
            const uint16_t* words = a.words != nullptr ? a.words + r * a.words_stride : nullptr;
            void* q = static_cast<uint8_t*>(a.stage) + r * cols * V::kElementBytes;
            for (size_t i = 0; i < cols; i += W) {
                const size_t some = left(cols, i);
                const F f = a.inv_of_rows ? V::set1(a.inv[r]) : V::load(a.inv + i, some);
                const I value = quantised(V::load(x + i, some), f,
                                          words != nullptr ? words + i : nullptr, some);
                V::store_element(q, i, value, some);
            }
        }
        return a.stage;
    }
    static void quantise_rows(uint8_t* out, const QuantiseArgs& a, size_t n, size_t k) {
        if constexpr (requires { V::quantise_rows(out, a, n, k); })
            V::quantise_rows(out, a, n, k);
        else
            stage_rows(out, a, n, k);
    }
    static void stage_rows(uint8_t* out, const QuantiseArgs& a, size_t n, size_t k) {
        V::pack_rows(out, stage(a, n, k), k, n);
    }

    // Philox: section 4.

    static void words(uint16_t* out, uint64_t first, size_t blocks, const PhiloxArgs& args) {
        if constexpr (requires { V::words(out, first, blocks, args); })
            V::words(out, first, blocks, args);
        else
            plain_words(out, first, blocks, args);
    }
    static void plain_words(uint16_t* out, uint64_t first, size_t blocks, const PhiloxArgs& args) {
        for (size_t b = 0; b < blocks; b += W) {
            I x0 = V::add_int(V::set1_int(static_cast<uint32_t>(first + b)), V::iota());
            I x1 = V::set1_int(args.tensor), x2 = V::set1_int(args.step), x3 = V::zero_int();
            uint32_t k0 = args.seed, k1 = 0x52A5;
            for (int round = 0; round < 10; ++round) {
                I high0, low0, high1, low1;
                V::multiply_wide(x0, 0xD2511F53U, high0, low0);
                V::multiply_wide(x2, 0xCD9E8D57U, high1, low1);
                x0 = V::exclusive_or(V::exclusive_or(high1, x1), V::set1_int(k0));
                x1 = low1;
                x2 = V::exclusive_or(V::exclusive_or(high0, x3), V::set1_int(k1));
                x3 = low0;
                k0 += 0x9E3779B9U;
                k1 += 0xBB67AE85U;
            }
            uint32_t block[W * 4];
            V::store_transposed(block, x0, x1, x2, x3);
            __builtin_memcpy(out + b * 8, block, left(blocks, b) * 16);
        }
    }

    static Kernels table(const char* name) {
        Kernels t{};
        t.name = name;
        t.element_bytes = V::kElementBytes;
        t.group = V::kGroup;
        t.panel = V::kPanel;
        t.left_panel = V::kLeftPanel;
        t.tile_rows = V::kRows;
        t.tile_cols = V::kTileCols;
        t.flips = V::kFlips;
        t.stages = !requires(uint8_t * out, const QuantiseArgs& a) {
            V::quantise_cols(out, a, 1, 1);
        };
        t.amax_rows = amax_rows;
        t.amax_cols = amax_cols;
        t.scales = scales;
        t.quantise_cols = quantise_cols;
        t.quantise_rows = quantise_rows;
        t.words = words;
        t.panel_bytes = V::panel_bytes;
        t.left_panel_bytes = V::left_panel_bytes;
        t.flip_sums = V::flip_sums;
        t.product = V::product;
        t.row_sums = V::row_sums;
        t.due_sums = V::due_sums;
        t.fp32_product = fp32_product;
        t.sum = sum;
        t.sum_squares = sum_squares;
        t.dot = dot;
        t.exp_row = exp_row;
        t.exp_scaled = exp_scaled;
        t.scale = scale;
        t.multiply = multiply;
        t.add = add;
        t.gelu = gelu;
        t.gelu_grad = gelu_grad;
        t.norm_row = norm_row;
        t.norm_grad_dot = norm_grad_dot;
        t.norm_grad_row = norm_grad_row;
        t.norm_grad_gain = norm_grad_gain;
        t.score_grad = score_grad;
        t.adamw = adamw;
        t.has_nonfinite = has_nonfinite;
        return t;
    }
};

/// Panels for elements of type E with G neighbouring k and P columns: [panel][group][P][G].
template <class E, size_t G, size_t P>
struct PlainPacking {
    static size_t groups(size_t k) { return (k + G - 1) / G; }
    static size_t panel_bytes(size_t k) { return groups(k) * P * G * sizeof(E); }

    /// Element (k, column) of a panel from a matrix whose k and columns are `ks` and `ns` apart.
    static void pack(uint8_t* out, const E* q, size_t k, size_t n, size_t ks, size_t ns,
                     size_t panel) {
        E* to = reinterpret_cast<E*>(out);
        for (size_t g = 0; g < groups(k); ++g)
            for (size_t c = 0; c < P; ++c)
                for (size_t i = 0; i < G; ++i) {
                    const size_t row = g * G + i, col = panel * P + c;
                    const bool inside = row < k && col < n;
                    *to++ = inside ? q[row * ks + col * ns] : E{0};
                }
    }

    /// Both panels alike, without a flip.
    static void row_sums(uint32_t* out, const ProductArgs& a, size_t g0, size_t g1) {
        for (size_t p = 0; p * P < a.m; ++p) {
            const E* q = reinterpret_cast<const E*>(a.a + p * a.a_panel) + g0 * P * G;
            for (size_t g = g0; g < g1; ++g)
                for (size_t r = 0; r < P; ++r)
                    for (size_t i = 0; i < G; ++i) out[g * G + i] += static_cast<uint32_t>(*q++);
        }
    }
    static void due_sums(uint32_t* all, const uint32_t* rows, const ProductArgs& a, size_t p0,
                         size_t p1) {
        for (size_t p = p0; p < p1; ++p) {
            const E* q = reinterpret_cast<const E*>(a.b + p * a.b_panel);
            uint32_t* out = all + p * P;
            for (size_t c = 0; c < P; ++c) out[c] = 0;
            for (size_t g = 0; g < a.groups; ++g)
                for (size_t c = 0; c < P; ++c)
                    for (size_t i = 0; i < G; ++i)
                        out[c] += rows[g * G + i] * static_cast<uint32_t>(*q++);
        }
    }
};

}  // namespace
}  // namespace trainyard::training::cpu
