// SPDX-License-Identifier: Apache-2.0
// Aligned blocks from the heap, with a word to the kernel about the large ones.
#include "training/memory.hpp"

#include <algorithm>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace trainyard::training {

namespace {

constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;

size_t alignment_of(size_t bytes) {
    return bytes >= 2 * kHugePage ? kHugePage : kLine;
}

}  // namespace

size_t spare_bytes(size_t bytes) {
    constexpr size_t kPages = 8 << 10;  // of the heap's own
    return alignment_of(bytes) == kHugePage ? kHugePage + kPages : kLine;
}

void* take_memory(size_t bytes) {
    const size_t align = alignment_of(bytes);
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
