// SPDX-License-Identifier: Apache-2.0
// Pinned host memory that copies pass through, so that the host goes on while the device copies.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

namespace trainyard::cuda {

/// Pinned memory and the event after which the device has done with it.
class PinnedSlot {
public:
    static constexpr size_t kBytes = size_t{1} << 20;

    PinnedSlot() = default;
    PinnedSlot(const PinnedSlot&) = delete;
    PinnedSlot& operator=(const PinnedSlot&) = delete;
    ~PinnedSlot() {
        if (done_ != nullptr) static_cast<void>(cudaEventDestroy(done_));
        if (memory_ != nullptr) static_cast<void>(cudaFreeHost(memory_));
    }
    cudaError_t open() {
        cudaError_t made = cudaSuccess;
        if (done_ == nullptr) {
            made = cudaEventCreateWithFlags(&done_, cudaEventDisableTiming);
            if (made != cudaSuccess) done_ = nullptr;
        }
        if (memory_ == nullptr && made == cudaSuccess) {
            made = cudaMallocHost(&memory_, kBytes);
            if (made != cudaSuccess) memory_ = nullptr;  // what a failed call leaves is undefined
        }
        return made;
    }
    [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(memory_); }
    /// Behind a copy; without the event nobody could wait for it later.
    cudaError_t record(cudaStream_t stream) {
        const cudaError_t result = cudaEventRecord(done_, stream);
        if (result != cudaSuccess) static_cast<void>(cudaStreamSynchronize(stream));
        return result;
    }
    cudaError_t wait() { return cudaEventSynchronize(done_); }

private:
    void* memory_ = nullptr;
    cudaEvent_t done_ = nullptr;
};

/// Copies in pieces through slots in turn. Used by one stream alone.
class Staging {
public:
    /// The host's memory may change when this returns; waits only where all slots are in use.
    cudaError_t upload(void* to, const void* from_host, size_t bytes, cudaStream_t stream) {
        cudaError_t result = cudaSuccess;
        for (size_t at = 0; at < bytes && result == cudaSuccess; at += PinnedSlot::kBytes) {
            const size_t some = std::min(PinnedSlot::kBytes, bytes - at);
            PinnedSlot& slot = slots_[next_++ % kSlots];
            result = slot.open();
            if (result == cudaSuccess) result = slot.wait();
            if (result != cudaSuccess) break;
            std::memcpy(slot.data(), static_cast<const std::byte*>(from_host) + at, some);
            result = cudaMemcpyAsync(static_cast<std::byte*>(to) + at, slot.data(), some,
                                     cudaMemcpyHostToDevice, stream);
            if (result == cudaSuccess) result = slot.record(stream);
        }
        return result;
    }

    /// Waits. The device fills slots ahead of the one that the host empties.
    cudaError_t download(void* to_host, const void* from, size_t bytes, cudaStream_t stream) {
        const size_t pieces = (bytes + PinnedSlot::kBytes - 1) / PinnedSlot::kBytes;
        cudaError_t result = cudaSuccess;
        for (size_t i = 0; i < pieces + kSlots && result == cudaSuccess; ++i) {
            PinnedSlot& slot = slots_[i % kSlots];
            if (i >= kSlots && i - kSlots < pieces) {
                const size_t at = (i - kSlots) * PinnedSlot::kBytes;
                result = slot.wait();
                if (result != cudaSuccess) break;
                std::memcpy(static_cast<std::byte*>(to_host) + at, slot.data(),
                            std::min(PinnedSlot::kBytes, bytes - at));
            }
            if (i >= pieces) continue;
            const size_t at = i * PinnedSlot::kBytes;
            result = slot.open();
            if (result == cudaSuccess)
                result = cudaMemcpyAsync(slot.data(), static_cast<const std::byte*>(from) + at,
                                         std::min(PinnedSlot::kBytes, bytes - at),
                                         cudaMemcpyDeviceToHost, stream);
            if (result == cudaSuccess) result = slot.record(stream);
        }
        return result;
    }

private:
    /// A step uploads in small pieces, and the host must not wait for the slot of one of them.
    static constexpr size_t kSlots = 16;
    std::array<PinnedSlot, kSlots> slots_;
    size_t next_ = 0;
};

/// Small downloads that are complete once the stream was waited for.
class Fetches {
public:
    [[nodiscard]] bool fits(size_t bytes) const { return bytes <= PinnedSlot::kBytes - used_; }
    /// Precondition: it fits.
    cudaError_t start(void* to_host, const void* from, size_t bytes, cudaStream_t stream) {
        cudaError_t result = slot_.open();
        if (result == cudaSuccess)
            result =
                cudaMemcpyAsync(slot_.data() + used_, from, bytes, cudaMemcpyDeviceToHost, stream);
        if (result != cudaSuccess) return result;
        open_.push_back({to_host, used_, bytes});
        used_ += (bytes + 15) / 16 * 16;
        return result;
    }
    /// Precondition: the stream was waited for.
    void finish() {
        for (const Fetch& f : open_) std::memcpy(f.to_host, slot_.data() + f.at, f.bytes);
        drop();
    }
    /// After an error: what was asked for does not come.
    void drop() {
        open_.clear();
        used_ = 0;
    }

private:
    struct Fetch {
        void* to_host;
        size_t at, bytes;
    };
    PinnedSlot slot_;
    std::vector<Fetch> open_;
    size_t used_ = 0;
};

}  // namespace trainyard::cuda
