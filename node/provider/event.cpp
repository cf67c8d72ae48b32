// SPDX-License-Identifier: Apache-2.0
// Making and naming events.
#include "node/provider/event.hpp"

namespace trainyard::node::provider {

Event make_event(Event::Kind kind, uint32_t seg) {
    Event out;
    out.kind = kind;
    out.seg = seg;
    return out;
}

std::string_view to_text(Event::Kind kind) {
    constexpr std::string_view names[] = {
        "note",      "skipped",  "unfunded",  "outrun",   "taken",    "step",     "committed",
        "diverged",  "served",   "opened",    "accepted", "disputed", "moved",    "won",
        "convicted", "appealed", "acquitted", "paid",     "voided",   "finished", "failed"};
    return names[static_cast<size_t>(kind)];
}

}  // namespace trainyard::node::provider
