// SPDX-License-Identifier: Apache-2.0
// Kernels for AArch64 with the dot products of ARMv8.2.
#include "training/cpu/kernels.hpp"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include "training/cpu/neon.hpp"

namespace trainyard::training::cpu {
const Kernels& neondot_kernels() {
    static const Kernels kTable = Kernel<Neon>::table("neondot");
    return kTable;
}
}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
const Kernels& neondot_kernels() {
    static const Kernels kNone{};
    return kNone;
}
}  // namespace trainyard::training::cpu

#endif
