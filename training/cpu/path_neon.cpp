// SPDX-License-Identifier: Apache-2.0
// Kernels for AArch64 with the NEON that every such processor has.
#include "training/cpu/kernels.hpp"

#if defined(__aarch64__)

#include "training/cpu/neon.hpp"

namespace trainyard::training::cpu {
const Kernels& neon_kernels() {
    static const Kernels kTable = Kernel<Neon>::table("neon");
    return kTable;
}
}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
const Kernels& neon_kernels() {
    static const Kernels kNone{};
    return kNone;
}
}  // namespace trainyard::training::cpu

#endif
