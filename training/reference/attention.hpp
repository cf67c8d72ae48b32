// SPDX-License-Identifier: Apache-2.0
// Plain attention for one head, with every intermediate that the vectors pin down.
#pragma once

#include <cstdint>
#include <vector>

#include "training/backend.hpp"
#include "training/reference/products.hpp"

namespace trainyard::training::reference {

/// One (sequence, head): all T x T or T x hd, row-major.
struct HeadForward {
    std::vector<float> s, p;  ///< zero where nothing is seen
    std::vector<float> row_max, row_is;
    Quantised v;         ///< by token
    Quantised p_scaled;  ///< P * sV, by row
    bool nonfinite = false;
};

struct HeadBackward {
    std::vector<float> dp, ds, dot;  ///< zero above the diagonal
    bool nonfinite = false;
};

/// Writes columns [h*hd, h*hd+hd) of `out` (N x D) for sequence b.
[[nodiscard]] HeadForward attend(float* out, const float* qkv, AttentionShape s, size_t b,
                                 size_t h);
/// Writes this head's columns of dqkv (N x 3D).
[[nodiscard]] HeadBackward attend_grad(float* dqkv, const AttentionGradInputs& in,
                                       const HeadForward& forward, AttentionShape s, size_t b,
                                       size_t h, AttentionNoise noise);

/// Head number b * h of all; true if it met an Inf or NaN.
bool attention_head(float* out, float* stats, const float* qkv, AttentionShape s, size_t head);
bool attention_head_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s, size_t head,
                         AttentionNoise noise);

bool attention(float* out, float* stats, const float* qkv, AttentionShape s);
bool attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                    AttentionNoise noise);

}  // namespace trainyard::training::reference
