// SPDX-License-Identifier: Apache-2.0
// What a provider tells of its work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.hpp"

namespace trainyard::node::provider {

/// Something that happened, for a person, a log or a program that watches.
struct Event {
    enum class Kind {
        note,      ///< text only
        skipped,   ///< an open job that is not taken; text says why
        unfunded,  ///< the account has too little to take a job; text says what to send where
        outrun,    ///< a job that went to another provider meanwhile; text: its address
        taken,
        step,       ///< step, steps, loss_bits
        committed,  ///< seg
        diverged,   ///< seg, step, steps of the segment; text: pay, in coins
        served,     ///< seg
        opened,     ///< seg
        accepted,   ///< seg
        disputed,   ///< seg; text: by whom, until when to move
        moved,      ///< seg; text: which move
        won,        ///< seg: its dispute
        convicted,  ///< seg; text: until when to appeal
        appealed,   ///< seg; text: for how much, why
        acquitted,  ///< seg
        paid,       ///< text: the amount
        voided,     ///< text: why we are out
        finished,
        failed,  ///< text
    };
    Kind kind = Kind::note;
    uint64_t job = 0;
    uint32_t seg = 0;
    uint32_t step = 0, steps = 0;
    uint32_t loss_bits = 0;
    uint64_t macs_per_step = 0, tokens_per_step = 0;
    uint32_t committed = 0, accepted = 0, segments = 0;
    uint64_t block = 0;
    Hash tx;
    std::string text;
};
[[nodiscard]] Event make_event(Event::Kind kind, uint32_t seg);
[[nodiscard]] std::string_view to_text(Event::Kind kind);

}  // namespace trainyard::node::provider
