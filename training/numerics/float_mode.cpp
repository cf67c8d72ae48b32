// SPDX-License-Identifier: Apache-2.0
// Reads and sets MXCSR on x86-64 and FPCR on AArch64.
#include "training/numerics/float_mode.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace trainyard::training {

namespace {
#if defined(__x86_64__)
constexpr uint64_t kModeBits = 0xE040;  // rounding control, flush to zero, denormals are zero
uint64_t read_mode() {
    return _mm_getcsr();
}
void write_mode(uint64_t mode) {
    _mm_setcsr(static_cast<unsigned>(mode));
}
#elif defined(__aarch64__)
constexpr uint64_t kModeBits = 0x3C80000;  // FZ16 to RMode and FZ; all zero is IEEE
uint64_t read_mode() {
    uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
void write_mode(uint64_t mode) {
    asm volatile("msr fpcr, %0" : : "r"(mode));
}
#else
#error "training/ needs to know how this processor's floating-point mode is read"
#endif
}  // namespace

FloatModeGuard::FloatModeGuard() : before_(read_mode()) {
    if ((before_ & kModeBits) != 0) write_mode(before_ & ~kModeBits);
}

FloatModeGuard::~FloatModeGuard() {
    if ((before_ & kModeBits) != 0) write_mode(before_);
}

bool is_float_mode_exact() {
    return (read_mode() & kModeBits) == 0;
}

}  // namespace trainyard::training
