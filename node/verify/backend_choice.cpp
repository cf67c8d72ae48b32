// SPDX-License-Identifier: Apache-2.0
// Choosing a back end at run time.
#include "node/verify/backend_choice.hpp"

#include <mutex>

#include "cuda/cuda_backend.hpp"

namespace trainyard::node::verify {
namespace {

/// The first device that is as good as the reference, and a back end on it.
struct FirstDevice {
    int index = -1;
    std::unique_ptr<training::Backend> backend;
};

FirstDevice find_device() {
    for (const auto& device : cuda::cuda_devices())
        if (auto backend = cuda::make_tested_cuda_backend(device.index))
            return {device.index, std::move(backend)};
    return {};
}

std::unique_ptr<training::Backend> make_cpu(unsigned threads) {
    return training::make_cpu_backend({training::CpuPath::best, threads});
}

}  // namespace

std::unique_ptr<training::Backend> make_backend(const BackendOptions& options) {
    if (options.allow_cuda)
        if (auto device = find_device(); device.backend) return std::move(device.backend);
    return make_cpu(options.threads);
}

std::function<std::unique_ptr<training::Backend>()> backend_maker(const BackendOptions& options) {
    struct State {
        std::mutex mutex;
        bool searched = false;
        int device = -1;
    };
    return [options, state = std::make_shared<State>()]() -> std::unique_ptr<training::Backend> {
        const std::lock_guard lock(state->mutex);
        if (options.allow_cuda && !state->searched) {
            state->searched = true;
            auto found = find_device();
            state->device = found.index;
            if (found.backend) return std::move(found.backend);
        }
        if (state->device >= 0)
            if (auto backend = cuda::make_cuda_backend(state->device)) return backend;
        return make_cpu(options.threads);
    };
}

}  // namespace trainyard::node::verify
