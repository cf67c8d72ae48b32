// SPDX-License-Identifier: Apache-2.0
// The list of variables.
#include "node/verify/verifier_environment.hpp"

#include <algorithm>
#include <string_view>

#include <unistd.h>

namespace trainyard::node::verify {
namespace {

constexpr std::string_view kNames[] = {
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "NO_COLOR", "TERM", "COLUMNS", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "GLIBC_TUNABLES",
    // Others that begin like these are keys of services.
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE"};
constexpr std::string_view kBeginnings[] = {"LC_", "CUDA_", "OMP_", "MALLOC_"};

bool is_allowed(std::string_view entry) {
    const auto name = entry.substr(0, entry.find('='));
    const auto begins = [name](std::string_view start) { return name.starts_with(start); };
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
           std::any_of(std::begin(kBeginnings), std::end(kBeginnings), begins);
}

}  // namespace

std::vector<std::string> verifier_environment(const std::vector<std::string>& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries)
        if (is_allowed(entry)) out.push_back(entry);
    return out;
}

std::vector<std::string> verifier_environment() {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
    auto out = verifier_environment(all);
#if defined(__SANITIZE_ADDRESS__)
    // LeakSanitizer looks at its own threads by ptrace, which a sandbox refuses: no exit code
    // of 23.
    const auto mine = std::find_if(out.begin(), out.end(), [](const std::string& entry) {
        return entry.starts_with("ASAN_OPTIONS=");
    });
    if (mine == out.end())
        out.emplace_back("ASAN_OPTIONS=detect_leaks=0");
    else
        *mine += ":detect_leaks=0";
#endif
    return out;
}

}  // namespace trainyard::node::verify
