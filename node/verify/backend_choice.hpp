// SPDX-License-Identifier: Apache-2.0
// The fastest back end of this machine: CUDA where there is a device, else the CPU.
#pragma once

#include <memory>

#include "training/backend.hpp"

namespace trainyard::node::verify {

struct BackendOptions {
    unsigned threads = 1;
    bool allow_cuda = true;
};
[[nodiscard]] std::unique_ptr<training::Backend> make_backend(const BackendOptions& options);

}  // namespace trainyard::node::verify
