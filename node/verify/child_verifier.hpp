// SPDX-License-Identifier: Apache-2.0
// The verifier in a process of its own, restarted when it dies; and that process's side.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

struct ChildVerifierOptions {
    std::string program;  ///< path of the trainyard program
    unsigned threads = 1;
    uint64_t memory_bytes_max = 0;
    uint32_t timeout_ms = 600'000;                ///< for one request
    std::string output;                           ///< its log file; empty: ours
    std::function<void(const std::string&)> say;  ///< events for the log; may be empty
};

struct ChildCounters {
    std::atomic<uint64_t> started{0}, died{0}, timed_out{0}, answered{0};
};

/// Thread-safe: requests wait for one another. A process that dies or is late is replaced and the
/// request tried once more, then without CUDA.
class ChildVerifier final : public Verifier {
public:
    explicit ChildVerifier(ChildVerifierOptions options);
    ~ChildVerifier() override;
    [[nodiscard]] std::string name() override;
    [[nodiscard]] Result<VerifyAnswer, VerifyError> audit(const AuditRequest& request) override;
    [[nodiscard]] Result<VerifyAnswer, VerifyError> replay(const ReplayRequest& request) override;
    /// Ends the process and lets a request in progress fail; further ones fail at once.
    void interrupt();
    [[nodiscard]] const ChildCounters& counters() const;
    [[nodiscard]] int pid() const;  ///< of the process now; -1 when none runs

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Serves requests from descriptor `fd` until it is closed; the body of `trainyard verifier`.
int serve_verifier(int fd, const LocalOptions& options);

}  // namespace trainyard::node::verify
