// SPDX-License-Identifier: Apache-2.0
// Memory of a backend with an owner, and the tensors of a program in it.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "training/backend.hpp"
#include "training/tensor_bytes.hpp"

namespace trainyard::training {

/// Memory of a backend, released with its owner. The backend must outlive it.
class BackendMemory {
public:
    BackendMemory() = default;
    BackendMemory(Backend& backend, size_t bytes)
        : backend_(&backend), data_(backend.allocate(bytes)) {}
    BackendMemory(BackendMemory&& other) noexcept { swap(other); }
    BackendMemory& operator=(BackendMemory&& other) noexcept { return swap(other), *this; }
    ~BackendMemory() {
        if (data_ != nullptr) backend_->release(data_);
    }
    [[nodiscard]] bool ok() const { return data_ != nullptr; }
    [[nodiscard]] void* data() const { return data_; }
    [[nodiscard]] float* floats() const { return static_cast<float*>(data_); }

private:
    void swap(BackendMemory& other) {
        std::swap(backend_, other.backend_);
        std::swap(data_, other.data_);
    }
    Backend* backend_ = nullptr;
    void* data_ = nullptr;
};

/// A list of tensors where a backend computes: host tensors on a host backend, so that nothing is
/// ever copied there; one block of memory on a device. The backend must outlive it.
class TensorSet {
public:
    TensorSet() = default;
    /// Zeros; `ok` is false when there is no room.
    TensorSet(Backend& backend, const std::vector<Shape>& shapes);
    /// On a host backend `host` itself, which must stay in its place; else a copy.
    [[nodiscard]] static TensorSet of(Backend& backend, const std::vector<Tensor>& host);
    /// A copy on every backend.
    [[nodiscard]] static TensorSet of(Backend& backend, std::span<const TensorBytes> bytes);

    [[nodiscard]] bool ok() const { return backend_ != nullptr; }
    [[nodiscard]] size_t size() const { return views_.size(); }
    [[nodiscard]] float* at(size_t k) const { return const_cast<float*>(views_[k].data); }
    [[nodiscard]] size_t count(size_t k) const { return views_[k].shape.count(); }
    [[nodiscard]] std::span<const TensorView> views() const { return views_; }
    /// Where the elements of all tensors lie: on a device one piece, else tensor by tensor.
    [[nodiscard]] std::vector<std::span<float>> pieces() const;
    /// Bytes of the one piece on a device.
    [[nodiscard]] size_t block_bytes() const { return block_count_ * sizeof(float); }
    /// The elements tensor by tensor, where they lie: on a host.
    [[nodiscard]] std::vector<std::span<const float>> tensors() const;
    /// The same in a copy of the one piece.
    [[nodiscard]] std::vector<std::span<const float>> tensors_in(const void* copy) const;
    [[nodiscard]] bool fits(const std::vector<Shape>& shapes) const;

    /// Tensors of its own on a host backend move out, and the set is empty; else copies. Waits.
    [[nodiscard]] std::vector<Tensor> to_host();
    /// Copies to tensors of these shapes; nothing if they are those of the set. Waits.
    void copy_to(std::vector<Tensor>& host) const;

    void upload(const std::vector<Tensor>& host);  ///< of these shapes
    void clear();                                  ///< +0 everywhere
    void add(const TensorSet& other);              ///< this + other, element by element
    void check_finite() const;                     ///< raises the backend's flag for an Inf or NaN

private:
    Backend* backend_ = nullptr;
    std::vector<TensorView> views_;
    std::vector<Tensor> own_;  ///< of a host backend, where they are not borrowed
    BackendMemory block_;      ///< of a device
    size_t block_count_ = 0;   ///< elements of the block; +0 between the tensors
};

}  // namespace trainyard::training
