// SPDX-License-Identifier: Apache-2.0
// The audit worker of a running node: its threads, its verifier processes, its counters.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/verify/audit_worker.hpp"
#include "node/verify/sandbox.hpp"

namespace trainyard::node::verify {

struct AuditServiceOptions {
    std::string rpc_url;  ///< the node's own
    SecretKey account;    ///< the validator's operator account; pays for the answers
    std::string folder;   ///< answers, and what was put up, are kept here
    std::string program;  ///< path of the trainyard program; empty: the running one
    unsigned threads = 1;
    uint64_t memory_bytes_max = 0;
    uint32_t timeout_ms = 600'000;
    uint32_t poll_ms = 150;
    Uint256 fee_max_wei;                               ///< for one gas
    Uint256 dispute_bond_wei_max;                      ///< of one that is put up by itself
    bool accuses = false;                              ///< TEST ONLY: lies, see accuser.hpp
    SandboxMode sandbox = SandboxMode::automatic;      ///< of the verifier processes
    std::vector<std::string> hidden;                   ///< from them, see sandbox.hpp
    MapBlob map_blob;                                  ///< of the node's own store; may be empty
    std::function<void(const std::string& text)> say;  ///< from any thread; may be empty
    /// What the processes print, by lines that a log can show, from any thread; empty: they have
    /// our stdout and stderr.
    std::function<void(const std::string& text)> hear;
};

struct AuditServiceStatus {
    AuditCounters audits;
    wallet::SenderStatus sending;
    uint64_t verifier_starts = 0, verifier_deaths = 0, verifier_timeouts = 0;
    uint64_t verifier_device_faults = 0, verifier_out_of_memory = 0;
    bool verifier_without_cuda = false;   ///< because it failed
    std::string verifier;                 ///< "cpu avx512"; "starting" at first
    std::optional<Confinement> confined;  ///< of its process; nullopt at first
};

/// Works from construction until it is stopped. The RPC need not answer yet.
class AuditService {
public:
    [[nodiscard]] static Result<std::unique_ptr<AuditService>, std::string> start(
        AuditServiceOptions options);
    ~AuditService();  ///< stops
    /// Ends its threads and processes, and waits for them. Not from two threads at once.
    void stop();
    /// From any thread, after `stop` too.
    [[nodiscard]] AuditServiceStatus status() const;

private:
    struct Impl;
    explicit AuditService(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::verify
