// SPDX-License-Identifier: Apache-2.0
// Where the tensors of a set lie, and their way to the host.
#include "training/tensor_set.hpp"

#include <algorithm>

namespace trainyard::training {

namespace {

/// Elements that a tensor takes of a block: every tensor starts at a multiple of 256 bytes.
size_t room_for(const Shape& shape) {
    constexpr size_t kElements = 64;
    return (shape.count() + kElements - 1) / kElements * kElements;
}

}  // namespace

TensorSet::TensorSet(Backend& backend, const std::vector<Shape>& shapes) {
    if (backend.is_host()) {
        for (const Shape& shape : shapes) own_.push_back(Tensor::zeros(shape));
        views_.assign(own_.begin(), own_.end());
        backend_ = &backend;
        return;
    }
    for (const Shape& shape : shapes) block_count_ += room_for(shape);
    block_ = BackendMemory(backend, block_count_ * sizeof(float));
    if (!block_.ok()) return;
    const float* at = block_.floats();
    for (const Shape& shape : shapes) {
        views_.emplace_back(at, shape);
        at += room_for(shape);
    }
    backend_ = &backend;
}

TensorSet TensorSet::of(Backend& backend, const std::vector<Tensor>& host) {
    TensorSet out;
    if (backend.is_host()) {
        out.views_.assign(host.begin(), host.end());
        out.backend_ = &backend;
        return out;
    }
    std::vector<Shape> shapes;
    for (const Tensor& t : host) shapes.push_back(t.shape);
    out = TensorSet(backend, shapes);
    if (out.ok()) out.upload(host);
    return out;
}

TensorSet TensorSet::of(Backend& backend, std::span<const TensorBytes> bytes) {
    TensorSet out;
    if (backend.is_host()) {
        out.own_ = read_tensors(bytes, backend.pool());
        out.views_.assign(out.own_.begin(), out.own_.end());
        out.backend_ = &backend;
        return out;
    }
    std::vector<Shape> shapes;
    for (const TensorBytes& t : bytes) shapes.push_back(t.shape);
    out = TensorSet(backend, shapes);
    for (size_t k = 0; k < out.size(); ++k)
        backend.upload(out.at(k), bytes[k].data, bytes[k].size());
    return out;
}

std::vector<std::span<float>> TensorSet::pieces() const {
    if (block_.ok()) return {{block_.floats(), block_count_}};
    std::vector<std::span<float>> out;
    for (size_t k = 0; k < size(); ++k) out.emplace_back(at(k), count(k));
    return out;
}

std::vector<std::span<const float>> TensorSet::tensors() const {
    std::vector<std::span<const float>> out;
    for (size_t k = 0; k < size(); ++k) out.emplace_back(at(k), count(k));
    return out;
}

std::vector<std::span<const float>> TensorSet::tensors_in(const void* copy) const {
    std::vector<std::span<const float>> out;
    for (size_t k = 0; k < size(); ++k)
        out.emplace_back(static_cast<const float*>(copy) + (at(k) - at(0)), count(k));
    return out;
}

bool TensorSet::fits(const std::vector<Shape>& shapes) const {
    return std::equal(views_.begin(), views_.end(), shapes.begin(), shapes.end(),
                      [](const TensorView& view, const Shape& s) { return view.shape == s; });
}

void TensorSet::upload(const std::vector<Tensor>& host) {
    for (size_t k = 0; k < size(); ++k)
        backend_->upload(at(k), host[k].data.data(), count(k) * sizeof(float));
}

std::vector<Tensor> TensorSet::to_host() {
    if (!own_.empty()) {
        views_.clear();
        backend_ = nullptr;
        return std::exchange(own_, {});
    }
    std::vector<Tensor> out;
    for (const TensorView& view : views_) out.push_back(Tensor::zeros(view.shape));
    copy_to(out);
    return out;
}

void TensorSet::copy_to(std::vector<Tensor>& host) const {
    for (size_t k = 0; k < size(); ++k)
        if (host[k].data.data() != at(k))
            backend_->download(host[k].data.data(), at(k), count(k) * sizeof(float));
}

void TensorSet::clear() {
    if (block_.ok()) return backend_->fill_zero(block_.floats(), block_count_);
    for (size_t k = 0; k < size(); ++k) backend_->fill_zero(at(k), count(k));
}

void TensorSet::add(const TensorSet& other) {
    if (block_.ok())
        return backend_->add(block_.floats(), block_.floats(), other.block_.floats(), block_count_);
    for (size_t k = 0; k < size(); ++k) backend_->add(at(k), at(k), other.at(k), count(k));
}

void TensorSet::check_finite() const {
    if (block_.ok()) return backend_->check_finite(block_.floats(), block_count_);
    for (size_t k = 0; k < size(); ++k) backend_->check_finite(at(k), count(k));
}

}  // namespace trainyard::training
