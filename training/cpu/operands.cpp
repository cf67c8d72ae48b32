// SPDX-License-Identifier: Apache-2.0
// Quantise a matrix by rows or columns and lay it out for the product kernel.
#include "training/cpu/operands.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/assert.hpp"
#include "training/memory.hpp"

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
    release_memory(data_);
}

uint8_t* Buffer::bytes(size_t count) {
    if (count <= size_) return data_;
    release_memory(data_);
    data_ = static_cast<uint8_t*>(take_memory(count));
    ASSERT(data_ != nullptr);
    size_ = count;
    return data_;
}

void Operand::begin(const Source& s, size_t groups, size_t terms, Side side) {
    s_ = s;
    groups_ = groups;
    terms_ = terms;
    side_ = side;
    amax_.resize(groups);
    scale_.resize(groups);
    inv_.resize(groups);
    nonfinite_ = false;
}

void Operand::set_scales(size_t first, size_t last) {
    const uint32_t top = k_.scales(&scale_[first], &inv_[first], &amax_[first], last - first);
    if (top >= 0x7f800000U) nonfinite_ = true;
}

void Operand::reserve(size_t count) {
    const bool left = side_ == Side::left;
    columns_ = count;
    panel_ = left ? k_.left_panel : k_.panel;
    panel_bytes_ = left ? k_.left_panel_bytes(terms_) : k_.panel_bytes(terms_);
    q_ = data_.bytes((count + k_.panel - 1) / k_.panel * (k_.panel / panel_) * panel_bytes_);
}

/// `count`: elements that are quantised in one call.
QuantiseArgs Operand::quantise_args(size_t row, size_t col, size_t count) const {
    QuantiseArgs args;
    args.x = s_.x + row * s_.stride + col;
    args.stride = s_.stride;
    args.words = s_.words != nullptr ? s_.words + row * s_.words_stride + col : nullptr;
    args.words_stride = s_.words_stride;
    args.left = side_ == Side::left;
    args.stage = stage().bytes(count * k_.element_bytes);
    return args;
}

void Operand::begin_rows(const Source& s, Side side) {
    begin(s, s.rows, s.cols, side);
    reserve(s.rows);
}

void Operand::fill_rows(size_t first, size_t last) {
    for (size_t r = first; r < last;
         r += k_.panel) {  // so few stay in the cache between the passes
        const size_t end = std::min(last, r + k_.panel);
        k_.amax_rows(&amax_[r], s_.x + r * s_.stride, end - r, s_.cols, s_.stride);
        set_scales(r, end);
        QuantiseArgs args = quantise_args(r, 0, (end - r) * s_.cols);
        args.inv = &inv_[r];
        args.inv_of_rows = true;
        k_.quantise_rows(q_ + r / panel_ * panel_bytes_, args, end - r, s_.cols);
    }
}

void Operand::begin_cols(const Source& s, Side side) {
    begin(s, s.cols, s.rows, side);
    reserve(s.cols);
}

void Operand::fill_cols(size_t first, size_t last) {
    const size_t width = last - first;
    std::memset(&amax_[first], 0, width * sizeof(uint32_t));
    k_.amax_cols(&amax_[first], s_.x + first, s_.rows, width, s_.stride);
    set_scales(first, last);
    QuantiseArgs args = quantise_args(0, first, s_.rows * width);
    args.inv = &inv_[first];
    k_.quantise_cols(q_ + first / panel_ * panel_bytes_, args, s_.rows, width);
}

void Operand::right_by_term(const Source& s) {
    begin(s, s.rows, s.rows, Side::right);
    reserve(s.cols);
    k_.amax_rows(amax_.data(), s.x, s.rows, s.cols, s.stride);
    set_scales(0, s.rows);
    QuantiseArgs args = quantise_args(0, 0, s.rows * s.cols);
    args.inv = inv_.data();
    args.inv_of_rows = true;
    k_.quantise_cols(q_, args, s.rows, s.cols);
}

void Operand::set_left(ProductArgs& args, size_t first) const {
    args.a = q_ + first / panel_ * panel_bytes_;
    args.a_panel = panel_bytes_;
    args.groups = (terms_ + k_.group - 1) / k_.group;
    args.sa = scale_.data() + first;
}

void Operand::set_right(ProductArgs& args, size_t first) const {
    args.b = q_ + first / panel_ * panel_bytes_;
    args.b_panel = panel_bytes_;
    const size_t end = (terms_ + k_.group - 1) / k_.group * k_.group * k_.panel * k_.element_bytes;
    args.sums = reinterpret_cast<const int32_t*>(args.b + end);
    args.sums_panel = panel_bytes_ / sizeof(int32_t);
    args.sb = scale_.data() + first;
}

void Operand::set_right_terms(ProductArgs& args, size_t first, size_t count,
                              std::vector<int32_t>& sums) const {
    set_right(args);
    if (count == terms_) return;
    args.b += first * k_.panel * k_.element_bytes;
    args.groups = (count + k_.group - 1) / k_.group;
    const size_t panels = (columns_ + k_.panel - 1) / k_.panel;
    sums.assign(panels * k_.panel, 0);
    for (size_t p = 0; p < panels; ++p)
        k_.flip_sums(sums.data() + p * k_.panel, args.b + p * panel_bytes_, args.groups);
    args.sums = sums.data();
    args.sums_panel = k_.panel;
}

}  // namespace trainyard::training::cpu
