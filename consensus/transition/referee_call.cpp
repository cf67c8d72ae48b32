// SPDX-License-Identifier: Apache-2.0
// Framing and prices; each part of the work is paid for before it is done.
#include "consensus/transition/referee_call.hpp"

#include "training/referee/start.hpp"

namespace trainyard::consensus {
namespace {

namespace referee = training::referee;

bool pay(int64_t& gas, int64_t price) {
    if (price > gas) return false;
    gas -= price;
    return true;
}

struct Parts {
    BytesView state, move;
};

std::optional<Parts> split(BytesView input) {
    if (input.size() < 4) return std::nullopt;
    size_t bytes = 0;
    for (const uint8_t byte : input.first(4)) bytes = bytes << 8 | byte;
    const BytesView rest = input.subspan(4);
    if (bytes > rest.size()) return std::nullopt;
    return Parts{rest.first(bytes), rest.subspan(bytes)};
}

uint8_t turn_byte(referee::Phase phase) {
    if (phase == referee::Phase::provider_won) return 2;
    return referee::turn_of(phase) == referee::Turn::provider ? 0 : 1;
}

Bytes answer(const referee::State& state) {
    Bytes out{turn_byte(state.phase)};
    append(out, referee::encode_state(state));
    return out;
}

}  // namespace

std::optional<Bytes> run_referee(BytesView input, int64_t& gas) {
    if (input.size() > kRefereeInputMax ||
        !pay(gas, kRefereeGas + kRefereeByteGas * static_cast<int64_t>(input.size())))
        return std::nullopt;
    const auto parts = split(input);
    if (!parts) return Bytes{};
    if (parts->move.empty()) {
        const auto first = referee::start(parts->state);
        return first ? answer(*first) : Bytes{};
    }
    const auto state = referee::decode_state(parts->state);
    if (!state) return Bytes{};
    const int64_t steps = int64_t{state->claim.segment.first_step} + state->step;
    if (!pay(gas, kRefereeStepGas * steps)) return std::nullopt;
    const auto next = referee::play(*state, parts->move);
    if (!next) return Bytes{static_cast<uint8_t>(kRefusedMove + static_cast<int>(next.error()))};
    return answer(*next);
}

}  // namespace trainyard::consensus
