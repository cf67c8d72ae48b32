// SPDX-License-Identifier: Apache-2.0
// The scheduler of the fibers, their barriers, and memory with poison and canaries.
#undef _FORTIFY_SOURCE  // it takes a jump to another stack for an attack
#include "machine.hpp"

#include "bulk.hpp"
#include "warpgroup.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cuda_runtime.h"

emulated::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

void stop(const char* why) {
    std::fprintf(stderr, "emulated device: %s (block %u %u %u)\n", why, blockIdx.x, blockIdx.y,
                 blockIdx.z);
    std::abort();
}

namespace {

constexpr unsigned kWarp = 32;
constexpr size_t kStackBytes = 128 << 10;
constexpr unsigned char kPoison = 0xcd;
constexpr size_t kCanaryBytes = 256;
constexpr size_t kAddressBytes = size_t{1} << 36;
constexpr size_t kPageBytes = 4096;
constexpr size_t kSharedBytes = 228 << 10;
constexpr unsigned kIdleRounds = 4;  ///< a look takes two
constexpr long long kLeap = 1LL << 40;
constexpr unsigned kLeapsMax = 64;

enum class State { ready, at_warp, at_block, at_cluster, done };

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
    bool is_inside;
};

struct Fiber {
    ucontext_t start = {};
    jmp_buf resume;
    bool started = false;
    std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
    State state = State::done;
    unsigned kind = 0, exchanges = 0;
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
    bool has_unpublished = false;
};

struct Warp {
    alignas(16) std::byte slots[2][kWarp * kSlotBytes];
};

struct Machine {
    Order order = Order::forward;
    Faults faults;
    std::map<void*, size_t> memory;
    size_t in_use = 0, allocations = 0, objects = 0, calls = 0, products = 0;
    Traffic traffic;
    std::byte* base = nullptr;  ///< of all device memory
    size_t used = 0;            ///< addresses given away; they start anew when nothing is in use
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Warp> warps;
    jmp_buf scheduler;
    unsigned running = 0;
    bool is_hopper = false;
    int devices = 1;
    const std::function<void()>* thread = nullptr;
    bool has_progress = false;
    long long clock = 0;
    Shape shape;
    Index first_block;  ///< of those that run
    alignas(1024) unsigned char shared[kClusterMax][kSharedBytes];
};

Machine& machine() {
    static Machine the_machine;
    return the_machine;
}

