// SPDX-License-Identifier: Apache-2.0
// Work that is done again where a product came out wrong.
#pragma once

#include "training/engine.hpp"

namespace trainyard::training {

/// Machines that err do so once in days; one that errs three times in a row is broken.
inline constexpr int kAttemptsMax = 3;

/// What `work` gives, called again where a product was wrong. It must leave nothing behind then.
template <class Work>
[[nodiscard]] auto repeat_wrong(const Work& work) {
    for (int attempt = 1;; ++attempt) {
        auto done = work();
        const bool is_wrong = !done && done.error() == EngineError::wrong_product;
        if (!is_wrong || attempt == kAttemptsMax) return done;
    }
}

}  // namespace trainyard::training
