// SPDX-License-Identifier: Apache-2.0
// Work that is done again where a product came out wrong, or memory changed a state.
#pragma once

#include "training/engine.hpp"

namespace trainyard::training {

/// Machines that err do so once in days; one that errs three times in a row is broken.
inline constexpr int kAttemptsMax = 3;

/// What `work` gives, called again where that is `error`. It must leave nothing behind then.
template <class Work>
[[nodiscard]] auto repeat_after(EngineError error, const Work& work) {
    for (int attempt = 1;; ++attempt) {
        auto done = work();
        const bool is_wrong = !done && done.error() == error;
        if (!is_wrong || attempt == kAttemptsMax) return done;
    }
}

/// Where a product was wrong, on a state that stays as it was.
template <class Work>
[[nodiscard]] auto repeat_wrong(const Work& work) {
    return repeat_after(EngineError::wrong_product, work);
}

/// Where memory changed a state that `work` itself loads.
template <class Work>
[[nodiscard]] auto repeat_changed(const Work& work) {
    return repeat_after(EngineError::state_changed, work);
}

}  // namespace trainyard::training