void protect(int how) {
    Machine& m = machine();
    const size_t bytes = (m.used + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (bytes > 0 && mprotect(m.base, bytes, how) != 0) stop("mprotect failed");
}

Fiber& running_fiber() {
    return *machine().fibers[machine().running];
}

/// Leaves the running fiber until the scheduler resumes it.
void yield_as(State state) {
    Fiber& fiber = running_fiber();
    fiber.state = state;
    if (_setjmp(fiber.resume) == 0) _longjmp(machine().scheduler, 1);
}

/// Runs a fiber until it yields. Jumps cost no system calls, switched contexts do.
void resume(Fiber& fiber) {
    if (_setjmp(machine().scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

void fiber_main() {
    (*machine().thread)();
    Fiber& fiber = running_fiber();
    if (!fiber.open.empty() || !fiber.groups.empty()) {
        for (const auto& group : fiber.groups)
            if (!group.empty()) stop("a thread ends before its copies");
        if (!fiber.open.empty()) stop("a thread ends before its copies");
    }
    end_products();
    note_progress();
    yield_as(State::done);
}

void start_fibers(unsigned threads) {
    Machine& m = machine();
    while (m.fibers.size() < threads) m.fibers.push_back(std::make_unique<Fiber>());
    m.warps.resize((threads + kWarp - 1) / kWarp);
    for (unsigned i = 0; i < threads; ++i) {
        Fiber& fiber = *m.fibers[i];
        fiber.state = State::ready;
        fiber.exchanges = 0;
        fiber.open.clear();
        fiber.groups.clear();
        fiber.has_unpublished = false;
        fiber.started = false;
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.get();
        fiber.start.uc_stack.ss_size = kStackBytes;
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, fiber_main, 0);
    }
}

unsigned in_order(unsigned i, unsigned threads) {
    switch (machine().order) {
        case Order::forward:
            return i;
        case Order::backward:
            return threads - 1 - i;
        case Order::scattered:
            return static_cast<unsigned>((uint64_t{i} * 389 + 17) % threads);  // 389 is prime
    }
    return i;
}

/// Runs every ready fiber of these until it waits or ends.
void run_ready(unsigned first, unsigned threads) {
    Machine& m = machine();
    for (unsigned i = 0; i < threads; ++i) {
        m.running = first + in_order(i, threads);
        Fiber& fiber = *m.fibers[m.running];
        if (fiber.state != State::ready) continue;
        threadIdx = {m.running % m.shape.threads, 0, 0};
        blockIdx = m.first_block;
        blockIdx.x += block_rank();
        resume(fiber);
    }
}

/// True if the lanes [first, first + 32) all wait in the same exchange, which is then over.
bool release_warp(unsigned first) {
    Machine& m = machine();
    for (unsigned i = first; i < first + kWarp; ++i)
        if (m.fibers[i]->state != State::at_warp) return false;
    for (unsigned i = first; i < first + kWarp; ++i) {
        if (m.fibers[i]->kind != m.fibers[first]->kind) stop("lanes meet in different operations");
        m.fibers[i]->state = State::ready;
    }
    return true;
}

unsigned count_of(State state, unsigned first, unsigned threads) {
    unsigned count = 0;
    for (unsigned i = first; i < first + threads; ++i)
        count += machine().fibers[i]->state == state ? 1 : 0;
    return count;
}

/// True if all these threads were in `state`; they go on.
bool release_all(State state, unsigned first, unsigned threads) {
    if (count_of(state, first, threads) != threads) return false;
    for (unsigned i = first; i < first + threads; ++i) machine().fibers[i]->state = State::ready;
    return true;
}

/// True if something was released, or threads only look: then copies land or the clock leaps.
bool goes_on() {
    const unsigned threads = machine().shape.threads, all = threads * machine().shape.cluster;
    bool released = false;
    for (unsigned w = 0; w + kWarp <= all; w += kWarp) released |= release_warp(w);
    for (unsigned first = 0; first < all; first += threads)
        released |= release_all(State::at_block, first, threads);
    released |= release_all(State::at_cluster, 0, all);
    return released || count_of(State::ready, 0, all) > 0;
}

void run_cluster() {
    Machine& m = machine();
    const unsigned all = m.shape.threads * m.shape.cluster;
    for (unsigned rank = 0; rank < m.shape.cluster; ++rank)
        std::memset(m.shared[rank], 0xff, m.shape.shared_bytes);
    start_fibers(all);
    start_barriers();
    // This block of the cluster is as far ahead of the others as it can be.
    const unsigned ahead = m.order == Order::backward ? m.shape.cluster - 1 : 0;
    unsigned idle = 0, leaps = 0;
    while (true) {
        m.has_progress = false;
        if (idle < kIdleRounds && m.order != Order::scattered)
            run_ready(ahead * m.shape.threads, m.shape.threads);
        else
            run_ready(0, all);
        if (count_of(State::done, 0, all) == all) break;
        if (!goes_on()) stop("threads wait at different barriers");
        idle = m.has_progress ? 0 : idle + 1;
        if (idle < 2 * kIdleRounds) continue;
        idle = 0;
        if (land_copy()) continue;
        m.clock += kLeap;
        if (++leaps > kLeapsMax) stop("threads wait for ever");
    }
    end_barriers();
}

void carry_out(const Copy& copy) {
    if (copy.is_inside)
        std::memcpy(copy.to, copy.from, copy.bytes);
    else
        std::memset(copy.to, 0, copy.bytes);
}

}  // namespace

void set_order(Order order) {
    machine().order = order;
}
Order order() {
    return machine().order;
}
void set_faults(const Faults& faults) {
    machine().faults = faults;
    machine().calls = 0;
    machine().products = 0;
}
const Faults& faults() {
    return machine().faults;
}
void set_hopper(bool is_hopper) {
    machine().is_hopper = is_hopper;
}
bool is_hopper() {
    return machine().is_hopper;
}
void set_devices(int count) {
    machine().devices = count;
}
int devices() {
    return machine().devices;
}
int& current_device() {
    thread_local int device = 0;
    return device;
}
bool is_allocated(const void* memory, size_t bytes) {
    auto after = machine().memory.upper_bound(const_cast<void*>(memory));
    if (after == machine().memory.begin()) return false;
    const auto& [begin, size] = *--after;
    const auto* const at = static_cast<const std::byte*>(memory);
    return at + bytes <= static_cast<const std::byte*>(begin) + size;
}
size_t allocations() {
    return machine().allocations;
}
size_t& objects() {
    return machine().objects;
}
size_t& followers() {
    static size_t count = 0;
    return count;
}
size_t calls() {
    return machine().calls;
}
bool call_fails() {
    return machine().calls++ == machine().faults.failing_call;
}
size_t products() {
    return machine().products;
}
bool product_errs() {
    const size_t number = machine().products++, first = machine().faults.first_wrong_product;
    return number >= first && number - first < machine().faults.wrong_products;
}
Traffic& traffic() {
    return machine().traffic;
}
size_t bytes_in_use() {
    return machine().in_use;
}

DeviceAccess::DeviceAccess() {
    protect(PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
    protect(PROT_NONE);
}

void* allocate(size_t bytes) {
    Machine& m = machine();
    if (bytes > m.faults.memory_bytes_max || m.in_use > m.faults.memory_bytes_max - bytes)
        return nullptr;
    if (m.base == nullptr) {
        constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void* const base = mmap(nullptr, kAddressBytes, PROT_NONE, kFlags, -1, 0);
        if (base == MAP_FAILED) stop("no addresses for device memory");
        m.base = static_cast<std::byte*>(base);
    }
    const size_t rounded = (bytes + 255) / 256 * 256 + kCanaryBytes;
    if (rounded > kAddressBytes - m.used) return nullptr;
    std::byte* const memory = m.base + m.used;
    m.used += rounded;
    const DeviceAccess access;
    std::memset(memory, kPoison, rounded);
    m.memory[memory] = bytes;
    m.in_use += bytes;
    ++m.allocations;
    return memory;
}

void release(void* memory) {
    Machine& m = machine();
    const auto found = m.memory.find(memory);
    if (found == m.memory.end()) stop("memory is freed that was not allocated");
    {
        const DeviceAccess access;
        auto* const bytes = static_cast<unsigned char*>(memory);
        for (size_t i = found->second; i < found->second + kCanaryBytes; ++i)
            if (bytes[i] != kPoison) stop("a write behind the end of an allocation");
        std::memset(memory, kPoison, found->second);
    }
    m.in_use -= found->second;
    m.memory.erase(found);
    if (m.memory.empty()) m.used = 0;
}

void run(const Shape& shape, const std::function<void()>& thread) {
    machine().thread = &thread;
    machine().shape = shape;
    gridDim = shape.grid;
    blockDim = {shape.threads, 1, 1};
    const DeviceAccess access;
    const bool backward = machine().order == Order::backward;
    const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
    for (uint64_t i = 0; i < blocks; i += shape.cluster) {
        const uint64_t b = backward ? blocks - shape.cluster - i : i;
        machine().first_block = {static_cast<unsigned>(b % shape.grid.x),
                                 static_cast<unsigned>(b / shape.grid.x % shape.grid.y),
                                 static_cast<unsigned>(b / shape.grid.x / shape.grid.y)};
        run_cluster();
    }
}

void look_again() {
    yield_as(State::ready);
}
void note_progress() {
    machine().has_progress = true;
}
long long clock() {
    return machine().clock;
}

void wait_block() {
    note_progress();
    yield_as(State::at_block);
}

void wait_cluster() {
    note_progress();
    yield_as(State::at_cluster);
}
unsigned thread_number() {
    return machine().running;
}
unsigned block_rank() {
    return machine().running / machine().shape.threads;
}
void* in_block(void* shared, unsigned rank) {
    if (rank >= machine().shape.cluster) stop("a block that the cluster does not have");
    auto* const to =
        machine().shared[rank] + (static_cast<unsigned char*>(shared) - shared_memory());
    expect_block_of(to);
    const Fiber& first = *machine().fibers[size_t{rank} * machine().shape.threads];
    if (!first.started) stop("a block that may not have begun is written to");
    return to;
}
void expect_block_of(const void* shared) {
    const Machine& m = machine();
    const auto at = static_cast<const unsigned char*>(shared) - m.shared[0];
    const auto rank = static_cast<unsigned>(at / static_cast<ptrdiff_t>(kSharedBytes));
    if (count_of(State::done, rank * m.shape.threads, m.shape.threads) == m.shape.threads)
        stop("a block that has ended is written to");
}

const std::byte* exchange(const void* mine, size_t size, unsigned kind) {
    Machine& m = machine();
    Fiber& fiber = running_fiber();
    // Two sets of slots in turn: no lane can be two exchanges ahead of another.
    std::byte* const slots = m.warps[m.running / kWarp].slots[fiber.exchanges++ % 2];
    if (size > 0) std::memcpy(slots + m.running % kWarp * kSlotBytes, mine, size);
    fiber.kind = kind;
    if (!is_vote(kind)) note_progress();  // threads vote while they wait
    yield_as(State::at_warp);
    return slots;
}

void copy_later(void* to, const void* from, size_t bytes, bool is_inside) {
    const Copy copy{to, from, bytes, is_inside};
    if (machine().order == Order::backward) carry_out(copy);
    running_fiber().open.push_back(copy);
}

void close_copies() {
    Fiber& fiber = running_fiber();
    fiber.groups.push_back(std::move(fiber.open));
    fiber.open.clear();
}

void wait_copies(size_t pending_max) {
    Fiber& fiber = running_fiber();
    for (; fiber.groups.size() > pending_max; fiber.groups.pop_front())
        for (const Copy& copy : fiber.groups.front()) {
            fiber.has_unpublished = true;
            if (machine().order != Order::backward) carry_out(copy);
        }
}

void publish_copies() {
    running_fiber().has_unpublished = false;
}
bool all_copies_published() {
    const unsigned first = block_rank() * blockDim.x;
    for (unsigned i = first; i < first + blockDim.x; ++i)
        if (machine().fibers[i]->has_unpublished) return false;
    return true;
}

namespace {
constexpr uint32_t kSharedBegin = 1040;
}
unsigned char* shared_memory() {
    return machine().shared[block_rank()];
}
uint32_t shared_address(const void* shared) {
    return kSharedBegin +
           static_cast<uint32_t>(static_cast<const unsigned char*>(shared) - shared_memory());
}
const std::byte* shared_at(uint32_t address, size_t bytes) {
    if (address < kSharedBegin || address - kSharedBegin + bytes > kSharedBytes)
        stop("an operand lies outside shared memory");
    return reinterpret_cast<const std::byte*>(shared_memory() + address - kSharedBegin);
}

}  // namespace emulated
