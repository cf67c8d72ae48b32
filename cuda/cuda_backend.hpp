// SPDX-License-Identifier: Apache-2.0
// CUDA devices as training backends: the same bits as training/reference, checked before use.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "training/backend.hpp"

namespace trainyard::cuda {

struct DeviceInfo {
    int index = 0;
    std::string name;          ///< "NVIDIA H100 80GB HBM3"
    size_t memory_bytes = 0;   ///< of the whole device
    int major = 0, minor = 0;  ///< compute capability; at least 8.0
    int driver = 0;            ///< CUDA version of the driver, 13000 for 13.0
    int runtime = 0;           ///< CUDA version that this program was built with
};

/// The devices that the backend can use, by index. Empty where the program was built without a
/// CUDA toolkit; `cuda_unavailable` says why.
[[nodiscard]] std::vector<DeviceInfo> cuda_devices();

/// One line for people: why `cuda_devices` is empty. Empty text when it is not.
[[nodiscard]] std::string cuda_unavailable();

/// A backend on one device, for one thread at a time; nullptr with one line in `reason` if there
/// is no such device. Not yet trusted: see `make_tested_cuda_backend`.
[[nodiscard]] std::unique_ptr<training::Backend> make_cuda_backend(int device,
                                                                   std::string* reason = nullptr);

/// The backend of `device` after it has passed training/self_test.hpp, else nullptr and the reason.
[[nodiscard]] std::unique_ptr<training::Backend> make_tested_cuda_backend(
    int device, std::string* reason = nullptr);

}  // namespace trainyard::cuda
