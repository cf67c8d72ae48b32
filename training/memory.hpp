// SPDX-License-Identifier: Apache-2.0
// Host memory of operators: aligned to cache lines, large blocks on huge pages where the kernel has
// them to give.
#pragma once

#include <cstddef>
#include <new>

#include "core/assert.hpp"

namespace trainyard::training {

/// Undefined contents; nullptr when there is no room.
[[nodiscard]] void* take_memory(size_t bytes);
void release_memory(void* memory);
/// Address space that a block takes beyond its bytes, so that it begins at a huge page.
[[nodiscard]] size_t spare_bytes(size_t bytes);

/// The allocator of host tensors; memory that is not there is our bug, as the planner counts it,
/// but where a process has a new handler, which says what to do at its limit.
template <class T>
struct HostAllocator {
    using value_type = T;
    HostAllocator() = default;
    template <class U>
    HostAllocator(const HostAllocator<U>&) {}
    T* allocate(size_t count) {
        ASSERT(count <= ~size_t{0} / sizeof(T));
        void* memory = take_memory(count * sizeof(T));
        if (memory == nullptr && std::get_new_handler() != nullptr) std::get_new_handler()();
        ASSERT(memory != nullptr);
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, size_t) { release_memory(memory); }
    bool operator==(const HostAllocator&) const = default;
};

}  // namespace trainyard::training
