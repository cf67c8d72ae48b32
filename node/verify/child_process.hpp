// SPDX-License-Identifier: Apache-2.0
// Child processes that never outlive their parent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace trainyard::node::verify {

struct ChildOptions {
    std::vector<std::string> command;  ///< program path and arguments
    std::string output;                ///< file for stdout and stderr; empty: the parent's
    int socket = -1;                   ///< descriptor that becomes number 3 in the child
    uint64_t memory_bytes_max = 0;     ///< RLIMIT_DATA; 0: none
    bool own_group = false;            ///< not hit by Ctrl-C at the terminal; we end it ourselves
    bool huge_pages = false;           ///< for a child that fills gigabytes once
    int output_fd = -1;                ///< instead of `output`; then nothing is read from stdin
    /// "NAME=value"; nullopt: the parent's.
    std::optional<std::vector<std::string>> environment{};
};

/// Owns one process: ends it (SIGTERM, then SIGKILL after `grace_ms`) and collects it.
class ChildProcess {
public:
    /// The error is a text. The child dies when the thread that started it ends.
    [[nodiscard]] static Result<ChildProcess, std::string> start(const ChildOptions& options);
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    ~ChildProcess();

    [[nodiscard]] int pid() const { return pid_; }
    [[nodiscard]] bool is_running();
    /// Exit code, or 128 + signal; nullopt while it runs.
    [[nodiscard]] std::optional<int> exit_code();
    void signal(int number);
    void stop(uint32_t grace_ms);

private:
    explicit ChildProcess(int pid) : pid_(pid) {}
    int pid_ = -1;
    std::optional<int> exit_code_;
};

/// Path of the running program.
[[nodiscard]] std::string own_program();

}  // namespace trainyard::node::verify
