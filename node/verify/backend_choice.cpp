// SPDX-License-Identifier: Apache-2.0
// Choosing a back end at run time.
#include "node/verify/backend_choice.hpp"

#include <chrono>
#include <utility>

#include "training/self_test.hpp"

namespace trainyard::node::verify {
namespace {

TestedBackend test(training::Backend& backend) {
    const auto start = std::chrono::steady_clock::now();
    const auto operators = training::self_test(backend);
    const auto took = std::chrono::steady_clock::now() - start;
    TestedBackend out;
    out.name = backend.name();
    out.ms =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
    if (operators)
        out.operators = *operators;
    else
        out.failure = operators.error();
    return out;
}

}  // namespace

std::string to_text(const TestedBackend& t) {
    if (!t.passed()) return t.name + ": REFUSED, its bits are wrong: " + t.failure;
    return t.name + ": " + std::to_string(t.operators) +
           " operators equal their committed hashes (" + std::to_string(t.ms) + " ms)";
}

BackendChoice choose_among(const std::vector<BackendMaker>& candidates) {
    BackendChoice out;
    for (const auto& make : candidates) {
        auto backend = make();
        if (backend == nullptr) continue;  // a device that cannot be opened
        out.tested.push_back(test(*backend));
        if (!out.tested.back().passed()) continue;
        out.backend = std::move(backend);
        out.make_another = make;
        break;
    }
    return out;
}

BackendChoice choose_backend(const BackendOptions& options) {
    std::vector<BackendMaker> candidates;
    const bool any = options.path == training::CpuPath::best;
    if (options.allow_cuda && any) {
        const auto devices = cuda::cuda_devices();
        for (size_t i = 0; i < devices.size(); ++i) {
            const int index = devices[(options.first_device + i) % devices.size()].index;
            for (const cuda::Products products : cuda::cuda_products(index))
                candidates.emplace_back([=, o = options] {
                    return cuda::make_cuda_backend(
                        index, nullptr, products, cuda::ProductBlocks::all, o.threads, o.checksums);
                });
        }
    }
    for (const training::CpuPath path : training::kCpuPaths)
        if ((any || path == options.path) && training::cpu_has(path))
            candidates.emplace_back([path, threads = options.threads] {
                return training::make_cpu_backend({path, threads});
            });
    auto choice = choose_among(candidates);
    if (choice.backend)
        choice.make_another = [make = choice.make_another, threads = options.threads] {
            auto another = make();  // a device may be lost meanwhile
            return another ? std::move(another) : make_backend({threads, false});
        };
    return choice;
}

std::unique_ptr<training::Backend> make_backend(const BackendOptions& options) {
    auto choice = choose_backend(options);
    return choice.backend ? std::move(choice.backend) : training::make_reference_backend();
}

}  // namespace trainyard::node::verify
