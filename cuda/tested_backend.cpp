// SPDX-License-Identifier: Apache-2.0
// A device is used only after its self-test; without a toolkit there is none.
#include "cuda/cuda_backend.hpp"
#include "cuda/challenge.hpp"
#include "training/self_test.hpp"

namespace trainyard::cuda {

std::unique_ptr<training::Backend> make_tested_cuda_backend(int device, std::string* reason) {
    for (const Products products : {Products::fastest, Products::int8}) {
        auto backend = make_cuda_backend(device, reason, products);
        if (backend == nullptr) return nullptr;
        const auto passed = training::self_test(*backend);
        if (passed) return backend;
        if (reason != nullptr)
            *reason = backend->name() + " failed its self-test: " + passed.error();
    }
    return nullptr;
}

#ifndef TRAINYARD_HAS_CUDA

std::vector<DeviceInfo> cuda_devices() {
    return {};
}

std::string cuda_unavailable() {
    return "built without CUDA: install the CUDA toolkit and configure with TRAINYARD_CUDA=ON";
}

std::unique_ptr<training::Backend> make_cuda_backend(int, std::string* reason, Products) {
    if (reason != nullptr) *reason = cuda_unavailable();
    return nullptr;
}

training::ChallengeChain make_device_chain(int, const training::Challenge&) {
    return [](std::span<int8_t>) -> Result<Done, training::BackendError> {
        return unexpected(training::BackendError::device_failed);
    };
}

#endif

}  // namespace trainyard::cuda
