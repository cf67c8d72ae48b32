// SPDX-License-Identifier: Apache-2.0
// Streams and events of the emulated device: what is put on a stream takes place as late as it may.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "cuda_errors.hpp"

namespace emulated {

/// Work in order, which waits until someone waits for it: the host for the stream or for an event
/// behind the work, another stream for such an event, or the freeing of memory for everything.
class Stream {
public:
    using Work = std::function<cudaError_t()>;

    Stream();
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    void put(Work work);
    void put_kernel(Work work) {
        put(std::move(work));
        ends_with_kernel_ = true;
    }
    /// What was put on it last is a kernel, which a next one may overlap.
    [[nodiscard]] bool ends_with_kernel() const { return ends_with_kernel_; }
    /// How much was put on it so far.
    [[nodiscard]] uint64_t length() const { return begun_ + waiting_.size(); }
    [[nodiscard]] size_t waiting() const { return waiting_.size(); }
    /// Does what was put before `length`; the first error of any work so far.
    cudaError_t finish(uint64_t length);
    cudaError_t finish() { return finish(length()); }

private:
    std::vector<Work> waiting_;
    bool ends_with_kernel_ = false;
    uint64_t begun_ = 0;
    cudaError_t error_ = cudaSuccess;
};

/// A point of a stream; none yet: nothing to wait for.
struct Event {
    Stream* stream = nullptr;
    uint64_t length = 0;
    cudaError_t wait() const { return stream != nullptr ? stream->finish(length) : cudaSuccess; }
};

/// Does everything on all streams.
void finish_streams();
/// How much waits on all streams.
[[nodiscard]] size_t waiting_work();

}  // namespace emulated
