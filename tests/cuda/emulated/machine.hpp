// SPDX-License-Identifier: Apache-2.0
// Runs the threads of a CUDA block as fibers of one CPU thread, so that kernels are tested without
// a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace emulated {

struct Index {
    unsigned x = 1, y = 1, z = 1;
};

/// In which order the runnable threads of a block run between two barriers, and the blocks of a
/// grid; of a cluster the first or last block runs ahead, or, scattered, none. A kernel that lacks
/// a barrier gives other results in another order.
enum class Order { forward, backward, scattered };

/// Faults that the next calls meet.
struct Faults {
    size_t memory_bytes_max = SIZE_MAX;  ///< of all allocations together
    bool launches_fail = false;
    bool warpgroups_err = false;              ///< in one sum of each product
    size_t warpgroups_err_behind = SIZE_MAX;  ///< the same, from then on in the life of a block
    bool bulk_copies_get_lost = false;
    bool overlaps_are_refused = false;  ///< of kernels in graphs
    size_t failing_call = SIZE_MAX;     ///< the number, from 0 on, of the one call without memory
    bool has_ecc = true;
    /// The instructions that err in one bit: so many from this number on.
    size_t first_wrong_product = SIZE_MAX, wrong_products = 1;
};

void set_order(Order order);
[[nodiscard]] Order order();
void set_faults(const Faults& faults);
[[nodiscard]] const Faults& faults();
/// Compute capability 9.0 instead of 8.0, with its products by warpgroups and its shared memory.
void set_hopper(bool is_hopper);
[[nodiscard]] bool is_hopper();
/// How many devices there are; they share one memory. One at the start.
void set_devices(int count);
[[nodiscard]] int devices();
/// The calling thread's.
[[nodiscard]] int& current_device();
/// True if these bytes lie in one allocation.
[[nodiscard]] bool is_allocated(const void* memory, size_t bytes);
[[nodiscard]] size_t bytes_in_use();
/// What the host asked of the device so far.
struct Traffic {
    size_t up = 0, down = 0;  ///< bytes copied
    size_t waits = 0;         ///< for a stream
    size_t graphs = 0, graph_launches = 0;
    size_t overlaps = 0;  ///< kernels that may start before the one in front of them has ended
};
[[nodiscard]] Traffic& traffic();
[[nodiscard]] size_t allocations();  ///< so far
/// Streams, events, graphs and pieces of pinned memory that are not destroyed.
[[nodiscard]] size_t& objects();
/// Threads so far that waited for the kernel before theirs.
[[nodiscard]] size_t& followers();
/// Counts a call of the runtime that may fail; true if it is the one of the faults.
[[nodiscard]] bool call_fails();
/// Calls since the faults were set.
[[nodiscard]] size_t calls();
/// Counts an instruction that multiplies matrices; true if it is one of the faults'. One warp of
/// those that carry it out asks.
[[nodiscard]] bool product_errs();
/// Such instructions since the faults were set.
[[nodiscard]] size_t products();

/// Device memory, filled with bytes that no result contains by chance; a write behind its end
/// stops the program when it is freed.
[[nodiscard]] void* allocate(size_t bytes);
void release(void* memory);

/// While none of these lives, an access to device memory stops the program: the host has to copy.
struct DeviceAccess {
    DeviceAccess();
    ~DeviceAccess();
    DeviceAccess(const DeviceAccess&) = delete;
    DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/// Runs `thread` for every thread of the grid, block after block. Dynamic shared memory starts
/// with arbitrary bytes. A block whose threads wait at different barriers stops the program.
struct Shape {
    Index grid;
    unsigned threads = 1;
    size_t shared_bytes = 0;
    unsigned cluster = 1;  ///< neighbouring blocks that run together, at most kClusterMax
};
constexpr unsigned kClusterMax = 8;
constexpr int kMultiprocessors = 5;
void run(const Shape& shape, const std::function<void()>& thread);

/// Waits for all threads of the block, or of its cluster.
void wait_block();
void wait_cluster();
/// Of the running thread among all of its cluster, and of its block.
[[nodiscard]] unsigned thread_number();
[[nodiscard]] unsigned block_rank();
/// The same place of shared memory in block `rank` of the cluster; stops if that block has ended.
[[nodiscard]] void* in_block(void* shared, unsigned rank);
/// Stops if the block of this place has ended.
void expect_block_of(const void* shared);
/// Puts `size` bytes in the warp's slot of this lane, waits for all lanes, and returns the slots:
/// lane l's bytes at [l * kSlotBytes]. `kind` must be the same in all lanes.
constexpr size_t kSlotBytes = 32;
[[nodiscard]] const std::byte* exchange(const void* mine, size_t size, unsigned kind);
/// Kinds of exchanges in which a warp looks whether to go on.
constexpr unsigned kVoteAll = 512, kVoteAny = 513;
[[nodiscard]] constexpr bool is_vote(unsigned kind) {
    return kind == kVoteAll || kind == kVoteAny;
}

/// The running thread lets others run, because what it waits for has not come.
void look_again();
/// Something happened for which a thread may wait.
void note_progress();
/// Stands still while threads get on or copies have yet to land; then it leaps.
[[nodiscard]] long long clock();

/// Copies to shared memory take place when their group is waited for, as late as they may; in the
/// order `backward` at once, as early as they may.
void copy_later(void* to, const void* from, size_t bytes, bool is_inside);
void close_copies();
void wait_copies(size_t pending_max);
/// Copies that a thread has waited for are read by products of warpgroups only behind this.
void publish_copies();
[[nodiscard]] bool all_copies_published();

/// The dynamic shared memory of the running block.
[[nodiscard]] unsigned char* shared_memory();
/// Where a byte lies in the block's shared memory, and the byte that lies there; the dynamic part
/// does not begin at a multiple of 1,024.
[[nodiscard]] uint32_t shared_address(const void* shared);
[[nodiscard]] const std::byte* shared_at(uint32_t address, size_t bytes);

[[noreturn]] void stop(const char* why);

}  // namespace emulated
