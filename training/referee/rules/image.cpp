// SPDX-License-Identifier: Apache-2.0
// Patches of images and changes of resolution. An image is height * width rows of channels:
// docs/spec/numerics.md, section 17.
#include "core/assert.hpp"
#include "training/referee/rules/folds.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Of element a of the output, the sum up to and with chunk d of what it adds.
enum Kind : uint8_t { kSum = kFirstOwnKind };

struct Window {
    uint32_t h, w, kernel, stride, pad, c, out_h, out_w;
};

Window window_of(const Call& call, uint32_t channels) {
    const auto& a = call.attributes;
    Window s{a[0], a[1], a[2], a[3], a[4], channels, 0, 0};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

Line im2col_line(const Call& call, uint32_t element) {
    const Window s = window_of(call, call.in[0].cols);
    const uint32_t row = element / call.out[0].cols, col = element % call.out[0].cols;
    const uint32_t image = row / (s.out_h * s.out_w), at = row % (s.out_h * s.out_w);
    const uint32_t place = col / s.c;
    const uint32_t y = at / s.out_w * s.stride + place / s.kernel - s.pad;  // wraps when outside
    const uint32_t x = at % s.out_w * s.stride + place % s.kernel - s.pad;
    if (y >= s.h || x >= s.w) return fixed_line(0.0F);
    return copy_line(input(0, ((image * s.h + y) * s.w + x) * s.c + col % s.c));
}

/// Along one side of the image: a window that holds the position, and where in it.
struct Cover {
    uint32_t in_window, window;
};
std::vector<Cover> covers(uint32_t position, const Window& s, uint32_t windows) {
    std::vector<Cover> out;
    for (uint32_t k = 0; k < s.kernel && k <= position + s.pad; ++k) {
        const uint32_t from = position + s.pad - k;
        if (from % s.stride == 0 && from / s.stride < windows) out.push_back({k, from / s.stride});
    }
    return out;
}

float add(float acc, std::span<const uint32_t> x) {
    return acc + as_float(x[0]);
}

Fold patches_of(const Call& call, uint32_t element) {
    const Window s = window_of(call, call.out[0].cols);
    const uint32_t row = element / s.c, image = row / (s.h * s.w);
    const auto ys = covers(row / s.w % s.h, s, s.out_h), xs = covers(row % s.w, s, s.out_w);
    Fold fold;
    fold.count = static_cast<uint32_t>(ys.size() * xs.size());
    fold.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        const Cover y = ys[i / xs.size()], x = xs[i % xs.size()];
        const uint32_t patch = (image * s.out_h + y.window) * s.out_w + x.window;
        const uint32_t place = (patch * s.kernel + y.in_window) * s.kernel + x.in_window;
        to.push_back(input(0, place * s.c + element % s.c));
    };
    fold.update = add;
    return fold;
}

/// The small image is h x w, the large one (h * fy) x (w * fx).
struct Resample {
    uint32_t h, w, fy, fx, c;
    float scale;
};

Resample resample_of(const Call& call) {
    const auto& a = call.attributes;
    return {a[0], a[1], a[2], a[3], call.in[0].cols, as_float(a[4])};
}

Line scaled_line(const Term& part, float scale) {
    return make_line({part},
                     [scale](std::span<const uint32_t> x) { return as_float(x[0]) * scale; });
}

Line upsample_line(const Call& call, uint32_t element) {
    const Resample s = resample_of(call);
    const uint32_t row = element / s.c;
    const uint32_t x = row % (s.w * s.fx) / s.fx, line = row / (s.w * s.fx);
    const uint32_t y = line % (s.h * s.fy) / s.fy, image = line / (s.h * s.fy);
    return scaled_line(input(0, ((image * s.h + y) * s.w + x) * s.c + element % s.c), s.scale);
}

Fold places_of(const Call& call, uint32_t element) {
    const Resample s = resample_of(call);
    const uint32_t row = element / s.c;
    const uint32_t x = row % s.w, line = row / s.w;  // over all images
    Fold fold;
    fold.count = s.fy * s.fx;
    fold.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        const uint32_t from = (line * s.fy + i / s.fx) * s.w * s.fx + x * s.fx + i % s.fx;
        to.push_back(input(0, from * s.c + element % s.c));
    };
    fold.update = add;
    return fold;
}

}  // namespace

Line image_line(const Call& call, const Term& term) {
    if (call.op == Op::im2col) return im2col_line(call, term.a);
    if (call.op == Op::upsample) return upsample_line(call, term.a);
    const bool is_patches = call.op == Op::col2im;
    const Fold fold = is_patches ? patches_of(call, term.a) : places_of(call, term.a);
    if (term.kind == kSum) return fold_line(term, fold);
    ASSERT(term.kind == kOutput);
    const Term sum = whole_term({kSum, 0, term.a}, fold.count);
    return is_patches ? fold_line(sum, fold) : scaled_line(sum, resample_of(call).scale);
}

}  // namespace trainyard::training::referee
