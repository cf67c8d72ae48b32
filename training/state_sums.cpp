// SPDX-License-Identifier: Apache-2.0
// Sums of bits on the host.
#include "training/state_sums.hpp"

#include <atomic>

#include "training/numerics/functions.hpp"

namespace trainyard::training {

uint32_t sum_of_bits(const std::vector<Tensor>& tensors, Pool* pool) {
    constexpr size_t kElements = size_t{1} << 20;
    std::atomic<uint32_t> all = 0;
    for (const Tensor& t : tensors)
        run_ranges(pool, t.data.size(), kElements, [&](size_t first, size_t last) {
            uint32_t sum = 0;
            for (size_t i = first; i < last; ++i) sum += bits_of(t.data[i]);
            all += sum;
        });
    return all;
}

}  // namespace trainyard::training
