// SPDX-License-Identifier: Apache-2.0
// The table of kernels that each instruction set fills; the fast backend calls nothing else.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace trainyard::training::cpu {

// The files that fill the tables are compiled for instructions that this machine may lack. They
// include no library header with inline functions, lest the linker pick such a copy for all.

/// One product: A and B are in panels, C is written with its scales.
struct ProductArgs {
    const uint8_t* a = nullptr;
    size_t a_panel = 0;  ///< bytes from one panel of rows to the next
    const uint8_t* b = nullptr;
    size_t b_panel = 0;  ///< bytes from one panel of columns to the next
    /// What the flip of A adds to each column, panel by panel; unused by tables without a flip.
    const int32_t* sums = nullptr;
    size_t sums_panel = 0;  ///< elements from one panel to the next
    size_t groups = 0;      ///< of k
    float* c = nullptr;
    size_t c_stride = 0;
    const float* sa = nullptr;
    const float* sb = nullptr;
    const float* alpha = nullptr;  ///< nullptr: no factor
    size_t m = 0, n = 0;
    bool causal = false;  ///< columns beyond m + diagonal of row m may stay unwritten
    size_t diagonal = 0;
    /// Where not null: the integer sums of each column are added here, modulo 2^32, for columns
    /// rounded up to whole panels.
    uint32_t* column_sums = nullptr;
};

/// A stored matrix to quantise into panels.
struct QuantiseArgs {
    const float* x = nullptr;
    size_t stride = 0;
    const float* inv = nullptr;  ///< one per column, or per row where `inv_of_rows`
    bool inv_of_rows = false;
    const uint16_t* words = nullptr;  ///< nullptr: nearest
    size_t words_stride = 0;
    bool left = false;      ///< panels of a left operand
    void* stage = nullptr;  ///< room for rows x columns elements
};

/// A float32 product in a fixed order, for comparison runs. Element (r, k) of A is
/// a[r * a_row + k * a_term].
struct Fp32Args {
    float* c = nullptr;
    const float* a = nullptr;
    const float* b = nullptr;
    size_t a_row = 0, a_term = 0, terms = 0, cols = 0;
    size_t b_stride = 0, c_stride = 0;
};

struct PhiloxArgs {
    uint32_t seed = 0, step = 0, tensor = 0;
};

struct NormGradRow {
    float* dx;
    const float* dx_in;  ///< nullptr: +0
    const float* dy;
    const float* x;
    const float* g;
    float r;
    size_t n;
};

struct AdamwArgs {
    float lr, clip, b1, b2, o1, o2, ic1, ic2, eps, wd;
};

struct LossStats {
    float max, sum;
};

/// A row's maximum and 1 / the sum of its exponentials.
struct RowStats {
    float max, factor;
};

struct Kernels {
    const char* name;
    size_t element_bytes;  ///< of a quantised element
    size_t group;          ///< neighbouring k in one group
    size_t panel;          ///< columns of a panel of a right operand
    size_t left_panel;     ///< rows of a panel of a left operand; divides `panel`
    /// Rows and columns of C, from its first on, that a causal product makes or leaves out
    /// together.
    size_t tile_rows, tile_cols;
    bool flips;   ///< elements of A are stored with an offset
    bool stages;  ///< quantises into QuantiseArgs::stage

    /// amax[r] = largest magnitude of row r, as bits; the same of columns, merged with what is
    /// there.
    void (*amax_rows)(uint32_t* amax, const float* x, size_t rows, size_t cols, size_t stride);
    void (*amax_cols)(uint32_t* amax, const float* x, size_t rows, size_t cols, size_t stride);
    /// Scales and their inverses from magnitudes; returns the largest magnitude.
    uint32_t (*scales)(float* scale, float* inv, const uint32_t* amax, size_t n);
    /// Panels of n columns from a stored k x n matrix.
    void (*quantise_cols)(uint8_t* out, const QuantiseArgs& args, size_t k, size_t n);
    /// Panels of n rows from a stored n x k matrix; inv of rows.
    void (*quantise_rows)(uint8_t* out, const QuantiseArgs& args, size_t n, size_t k);
    /// Eight words for each Philox block from `first` on.
    void (*words)(uint16_t* out, uint64_t first, size_t blocks, const PhiloxArgs& args);

