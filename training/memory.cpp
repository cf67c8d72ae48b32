// SPDX-License-Identifier: Apache-2.0
// Aligned blocks from the heap, with a word to the kernel about the large ones.
#include "training/memory.hpp"

#include <algorithm>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace trainyard::training {

void* take_memory(size_t bytes) {
    constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
    const size_t align = bytes >= 2 * kHugePage ? kHugePage : kLine;
    const size_t rounded = (std::max<size_t>(1, bytes) + kLine - 1) / kLine * kLine;
    if (rounded < bytes) return nullptr;
    void* memory = nullptr;
    if (posix_memalign(&memory, align, rounded) != 0) return nullptr;
#if defined(__linux__)
    // Advice only: whole huge pages inside the block, so that nothing beyond it becomes resident.
    if (align == kHugePage) (void)madvise(memory, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return memory;
}

void release_memory(void* memory) {
    std::free(memory);
}

}  // namespace trainyard::training
