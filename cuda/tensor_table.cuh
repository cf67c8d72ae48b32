// SPDX-License-Identifier: Apache-2.0
// One launch over many tensors: a table among the kernel's arguments, and the blocks of each.
#pragma once

#include <span>
#include <type_traits>

#include "cuda/context.cuh"

namespace trainyard::cuda {

/// Arguments of a kernel may take 4 KB.
constexpr uint32_t kTableTensors = 64;

/// T is the work on one tensor and begins with `uint32_t first`, the number of its first part.
template <class T>
struct TensorTable {
    T work[kTableTensors];
    uint64_t count;

    /// The tensor that part `n` belongs to.
    [[nodiscard]] __device__ __forceinline__ uint32_t tensor_of(uint32_t n) const {
        uint32_t low = 0, high = static_cast<uint32_t>(count);
        while (high - low > 1) {
            const uint32_t middle = (low + high) / 2;
            if (work[middle].first <= n)
                low = middle;
            else
                high = middle;
        }
        return low;
    }
};

/// Calls `launch(table, parts)` for all tensors, as many at a time as a table holds; tensor k has
/// `parts_of(all[k])` parts. Of those without parts there is nothing to do.
template <class T, class Parts, class Go>
void for_each_table(std::span<const T> all, const Parts& parts_of, const Go& launch) {
    static_assert(sizeof(TensorTable<T>) <= 3840 && std::is_trivially_copyable_v<T>);
    TensorTable<T> table = {};
    uint32_t parts = 0;
    for (size_t k = 0; k < all.size(); ++k) {
        T work = all[k];
        work.first = parts;
        const uint32_t own = parts_of(work);
        if (own > 0) table.work[table.count++] = work;
        parts += own;
        if (parts == 0 || (table.count < kTableTensors && k + 1 < all.size())) continue;
        launch(table, parts);
        table = {};
        parts = 0;
    }
}

}  // namespace trainyard::cuda
