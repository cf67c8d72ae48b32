// SPDX-License-Identifier: Apache-2.0
// Quantise a matrix by rows or columns and lay it out for the product kernel.
#include "training/cpu/operands.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "training/numerics/quantise.hpp"

namespace trainyard::training::cpu {

namespace {

/// The stage between quantising and packing, one per thread and call depth.
Buffer& stage() {
    thread_local Buffer buffer;
    return buffer;
}

}  // namespace

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Buffer::~Buffer() {
    std::free(data_);
}

uint8_t* Buffer::bytes(size_t count) {
    if (count <= size_) return data_;
    std::free(data_);
    data_ = static_cast<uint8_t*>(std::aligned_alloc(64, (count + 63) / 64 * 64));
    ASSERT(data_ != nullptr);
    size_ = count;
    return data_;
}

void Operand::begin(const Source& s, size_t groups) {
    s_ = s;
    groups_ = groups;
    scale_.resize(groups);
    inv_.resize(groups);
    nonfinite_ = false;
    row_major_ = false;
}

void Operand::set_scale(size_t group, uint32_t amax) {
    const Scale scale = scale_of(amax);
    scale_[group] = scale.s;
    inv_[group] = scale.inv;
    if (amax >= 0x7f800000U) nonfinite_ = true;
}

void Operand::begin_left_rows(const Source& s) {
    begin(s, s.rows);
    terms_ = s.cols;
    row_major_ = true;
    row_bytes_ = (s.cols + k_.group - 1) / k_.group * k_.group * k_.element_bytes;
    q_ = data_.bytes((s.rows + k_.rows) * row_bytes_);
}

void Operand::left_rows(size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) {
        const float* x = s_.x + r * s_.stride;
        set_scale(r, k_.amax(x, s_.cols));
        const uint16_t* words = s_.words != nullptr ? s_.words + r * s_.words_stride : nullptr;
        k_.quantise_by_row(q_ + r * row_bytes_, x, s_.cols, inv_[r], words, k_.flip);
    }
}

void Operand::begin_left_cols(const Source& s) {
    begin_right_cols(s);
}
void Operand::left_cols(size_t first, size_t last) {
    columns(first, last, k_.flip);
}

void Operand::begin_right_cols(const Source& s) {
    begin(s, s.cols);
    terms_ = s.rows;
    panel_bytes_ = k_.panel_bytes(s.rows);
    q_ = data_.bytes((s.cols + k_.panel - 1) / k_.panel * panel_bytes_);
}

void Operand::right_cols(size_t first, size_t last) {
    columns(first, last, 0);
}

void Operand::columns(size_t first, size_t last, uint32_t flip) {
    const size_t width = last - first;
    std::vector<uint32_t> amax(width, 0);
    k_.amax_cols(amax.data(), s_.x + first, s_.rows, width, s_.stride);
    for (size_t c = 0; c < width; ++c) set_scale(first + c, amax[c]);
    uint8_t* staged = stage().bytes(s_.rows * width * k_.element_bytes);
    for (size_t r = 0; r < s_.rows; ++r) {
        const uint16_t* words =
            s_.words != nullptr ? s_.words + r * s_.words_stride + first : nullptr;
        k_.quantise_by_col(staged + r * width * k_.element_bytes, s_.x + r * s_.stride + first,
                           width, &inv_[first], words);
    }
    const size_t panels = (width + k_.panel - 1) / k_.panel;
    k_.pack_cols(q_ + first / k_.panel * panel_bytes_, staged, s_.rows, width, width, flip, 0,
                 panels);
}

void Operand::begin_right_rows(const Source& s) {
    begin(s, s.rows);
    terms_ = s.cols;
    panel_bytes_ = k_.panel_bytes(s.cols);
    q_ = data_.bytes((s.rows + k_.panel - 1) / k_.panel * panel_bytes_);
}

void Operand::right_rows(size_t first, size_t last) {
    const size_t height = last - first;
    uint8_t* staged = stage().bytes(height * s_.cols * k_.element_bytes);
    for (size_t r = first; r < last; ++r) {
        const float* x = s_.x + r * s_.stride;
        set_scale(r, k_.amax(x, s_.cols));
        const uint16_t* words = s_.words != nullptr ? s_.words + r * s_.words_stride : nullptr;
        k_.quantise_by_row(staged + (r - first) * s_.cols * k_.element_bytes, x, s_.cols, inv_[r],
                           words, 0);
    }
    const size_t panels = (height + k_.panel - 1) / k_.panel;
    k_.pack_rows(q_ + first / k_.panel * panel_bytes_, staged, s_.cols, height, s_.cols, 0, panels);
}

void Operand::right_by_term(const Source& s) {
    begin(s, s.rows);
    terms_ = s.rows;
    panel_bytes_ = k_.panel_bytes(s.rows);
    const size_t panels = (s.cols + k_.panel - 1) / k_.panel;
    q_ = data_.bytes(panels * panel_bytes_);
    uint8_t* staged = stage().bytes(s.rows * s.cols * k_.element_bytes);
    for (size_t r = 0; r < s.rows; ++r) {
        const float* x = s.x + r * s.stride;
        set_scale(r, k_.amax(x, s.cols));
        k_.quantise_by_row(staged + r * s.cols * k_.element_bytes, x, s.cols, inv_[r], nullptr, 0);
    }
    k_.pack_cols(q_, staged, s.rows, s.cols, s.cols, 0, 0, panels);
}

void Operand::set_left(ProductArgs& args) const {
    args.a = q_;
    args.groups = (terms_ + k_.group - 1) / k_.group;
    args.sa = scale_.data();
    const size_t unit = k_.group * k_.element_bytes;
    args.a_row = row_major_ ? row_bytes_ : unit;
    args.a_step = row_major_ ? unit : unit * k_.panel;
    args.a_panel = row_major_ ? 0 : panel_bytes_;
}

void Operand::set_right(ProductArgs& args) const {
    args.b = q_;
    args.sb = scale_.data();
}

}  // namespace trainyard::training::cpu
