// SPDX-License-Identifier: Apache-2.0
// Patches of images and changes of resolution. An image is height * width rows of channels:
// docs/spec/numerics.md, section 17.
#include <algorithm>
#include <array>

#include "training/numerics/functions.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training::reference {

namespace {

struct Window {
    size_t h, w, kernel, stride, pad, c, out_h, out_w;
};

Window window_of(const OpCall& call, size_t channels) {
    const auto& a = call.attributes;
    Window s{a[0], a[1], a[2], a[3], a[4], channels, 0, 0};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

size_t result_rows(const OpCall& c) {
    return c.out_shape[0].rows;
}

/// Task: one patch, columns in order (ky, kx, channel); +0 outside of the image.
bool im2col(const OpCall& call, size_t first, size_t last) {
    const Window s = window_of(call, call.in_shape[0].cols);
    for (size_t row = first; row < last; ++row) {
        const size_t image = row / (s.out_h * s.out_w), at = row % (s.out_h * s.out_w);
        float* to = call.out[0] + row * s.kernel * s.kernel * s.c;
        for (size_t ky = 0; ky < s.kernel; ++ky)
            for (size_t kx = 0; kx < s.kernel; ++kx, to += s.c) {
                const size_t y = at / s.out_w * s.stride + ky - s.pad;  // wraps when outside
                const size_t x = at % s.out_w * s.stride + kx - s.pad;
                if (y < s.h && x < s.w)
                    std::copy_n(call.in[0] + ((image * s.h + y) * s.w + x) * s.c, s.c, to);
                else
                    std::fill_n(to, s.c, 0.0F);
            }
    }
    return false;
}

/// Adds to `to`, from one input position, what the patches that hold it carry: in order (ky, kx).
void gather(float* to, const float* patches, const Window& s, size_t image, size_t y, size_t x) {
    std::fill_n(to, s.c, 0.0F);
    for (size_t ky = 0; ky < s.kernel; ++ky)
        for (size_t kx = 0; kx < s.kernel; ++kx) {
            const size_t from_y = y + s.pad - ky, from_x = x + s.pad - kx;  // wraps when outside
            if (y + s.pad < ky || x + s.pad < kx || from_y % s.stride != 0 ||
                from_x % s.stride != 0 || from_y / s.stride >= s.out_h ||
                from_x / s.stride >= s.out_w)
                continue;
            const size_t row = (image * s.out_h + from_y / s.stride) * s.out_w + from_x / s.stride;
            const float* patch = patches + (row * s.kernel * s.kernel + ky * s.kernel + kx) * s.c;
            for (size_t i = 0; i < s.c; ++i) to[i] = to[i] + patch[i];
        }
}

bool col2im(const OpCall& call, size_t first, size_t last) {
    const Window s = window_of(call, call.out_shape[0].cols);
    for (size_t row = first; row < last; ++row)
        gather(call.out[0] + row * s.c, call.in[0], s, row / (s.h * s.w), row / s.w % s.h,
               row % s.w);
    return false;
}

/// The small image is h x w, the large one (h * fy) x (w * fx).
struct Resample {
    size_t h, w, fy, fx, c;
    float scale;
};

Resample resample_of(const OpCall& call) {
    const auto& a = call.attributes;
    return {a[0], a[1], a[2], a[3], call.in_shape[0].cols, as_float(a[4])};
}

/// Task: one row of the large image.
bool upsample(const OpCall& call, size_t first, size_t last) {
    const Resample s = resample_of(call);
    for (size_t row = first; row < last; ++row) {
        const size_t x = row % (s.w * s.fx) / s.fx, line = row / (s.w * s.fx);
        const size_t y = line % (s.h * s.fy) / s.fy, image = line / (s.h * s.fy);
        const float* from = call.in[0] + ((image * s.h + y) * s.w + x) * s.c;
        for (size_t i = 0; i < s.c; ++i) call.out[0][row * s.c + i] = from[i] * s.scale;
    }
    return false;
}

/// Task: one row of the small image; sums in order (y, x) from +0, then the scale.
bool downsample(const OpCall& call, size_t first, size_t last) {
    const Resample s = resample_of(call);
    for (size_t row = first; row < last; ++row) {
        const size_t x = row % s.w, y = row / s.w % s.h, image = row / (s.w * s.h);
        float* to = call.out[0] + row * s.c;
        std::fill_n(to, s.c, 0.0F);
        for (size_t ky = 0; ky < s.fy; ++ky)
            for (size_t kx = 0; kx < s.fx; ++kx) {
                const size_t line = (image * s.h + y) * s.fy + ky;
                const float* from = call.in[0] + (line * s.w * s.fx + x * s.fx + kx) * s.c;
                for (size_t i = 0; i < s.c; ++i) to[i] = to[i] + from[i];
            }
        for (size_t i = 0; i < s.c; ++i) to[i] = to[i] * s.scale;
    }
    return false;
}

constexpr std::array kKernels{
    Kernel{Op::im2col, result_rows, im2col, 64},
    Kernel{Op::col2im, result_rows, col2im, 64},
    Kernel{Op::upsample, result_rows, upsample, 64},
    Kernel{Op::downsample, result_rows, downsample, 64},
};

}  // namespace

std::span<const Kernel> image_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
