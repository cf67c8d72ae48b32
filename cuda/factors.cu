// SPDX-License-Identifier: Apache-2.0
// Quantises the weights of a step, layers of one shape together.
#include "cuda/factors.cuh"

#include <utility>

namespace trainyard::cuda {

namespace {

/// Enough rows of the other operand for every way of making products.
constexpr uint32_t kManyRows = 1U << 20;

constexpr size_t kAlignment = 256;

size_t aligned(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

size_t operand_bytes(uint32_t batch, uint32_t groups, uint32_t k, Layout layout) {
    return aligned(size_t{batch} * groups * padded_terms(k, layout)) +
           aligned(size_t{batch} * groups * sizeof(float));
}

/// An operand for a whole batch at `to`, which moves on behind it.
Operand place_operand(std::byte*& to, uint32_t batch, uint32_t groups, uint32_t k, Layout layout) {
    Operand out;
    out.groups = groups;
    out.k = padded_terms(k, layout);
    out.layout = layout;
    out.q = reinterpret_cast<int8_t*>(to);
    out.scale = reinterpret_cast<float*>(to + aligned(size_t{batch} * groups * out.k));
    to += operand_bytes(batch, groups, k, layout);
    return out;
}

/// Matrix z of the batch.
Operand part_of(Operand x, uint32_t z) {
    x.q += size_t{z} * x.groups * x.k;
    x.scale += size_t{z} * x.groups;
    return x;
}

}  // namespace

std::vector<Factors::Batch> Factors::batches_of(std::span<const training::TensorView> w) {
    std::vector<Batch> out;
    for (const training::TensorView& x : w) {
        const auto continues = [&x](Batch& b) {
            if (b.rows != x.shape.rows || b.cols != x.shape.cols || x.data <= b.first) return false;
            const auto from_first = static_cast<size_t>(x.data - b.first);
            if (b.count == 1) b.apart = from_first;
            return from_first == b.count * b.apart;
        };
        bool found = false;
        for (Batch& b : out) {
            found = continues(b);
            if (found) ++b.count;
            if (found) break;
        }
        if (!found) out.push_back({x.data, 0, 1, x.shape.rows, x.shape.cols});
    }
    return out;
}

BothLayouts Factors::layouts_of(const Batch& b) const {
    return {product_layout(on_, kManyRows, b.rows), product_layout(on_, kManyRows, b.cols)};
}

void Factors::quantise(const Batch& b, std::byte* to) {
    const BothLayouts layouts = layouts_of(b);
    const BothWays all{place_operand(to, b.count, b.rows, b.cols, layouts.rows),
                       place_operand(to, b.count, b.cols, b.rows, layouts.cols)};
    on_.begin();
    quantise_both_into(on_, b.count, {b.first, b.rows, b.cols, b.cols, {1, 0, b.apart, 0}}, {},
                       all);
    for (uint32_t z = 0; z < b.count; ++z)
        kept_.emplace(b.first + z * b.apart, BothWays{part_of(all.rows, z), part_of(all.cols, z)});
}

void Factors::keep(std::span<const training::TensorView> w) {
    kept_.clear();
    const std::vector<Batch> batches = batches_of(w);
    const auto bytes_of = [this](const Batch& b) {
        const BothLayouts layouts = layouts_of(b);
        return operand_bytes(b.count, b.rows, b.cols, layouts.rows) +
               operand_bytes(b.count, b.cols, b.rows, layouts.cols);
    };
    size_t bytes = 0;
    for (const Batch& b : batches) bytes += bytes_of(b);
    if (bytes == 0) return;
    if (bytes != wanted_) {  // the operators of a new program take what memory they need first
        drop_memory();
        wanted_ = bytes;
        return;
    }
    if (!make_room(bytes)) return;
    auto* to = static_cast<std::byte*>(memory_);
    for (const Batch& b : batches) {
        quantise(b, to);
        to += bytes_of(b);
    }
}

Operand Factors::by_columns(const float* w, training::LinearShape s) {
    const Layout layout = product_layout(on_, s.n, s.o);
    const auto found = kept_.find(w);
    if (found != kept_.end() && found->second.cols.layout == layout) return found->second.cols;
    return quantise_cols(on_, 1, {w, s.i, s.o, s.o, {}}, layout);
}

Operand Factors::by_rows(const float* w, training::LinearShape s) {
    const Layout layout = product_layout(on_, s.n, s.i);
    const auto found = kept_.find(w);
    if (found != kept_.end() && found->second.rows.layout == layout) return found->second.rows;
    return quantise_rows(on_, 1, {w, s.i, s.o, s.o, {}}, {}, layout);
}

bool Factors::make_room(size_t bytes) {
    if (memory_ != nullptr) return true;
    on_.begin();
    if (on_.ok()) memory_ = on_.allocate_spare(bytes);
    return memory_ != nullptr;
}

void Factors::drop_memory() {
    if (memory_ != nullptr) on_.release(std::exchange(memory_, nullptr));
}

}  // namespace trainyard::cuda
