// SPDX-License-Identifier: Apache-2.0
// What a child process prints, made fit for a log: printable, short, and not too much of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::node::verify {

/// Bytes in, lines out: printable ASCII with '?' for all else, cut at `kBytesMax`. Of many lines at
/// once `kBurst` pass, then one every `kPause_ms`, with the number of those that did not.
class LineGuard {
public:
    static constexpr size_t kBytesMax = 240;
    static constexpr uint64_t kBurst = 100, kPause_ms = 2'000;

    [[nodiscard]] std::vector<std::string> take(std::string_view bytes, uint64_t now_ms);
    /// The last line, where it has no end, and what was left out.
    [[nodiscard]] std::vector<std::string> finish(uint64_t now_ms);

private:
    void end_line(uint64_t now_ms, std::vector<std::string>& out);

    std::string line_;
    bool is_cut_ = false;
    uint64_t passed_ = 0, left_out_ = 0, refilled_ms_ = 0;
};

/// Reads a pipe on a thread of its own until its other end is closed or this is destroyed; slowly,
/// so that endless text holds up who writes it.
class OutputReader {
public:
    /// Takes the descriptor. `hear` gets one line at a time, on that thread.
    OutputReader(int fd, std::function<void(const std::string&)> hear);
    ~OutputReader();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::verify
