// SPDX-License-Identifier: Apache-2.0
// The barriers of the blocks that run, and the copies under way to them.
#include "bulk.hpp"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "cuda_runtime.h"

namespace emulated {

namespace {

/// The range of pending bytes: "Valid ranges of tx-count", PTX ISA, mbarrier.
constexpr int64_t kBytesMax = (1 << 20) - 1;

struct Barrier {
    uint32_t arrivals = 0;
    int64_t pending = 0, bytes = 0;
    uint64_t phase = 0;
    unsigned maker = 0;
    bool is_published = false;
};

struct Copy {
    std::byte* to;
    const std::byte* from;
    uint32_t bytes;
    uint64_t* barrier;
    bool has_begun = false;
};

struct State {
    std::map<uint64_t*, Barrier> barriers;
    std::deque<Copy> copies;
};
State& state() {
    static State the_state;
    return the_state;
}

/// What a barrier holds is its own affair; a test sees when something else was written there.
constexpr uint64_t kOpaque = 0xb4221e20b4221e20;

Barrier& barrier_at(uint64_t* at) {
    const auto found = state().barriers.find(at);
    if (found == state().barriers.end()) stop("a barrier is used that was not made");
    if (*at != kOpaque) stop("a barrier was overwritten");
    return found->second;
}
Barrier& barrier_of_thread(uint64_t* at) {
    Barrier& barrier = barrier_at(at);
    if (!barrier.is_published && barrier.maker != thread_number())
        stop("a barrier is used that was not published");
    return barrier;
}

void settle(Barrier& barrier) {
    note_progress();
    if (std::abs(barrier.bytes) > kBytesMax) stop("a barrier expects too many bytes");
    if (barrier.pending != 0 || barrier.bytes != 0) return;
    ++barrier.phase;
    barrier.pending = barrier.arrivals;
}

void land(Copy& copy, uint32_t bytes) {
    expect_block_of(copy.to);
    std::memcpy(copy.to, copy.from, bytes);
    copy.to += bytes, copy.from += bytes, copy.bytes -= bytes;
    Barrier& barrier = barrier_at(copy.barrier);
    barrier.bytes -= bytes;
    settle(barrier);
}

void check(const Copy& copy) {
    const auto address = reinterpret_cast<uintptr_t>(copy.from);
    if (copy.bytes % 16 != 0 || copy.bytes == 0) stop("a bulk copy of no multiple of 16 bytes");
    if (address % 16 != 0 || reinterpret_cast<uintptr_t>(copy.to) % 16 != 0)
        stop("a bulk copy at an address that is no multiple of 16");
    if (!is_allocated(copy.from, copy.bytes)) stop("a bulk copy reads outside of memory");
    for (const auto& [at, barrier] : state().barriers) {
        const auto* const bytes = reinterpret_cast<const std::byte*>(at);
        if (bytes + sizeof *at > copy.to && bytes < copy.to + copy.bytes)
            stop("a bulk copy writes over a barrier");
    }
    if (!barrier_of_thread(copy.barrier).is_published)
        stop("a bulk copy tells a barrier that was not published");
}

}  // namespace

void start_barriers() {
    state() = {};
}
void end_barriers() {
    if (!state().copies.empty()) stop("a block ends before its bulk copies");
}

void make_barrier(uint64_t* barrier, uint32_t arrivals) {
    if (shared_address(barrier) % 8 != 0) stop("a barrier at an address that is no multiple of 8");
    static_cast<void>(shared_at(shared_address(barrier), sizeof *barrier));
    *barrier = kOpaque;
    state().barriers[barrier] = {arrivals, arrivals, 0, 0, thread_number(), false};
}

void publish_barriers() {
    for (auto& [at, barrier] : state().barriers)
        if (barrier.maker == thread_number()) barrier.is_published = true;
}

void arrive(uint64_t* at) {
    Barrier& barrier = barrier_of_thread(at);
    if (--barrier.pending < 0) stop("more arrivals than a phase has");
    settle(barrier);
}

void arrive_at(uint64_t* barrier, uint32_t rank) {
    arrive(static_cast<uint64_t*>(in_block(barrier, rank)));
}

void arrive_and_expect(uint64_t* at, uint32_t bytes) {
    barrier_of_thread(at).bytes += bytes;
    arrive(at);
}

bool has_ended(uint64_t* at, uint32_t parity) {
    const auto differs = [&] { return barrier_of_thread(at).phase % 2 != parity; };
    if (differs()) return true;
    look_again();
    return differs();
}

void copy_bulk(void* to, const void* from, uint32_t bytes, uint64_t* barrier, unsigned ranks) {
    note_progress();
    static_cast<void>(shared_at(shared_address(to), bytes));
    for (unsigned rank = 0; ranks >> rank != 0; ++rank) {
        if ((ranks >> rank & 1) == 0) continue;
        Copy copy{static_cast<std::byte*>(in_block(to, rank)), static_cast<const std::byte*>(from),
                  bytes, static_cast<uint64_t*>(in_block(barrier, rank))};
        check(copy);
        if (faults().bulk_copies_get_lost) continue;
        if (order() == Order::backward)
            land(copy, bytes);
        else
            state().copies.push_back(copy);
    }
}

bool land_copy() {
    auto& copies = state().copies;
    if (copies.empty()) return false;
    const bool oldest = order() == Order::forward;
    Copy& copy = oldest ? copies.front() : copies.back();
    const bool is_last = std::exchange(copy.has_begun, true) || copy.bytes < 32;
    land(copy, is_last ? copy.bytes : copy.bytes / 32 * 16);
    if (is_last && oldest) copies.pop_front();
    if (is_last && !oldest) copies.pop_back();
    return true;
}

}  // namespace emulated
