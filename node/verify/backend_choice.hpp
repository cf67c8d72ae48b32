// SPDX-License-Identifier: Apache-2.0
// The fastest back end of this machine whose bits are right: devices, then the CPU's paths, each
// tested before it is used.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/cuda_backend.hpp"
#include "training/backend.hpp"

namespace trainyard::node::verify {

struct BackendOptions {
    unsigned threads = 1;  ///< of the CPU path, and beside a device
    bool allow_cuda = true;
    training::CpuPath path = training::CpuPath::best;  ///< any other: it alone, and no device
    uint32_t first_device = 0;  ///< tried first, modulo their number; then those after it
    cuda::Checksums checksums = cuda::Checksums::where_no_ecc;  ///< of a device's products
};

using BackendMaker = std::function<std::unique_ptr<training::Backend>()>;

/// What training/self_test.hpp said about one device or CPU path.
struct TestedBackend {
    std::string name;        ///< "cuda NVIDIA H100", "avx512"
    std::string failure;     ///< empty if it passed; else it names the operator
    uint32_t operators = 0;  ///< that gave their committed hashes
    uint64_t ms = 0;
    [[nodiscard]] bool passed() const { return failure.empty(); }
};
/// "avx512: 51 operators equal their committed hashes (74 ms)".
[[nodiscard]] std::string to_text(const TestedBackend& tested);

struct BackendChoice {
    std::vector<TestedBackend> tested;           ///< best first; only the last one can have passed
    std::unique_ptr<training::Backend> backend;  ///< nullptr: none passed
    BackendMaker make_another;  ///< of the same kind, not tested again; thread-safe
};
/// Tests one candidate after the other until one passes.
[[nodiscard]] BackendChoice choose_backend(const BackendOptions& options);
/// The choice among these, in this order; tests hand in candidates of their own.
[[nodiscard]] BackendChoice choose_among(const std::vector<BackendMaker>& candidates);

/// For work that proves nothing to others: the choice, or the reference if nothing passes.
[[nodiscard]] std::unique_ptr<training::Backend> make_backend(const BackendOptions& options);

}  // namespace trainyard::node::verify
