// SPDX-License-Identifier: Apache-2.0
// Queues of work, done when they are waited for.
#include "streams.hpp"

#include <algorithm>

namespace emulated {

namespace {
std::vector<Stream*>& all_streams() {
    static std::vector<Stream*> all;
    return all;
}
}  // namespace

Stream::Stream() {
    all_streams().push_back(this);
}
Stream::~Stream() {
    static_cast<void>(finish());
    std::erase(all_streams(), this);
}

void Stream::put(Work work) {
    waiting_.push_back(std::move(work));
    ends_with_kernel_ = false;
}

cudaError_t Stream::finish(uint64_t length) {
    while (begun_ < length && !waiting_.empty()) {
        const Work work = std::move(waiting_.front());
        waiting_.erase(waiting_.begin());
        ++begun_;
        const cudaError_t result = work();
        if (error_ == cudaSuccess) error_ = result;
    }
    return error_;
}

void finish_streams() {
    const std::vector<Stream*> all = all_streams();
    for (Stream* stream : all) static_cast<void>(stream->finish());
}

size_t waiting_work() {
    size_t sum = 0;
    for (const Stream* stream : all_streams()) sum += stream->waiting();
    return sum;
}

}  // namespace emulated
