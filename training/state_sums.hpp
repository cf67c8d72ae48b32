// SPDX-License-Identifier: Apache-2.0
// Whether the memory in which a state waits from step to step still holds what was left there: the
// bits of its elements, added modulo 2^32. One flipped bit changes its sum, wherever it is.
#pragma once

#include <cstdint>
#include <vector>

#include "training/pool.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

/// In memory of a backend. All words of `due[kind]` together, for w, m and v, are the sum over the
/// kind's elements; there are many so that threads of a device do not wait for one another.
struct StateSums {
    static constexpr uint32_t kKinds = 3, kWords = 256;
    using Words = uint32_t[kKinds][kWords];
    Words due = {};   ///< what the last update left, less what the one under way has read
    Words left = {};  ///< what the one under way leaves; zero between updates
};

/// The sum of the bits of all elements; without a pool the caller works alone.
[[nodiscard]] uint32_t sum_of_bits(const std::vector<Tensor>& tensors, Pool* pool);

}  // namespace trainyard::training
