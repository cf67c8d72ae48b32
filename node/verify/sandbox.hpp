// SPDX-License-Identifier: Apache-2.0
// What a verifier process may do while it reads what strangers sent: compute, and little else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

enum class SandboxMode : uint8_t {
    automatic,  ///< what this kernel can do
    on,         ///< all of it, or nothing is judged
    off,
};
/// "auto", "on", "off".
[[nodiscard]] std::optional<SandboxMode> sandbox_mode_from(std::string_view text);
[[nodiscard]] std::string_view to_text(SandboxMode mode);

struct SandboxOptions {
    SandboxMode mode = SandboxMode::automatic;
    bool allow_cuda = true;
    std::vector<std::string> hidden;  ///< out of reach even where they lie below what may be read
};

/// What holds now.
struct Sandbox {
    Confinement confined;
    std::string gap;  ///< why the rest does not; empty where all of it holds
};
/// "files, calls", "calls; files are not confined: no Landlock in this kernel".
[[nodiscard]] std::string to_text(const Sandbox& sandbox);

/// Confines this process for good: it opens no file but those of sandbox_files.hpp, makes none of
/// the calls of sandbox_calls.hpp, has no capabilities and leaves no core file. Call it first of
/// all: threads that run already are not confined.
[[nodiscard]] Sandbox enter_sandbox(const SandboxOptions& options);

/// Whether a driver of GPUs is installed, so that one could be expected to work.
[[nodiscard]] bool has_gpu_driver();

/// Judges nothing and says why: for a process that may not go on as it is.
[[nodiscard]] std::unique_ptr<Verifier> make_refusing_verifier(std::string why);

}  // namespace trainyard::node::verify
