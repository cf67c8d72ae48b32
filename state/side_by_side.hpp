// SPDX-License-Identifier: Apache-2.0
// Two different pieces of work on threads that are lent.
#pragma once

#include <atomic>

#include "state/view.hpp"

namespace trainyard::state {

/// Both at once if there are threads, else one after the other; returns when both are done.
template <class First, class Second>
void run_both(const SideBySide& side_by_side, const First& first, const Second& second) {
    if (!side_by_side) {
        first();
        second();
        return;
    }
    std::atomic<int> next = 0;
    side_by_side([&] {
        for (int i = next++; i < 2; i = next++) i == 0 ? first() : second();
    });
}

}  // namespace trainyard::state
