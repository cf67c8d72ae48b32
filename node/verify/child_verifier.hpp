// SPDX-License-Identifier: Apache-2.0
// The verifier in a process of its own, restarted when it dies; and that process's side.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/verify/sandbox.hpp"
#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

struct ChildVerifierOptions {
    std::string program;  ///< path of the trainyard program
    unsigned threads = 1;
    uint64_t memory_bytes_max = 0;
    uint32_t timeout_ms = 600'000;     ///< for one audit, or for what names no patience
    uint32_t cuda_pause_ms = 600'000;  ///< without CUDA after it failed twice in a row
    SandboxMode sandbox = SandboxMode::automatic;
    std::vector<std::string> hidden;              ///< files and folders, see sandbox.hpp
    std::function<void(const std::string&)> say;  ///< events for the log; may be empty
    /// A line that the process printed, from a thread of its own; empty: it has our stdout and
    /// stderr.
    std::function<void(const std::string&)> hear;
};

struct ChildCounters {
    std::atomic<uint64_t> started{0}, died{0}, timed_out{0}, answered{0};
    std::atomic<uint64_t> device_faults{0}, out_of_memory{0};
    std::atomic<bool> without_cuda{false};  ///< now, because it failed
};

/// Thread-safe: requests wait for one another, which counts as patience. A process that dies, is
/// late or lost its device is replaced and the request tried once more, then without CUDA, which
/// stays away for a while. One that needs more memory than it may have is replaced, and the request
/// fails at once.
class ChildVerifier final : public Verifier {
public:
    explicit ChildVerifier(ChildVerifierOptions options);
    ~ChildVerifier() override;
    [[nodiscard]] std::string name() override;
    [[nodiscard]] Result<std::vector<AuditResult>, VerifyError> audit(
        const AuditRequest& request) override;
    [[nodiscard]] AuditResult replay(const ReplayRequest& request) override;
    [[nodiscard]] Result<Pick, VerifyError> pick(const PickRequest& request) override;
    /// Ends the process after the request in progress; the next one starts another.
    void rest() override;
    /// Ends the process and lets a request in progress fail; further ones fail at once.
    void interrupt();
    [[nodiscard]] const ChildCounters& counters() const;
    [[nodiscard]] int pid() const;  ///< of the process now; -1 when none runs
    /// As the process said when it was asked for its name; nullopt before that.
    [[nodiscard]] std::optional<Confinement> confined() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Serves requests from descriptor `fd` until it is closed or the device has failed; the body of
/// `trainyard verifier --fd`. `confined` is told to who asks for the name. The exit code of the
/// process.
int serve_verifier(int fd, Verifier& verifier, Confinement confined = {});

/// Exit code of a verifier process that reached its memory limit.
inline constexpr int kExitOutOfMemory = 71;
/// From now on this process ends with that code where `new` finds no memory.
void exit_when_out_of_memory();

}  // namespace trainyard::node::verify
