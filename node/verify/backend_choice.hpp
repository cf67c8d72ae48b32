// SPDX-License-Identifier: Apache-2.0
// The fastest back end of this machine: CUDA where a device passes its self-test, else the CPU.
#pragma once

#include <functional>
#include <memory>

#include "training/backend.hpp"

namespace trainyard::node::verify {

struct BackendOptions {
    unsigned threads = 1;  ///< of the CPU path
    bool allow_cuda = true;
};
[[nodiscard]] std::unique_ptr<training::Backend> make_backend(const BackendOptions& options);

/// Makes any number of back ends of one kind; only the first one of a device is tested.
/// Thread-safe.
[[nodiscard]] std::function<std::unique_ptr<training::Backend>()> backend_maker(
    const BackendOptions& options);

}  // namespace trainyard::node::verify
