// SPDX-License-Identifier: Apache-2.0
// Whether the moves of a dispute over a program fit into transactions: docs/spec/referee.md,
// section 8.
#pragma once

#include <cstdint>
#include <string>

#include "training/program.hpp"

namespace trainyard::training::referee {

/// Of the 128 KiB that a node takes; the rest is for the state and the call around them.
inline constexpr uint64_t kMoveBytesMax = 120 * 1024;

/// No move of a provider is larger in any dispute over a segment of the program. Precondition: the
/// program is valid.
[[nodiscard]] uint64_t largest_move_bytes(const Program& program);

/// Why a provider could not answer a dispute, with both sizes; empty if it can.
[[nodiscard]] std::string beyond_dispute(const Program& program);

}  // namespace trainyard::training::referee
