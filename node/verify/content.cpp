// SPDX-License-Identifier: Apache-2.0
// Fields that own a vector, or pages of their own.
#include "node/verify/content.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "core/assert.hpp"

namespace trainyard::node::verify {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t page_bytes() {
    return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

/// Pages that begin at a huge one where there are many; nullptr when there is no room.
uint8_t* take_pages(size_t size) {
    const size_t align = size >= 2 * kHugePage ? kHugePage : page_bytes();
    void* all =
        ::mmap(nullptr, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return nullptr;
    auto* first = static_cast<uint8_t*>(all);
    const size_t before = (align - reinterpret_cast<uintptr_t>(first) % align) % align;
    if (before != 0) ::munmap(first, before);
    if (align != before) ::munmap(first + before + size, align - before);
    if (align == kHugePage) (void)::madvise(first + before, size, MADV_HUGEPAGE);
    return first + before;
}

}  // namespace

Content::Content(Bytes bytes) {
    if (bytes.empty()) return;
    auto kept = std::make_shared<const Bytes>(std::move(bytes));
    view_ = *kept;
    owner_ = std::move(kept);
}

bool Content::operator==(const Content& other) const {
    return std::equal(view_.begin(), view_.end(), other.view_.begin(), other.view_.end());
}

Blank::Blank(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t rounded = (size + page_bytes() - 1) / page_bytes() * page_bytes();
    uint8_t* pages = rounded < size ? nullptr : take_pages(rounded);
    if (pages == nullptr && std::get_new_handler() != nullptr) std::get_new_handler()();
    ASSERT(pages != nullptr);
    memory_ = std::shared_ptr<uint8_t>(pages, [rounded](uint8_t* p) { ::munmap(p, rounded); });
}

Content Blank::take() && {
    const BytesView view = bytes();
    return {std::move(memory_), view};
}

}  // namespace trainyard::node::verify
