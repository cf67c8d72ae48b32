// SPDX-License-Identifier: Apache-2.0
// The operators of programs, and a call of one of them with everything it needs.
#pragma once

#include <array>
#include <cstdint>

#include "training/tensor.hpp"

namespace trainyard::training {

/// Operators of forward and backward graphs. The numbers stand in encoded programs.
/// Inputs -> outputs; attributes. docs/spec/training.md, section 2.
enum class Op : uint8_t {
    embedding = 1,        ///< tokens, e, pos -> x
    rms_norm = 2,         ///< x, g -> y, r
    linear = 3,           ///< x, w -> y; noise id
    attention = 4,        ///< qkv -> out, stats; heads, noise id of dO, noise id of dS
    add = 5,              ///< a, b -> y
    gelu = 6,             ///< u -> y
    cross_entropy = 7,    ///< z, targets -> losses
    mul = 8,              ///< a, b -> y
    silu = 9,             ///< u -> y
    relu = 10,            ///< u -> y
    tanh = 11,            ///< u -> y
    softmax = 12,         ///< x -> y, row by row
    layer_norm = 13,      ///< x, g, b -> y, stats; bits of eps
    matmul = 14,          ///< a, b -> y; transpose a, transpose b, rows of a per product, noise id
    attention_full = 15,  ///< as attention, every position sees every other
    rope = 16,            ///< x, table -> y; head size, leading columns to rotate
    im2col = 17,          ///< x -> patches; height, width, kernel, stride, padding
    group_norm = 18,      ///< x, g, b -> y, stats; groups, positions of a sample, bits of eps
    upsample = 19,        ///< x -> y; height and width of x, factors, bits of a scale
    downsample = 20,      ///< x -> y; height and width of y, factors, bits of a scale
    reshape = 21,         ///< x -> y; columns of y
    transpose = 22,       ///< x -> y; rows of a block, each block for itself
    concat = 23,          ///< 2 to 8 x -> y, side by side
    slice = 24,           ///< x -> y; first column, columns
    scale = 25,           ///< x -> y; bits of the factor
    mean_square = 26,     ///< p, t -> losses
    noise = 27,           ///< x (its shape only) -> y; noise id
    timestep = 28,        ///< -> one index per sequence; noise id, count
    diffuse = 29,         ///< x0, eps, t, schedule -> x
    lookup = 30,          ///< tokens, table -> rows
    broadcast_add = 31,   ///< x, v -> y; 1: row r takes v[r mod S], 0: v[r / (R / S)]
    repeat = 32,          ///< x -> y; columns of a block, times
    // Only in derived graphs, never in an encoded program:
    embedding_grad = 65,       ///< d, tokens -> de, dpos
    rms_norm_grad = 66,        ///< dy, x, r, g (, dx_in) -> dx, dg
    linear_grad = 67,          ///< dy, x, w -> dx, dw; noise id
    attention_grad = 68,       ///< d_out, out, stats, qkv -> dqkv; as attention
    gelu_grad = 70,            ///< da, u -> du
    cross_entropy_grad = 71,   ///< z, targets -> dz
    silu_grad = 73,            ///< dy, u -> du
    relu_grad = 74,            ///< dy, u -> du
    tanh_grad = 75,            ///< dy, y -> du
    softmax_grad = 76,         ///< dy, y -> dx
    layer_norm_grad = 77,      ///< dy, x, stats, g -> dx, dg, db
    matmul_grad = 78,          ///< dy, a, b -> da, db; as matmul
    attention_full_grad = 79,  ///< as attention_grad
    rope_grad = 80,            ///< dy, table -> dx; as rope
    col2im = 81,               ///< patches -> x; as im2col
    group_norm_grad = 82,      ///< dy, x, stats, g -> dx, dg, db; as group_norm
    slice_grad = 88,           ///< dy -> dx, zero outside; as slice
    mean_square_grad = 90,     ///< p, t -> dp
    lookup_grad = 94,          ///< d, tokens -> dtable
    broadcast_sum = 95,        ///< d -> dv; as broadcast_add
    repeat_grad = 96,          ///< dy -> dx; as repeat
    linear_grad_x = 97,        ///< dy, w -> dx; noise id. For weights that are constants
    // Only in disputes (training/referee), where a step's update is seen as calls too:
    mean_loss = 129,      ///< losses -> their mean
    sum_gradients = 130,  ///< a gradient per micro-batch -> their sum; micro-batches
    sum_squares = 131,    ///< g -> sum of squares
    adamw = 132,  ///< w, m, v, g -> w, m, v; bits of AdamwScalars' fields, bits of the decay
    sgd = 133,    ///< the same; bits of SgdScalars' fields, bits of the decay
};

/// One call of an operator that has no function of its own in Backend. Tokens and targets travel
/// as uint32 behind a float pointer. Which edges there are is what the operator says.
struct OpCall {
    static constexpr size_t kInputsMax = 8;
    static constexpr size_t kOutputsMax = 3;
    static constexpr size_t kAttributesMax = 8;

    Op op = Op::mul;
    std::array<const float*, kInputsMax> in{};
    std::array<Shape, kInputsMax> in_shape{};
    std::array<float*, kOutputsMax> out{};
    std::array<Shape, kOutputsMax> out_shape{};
    std::array<uint32_t, kAttributesMax> attributes{};
    uint8_t inputs = 0, outputs = 0;
    uint32_t seed = 0, step = 0;  ///< of Philox words
    float inv_n = 1.0F;           ///< 1 / rows of all micro-batches, for loss gradients

    [[nodiscard]] const uint32_t* words(size_t input) const {
        return reinterpret_cast<const uint32_t*>(in[input]);
    }
};

}  // namespace trainyard::training
