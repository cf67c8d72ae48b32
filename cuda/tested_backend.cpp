// SPDX-License-Identifier: Apache-2.0
// A device is used only after its self-test; without a toolkit there is none.
#include "cuda/cuda_backend.hpp"
#include "cuda/challenge.hpp"
#include "training/self_test.hpp"

namespace trainyard::cuda {

std::string_view to_text(Products products) {
    switch (products) {
        case Products::fastest:
            return "fastest";
        case Products::int8:
            return "int8";
        case Products::warpgroup:
            return "warpgroup";
        case Products::bulk:
            return "bulk";
        case Products::pairs:
            return "pairs";
        case Products::alternating:
            return "alternating";
        case Products::bf16:
            return "bf16";
    }
    return "";
}

namespace {

/// Whether blocks take tile after tile.
bool shares_tiles(Products products) {
    return products == Products::bulk || products == Products::pairs ||
           products == Products::alternating;
}

std::unique_ptr<training::Backend> make_tested(int device, Products products, ProductBlocks blocks,
                                               std::string& why) {
    auto backend = make_cuda_backend(device, &why, products, blocks);
    if (backend == nullptr) return nullptr;
    const auto passed = training::self_test(*backend);
    if (passed) return backend;
    why = backend->name() + " failed its self-test: " + passed.error();
    return nullptr;
}

}  // namespace

std::unique_ptr<training::Backend> make_tested_cuda_backend(int device, std::string* reason) {
    const auto all = cuda_products(device);
    if (all.empty()) return make_cuda_backend(device, reason);  // says why
    std::string failures;
    for (const Products products : all) {
        std::string why;
        if (!shares_tiles(products) || make_tested(device, products, ProductBlocks::few, why))
            if (auto backend = make_tested(device, products, ProductBlocks::all, why))
                return backend;
        failures += (failures.empty() ? "" : "; ") + why;
    }
    if (reason != nullptr) *reason = failures;
    return nullptr;
}

#ifndef TRAINYARD_HAS_CUDA

std::vector<DeviceInfo> cuda_devices() {
    return {};
}

std::string cuda_unavailable() {
    return "built without CUDA: install the CUDA toolkit and configure with TRAINYARD_CUDA=ON";
}

std::vector<Products> cuda_products(int) {
    return {};
}

std::unique_ptr<training::Backend> make_cuda_backend(int, std::string* reason, Products,
                                                     ProductBlocks, unsigned, Checksums) {
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
