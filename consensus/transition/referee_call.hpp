// SPDX-License-Identifier: Apache-2.0
// A move of a dispute as a call of a contract: training/referee/game.hpp behind bytes and gas.
#pragma once

#include <cstdint>
#include <optional>

#include "core/bytes.hpp"

namespace trainyard::consensus {

inline constexpr size_t kRefereeInputMax = 1 << 20;
/// The slowest moves found pay 174 gas a microsecond (a program of 4,096 operators in 45 kB; moves
/// of 12,290 numbers: 3,800), ecrecover's recovery 98 on the same core.
inline constexpr int64_t kRefereeGas = 60'000;
inline constexpr int64_t kRefereeByteGas = 8;  ///< of input
/// Optimiser counters are followed from the run's first step to the disputed one.
inline constexpr int64_t kRefereeStepGas = 2;
/// Added to the number of a refusal.
inline constexpr uint8_t kRefusedMove = 0x10;

/// u32 big-endian: bytes of the state | state | move -> turn 1 | state after the move. Turn: 0 the
/// provider's, 1 the challenger's, 2 nobody's: the provider has won. Without a move,
/// `state` is a claim (training/referee/start.hpp) and the answer its first state. A refused move:
/// kRefusedMove + Refusal, one byte. Bytes that are no state or claim: no output.
///
/// Takes its price off `gas`; nothing if that is too little, or the input above kRefereeInputMax.
/// Precondition: a state comes from an answer of this function, or what it holds is undefined.
[[nodiscard]] std::optional<Bytes> run_referee(BytesView input, int64_t& gas);

}  // namespace trainyard::consensus
