// SPDX-License-Identifier: Apache-2.0
// Bytes through a connected socket, all of them or none, up to a deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace trainyard::node::verify {

enum class FrameError { closed, timed_out, too_large, malformed };

/// None: no limit.
using Deadline = std::optional<std::chrono::steady_clock::time_point>;
[[nodiscard]] Deadline deadline_of(uint32_t timeout_ms);  ///< 0: no limit

/// Errors: closed, timed_out; some bytes may have passed then.
[[nodiscard]] Result<Done, FrameError> read_exactly(int fd, std::span<uint8_t> out,
                                                    const Deadline& deadline);
[[nodiscard]] Result<Done, FrameError> write_exactly(int fd, BytesView from,
                                                     const Deadline& deadline);

}  // namespace trainyard::node::verify
