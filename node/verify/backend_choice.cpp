// SPDX-License-Identifier: Apache-2.0
// Choosing a back end at run time.
#include "node/verify/backend_choice.hpp"

namespace trainyard::node::verify {

std::unique_ptr<training::Backend> make_backend(const BackendOptions& options) {
    return training::make_cpu_backend({training::CpuPath::best, options.threads});
}

}  // namespace trainyard::node::verify
