// SPDX-License-Identifier: Apache-2.0
// Which instructions this machine has, and the table of kernels for each.
#include "training/cpu/backend.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace trainyard::training {

namespace {

#if defined(__x86_64__)
/// Clang 14 does not know this feature by name.
bool cpu_says_avxvnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

bool cpu_supports(CpuPath path) {
    switch (path) {
        case CpuPath::best:
        case CpuPath::scalar:
            return true;
#if defined(__x86_64__)
        case CpuPath::avx2:
            return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
        case CpuPath::avxvnni:
            return cpu_says_avxvnni() && cpu_supports(CpuPath::avx2);
        case CpuPath::avx512:
            return __builtin_cpu_supports("avx512f") != 0 &&
                   __builtin_cpu_supports("avx512bw") != 0 &&
                   __builtin_cpu_supports("avx512vl") != 0 &&
                   __builtin_cpu_supports("avx512dq") != 0 &&
                   __builtin_cpu_supports("avx512vnni") != 0 && cpu_supports(CpuPath::avx2);
#elif defined(__aarch64__)
        case CpuPath::neon:
            return true;
#if defined(__linux__)
        case CpuPath::neondot:
            return (getauxval(AT_HWCAP) >> 20 & 1) != 0;  // HWCAP_ASIMDDP
#endif
#endif
        default:
            return false;
    }
}

const cpu::Kernels& table_of(CpuPath path) {
    switch (path) {
        case CpuPath::neon:
            return cpu::neon_kernels();
        case CpuPath::neondot:
            return cpu::neondot_kernels();
        case CpuPath::avx2:
            return cpu::avx2_kernels();
        case CpuPath::avxvnni:
            return cpu::avxvnni_kernels();
        case CpuPath::avx512:
            return cpu::avx512_kernels();
        default:
            return cpu::scalar_kernels();
    }
}

}  // namespace

std::string_view to_text(CpuPath path) {
    switch (path) {
        case CpuPath::best:
            return "best";
        case CpuPath::scalar:
            return "scalar";
        case CpuPath::neon:
            return "neon";
        case CpuPath::neondot:
            return "neondot";
        case CpuPath::avx2:
            return "avx2";
        case CpuPath::avxvnni:
            return "avxvnni";
        case CpuPath::avx512:
            return "avx512";
    }
    return "unknown";
}

std::optional<CpuPath> cpu_path_of(std::string_view name) {
    for (const CpuPath path : kCpuPaths)
        if (to_text(path) == name) return path;
    if (name == to_text(CpuPath::best)) return CpuPath::best;
    return std::nullopt;
}

bool cpu_has(CpuPath path) {
    return cpu_supports(path) && table_of(path).name != nullptr;
}

const cpu::Kernels& kernels_for(CpuPath path) {
    if (path != CpuPath::best && cpu_has(path)) return table_of(path);
    for (const CpuPath other : kCpuPaths)
        if (cpu_has(other)) return table_of(other);
    return cpu::scalar_kernels();
}

}  // namespace trainyard::training
