// SPDX-License-Identifier: Apache-2.0
// Finds the kernel of an operator.
#include "training/reference/operators.hpp"

#include "core/assert.hpp"

namespace trainyard::training::reference {

const Kernel* find_kernel(Op op) {
    for (const auto kernels : {pointwise_kernels(), norm_kernels(), movement_kernels(),
                               image_kernels(), product_kernels(), random_kernels()})
        for (const Kernel& kernel : kernels)
            if (kernel.op == op) return &kernel;
    return nullptr;
}

bool apply(const OpCall& call) {
    const Kernel* const kernel = find_kernel(call.op);
    ASSERT(kernel != nullptr);
    return kernel->run(call, 0, kernel->tasks(call));
}

}  // namespace trainyard::training::reference
