// SPDX-License-Identifier: Apache-2.0
// Bytes into the memory of a process that this one has started: one copy, by several threads.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::node::verify {

/// A process and where in its memory it wants each field. Nothing of it is believed: the kernel
/// writes what that process could write itself, and to nothing else.
struct Places {
    int pid = -1;
    std::vector<uint64_t> addresses;
};

enum class Placing {
    done,
    refused,  ///< by the kernel: no such memory or process, or such writing is not allowed here
    late,     ///< some may be there
};
/// Writes each field to its address. Late once the deadline has passed; nothing looks at it while
/// a piece of some megabytes is written. Both lists are of one length.
[[nodiscard]] Placing place(const Places& places, std::span<const BytesView> fields,
                            unsigned threads,
                            const std::optional<std::chrono::steady_clock::time_point>& deadline);

}  // namespace trainyard::node::verify