    /// Bytes of one panel over k; with a flip, the sums of a right panel stand at its end.
    size_t (*panel_bytes)(size_t k);
    size_t (*left_panel_bytes)(size_t k);
    /// sums[c] += what the flip adds to column c of a panel over `groups` groups.
    void (*flip_sums)(int32_t* sums, const uint8_t* panel, size_t groups);
    /// Rows [m0, m1) and columns [n0, n1); m0 and n0 are multiples of 16 (or the start).
    void (*product)(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1);

    /// What column_sums must come to, computed by another way, modulo 2^32. First the sums of the
    /// rows of A: sums[k] += sum over m of A[m][k] for groups [g0, g1) of k, whole.
    void (*row_sums)(uint32_t* sums, const ProductArgs& args, size_t g0, size_t g1);
    /// Then their products with panels [p0, p1) of B, over all `groups`; args.m: of how many rows
    /// the sums are, at most.
    void (*due_sums)(uint32_t* out, const uint32_t* sums, const ProductArgs& args, size_t p0,
                     size_t p1);
    /// Rows of float32 sums in order of k: c[r][n] = fma(a[r][k], b[k][n], c[r][n]) from +0.
    void (*fp32_product)(const Fp32Args& args, size_t m0, size_t m1);

    float (*sum)(const float* x, size_t n);  ///< n <= 4096, as are the next two
    float (*sum_squares)(const float* x, size_t n);
    float (*dot)(const float* x, const float* y, size_t n);
    /// e[j] = exp(x[j] - max); the maximum and, for n <= 4096, the sum.
    LossStats (*exp_row)(float* e, const float* x, size_t n);
    /// y[j] = exp(x[j] - max) * factor
    void (*exp_scaled)(float* y, const float* x, size_t n, RowStats row);
    void (*scale)(float* y, const float* x, size_t n, float factor);
    void (*multiply)(float* y, const float* a, const float* b, size_t n);
    void (*add)(float* y, const float* a, const float* b, size_t n);
    void (*gelu)(float* y, const float* u, size_t n);
    void (*gelu_grad)(float* du, const float* da, const float* u, size_t n);
    void (*norm_row)(float* y, const float* x, const float* g, float r, size_t n);
    /// dot of (dy g) and (x r), n <= 4096; elements of a longer row are passed in chunks.
    float (*norm_grad_dot)(const NormGradRow& row, size_t n);
    void (*norm_grad_row)(const NormGradRow& row, float c);
    /// out[c] = reduction of dy (x r) over `rows` <= 4096 rows, columns [first, last).
    void (*norm_grad_gain)(float* out, const float* dy, const float* x, const float* r, size_t rows,
                           size_t cols, size_t first, size_t last);
    /// ds = p (dp - dot) for one row.
    void (*score_grad)(float* ds, const float* p, const float* dp, float dot, size_t n);
    void (*adamw)(float* w, float* m, float* v, const float* g, size_t n, const AdamwArgs& a);
    bool (*has_nonfinite)(const float* x, size_t n);
};

/// SHA-256 of sixteen padded messages of `blocks` 64-byte blocks, `stride` bytes apart; digests are
/// 32 bytes each. Only where CpuPath::avx512 is there.
void sha256_lanes_avx512(uint8_t* digests, const uint8_t* messages, size_t stride, size_t blocks);

/// A tile of 32 rows of 128 bytes, `stride` bytes apart.
struct TileRows {
    const uint8_t* first = nullptr;
    size_t stride = 0;
};
/// SHA-256(00 | tile) of 32 tiles, read where they lie.
void sha256_tiles_avx512(uint8_t* digests, const TileRows* tiles);

[[nodiscard]] const Kernels& scalar_kernels();
// nullptr name where not compiled in:
[[nodiscard]] const Kernels& neon_kernels();
[[nodiscard]] const Kernels& neondot_kernels();
[[nodiscard]] const Kernels& avx2_kernels();
[[nodiscard]] const Kernels& avxvnni_kernels();
[[nodiscard]] const Kernels& avx512_kernels();

}  // namespace trainyard::training::cpu
