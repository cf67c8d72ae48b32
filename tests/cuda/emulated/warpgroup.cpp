// SPDX-License-Identifier: Apache-2.0
// The products under way of each thread.
#include "warpgroup.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "cuda_runtime.h"

namespace emulated {

namespace {

using Sums = std::vector<int32_t>;

struct Started {
    uint64_t a, b;
    Sums product;
};
struct Thread {
    std::span<int32_t> c;  ///< of the products under way
    Sums sums;             ///< what c holds when they are complete
    bool is_fenced = false;
    std::vector<Started> open;
    std::deque<std::vector<Started>> groups;
    size_t done = 0;  ///< times that all its products were complete
};

Thread& running_thread() {
    static std::vector<Thread> threads(size_t{1024} * kClusterMax);
    return threads[thread_number()];
}

/// "Matrix descriptor format" of wgmma.
struct Descriptor {
    uint32_t start, stride;

    explicit Descriptor(uint64_t bits)
        : start(static_cast<uint32_t>(bits & 0x3fff) << 4),
          stride(static_cast<uint32_t>(bits >> 32 & 0x3fff) << 4) {
        if (bits >> 62 != 1) stop("only the 128-byte swizzle is emulated");
        if ((bits >> 49 & 7) != 0) stop("a base offset, but patterns begin at multiples of 1,024");
    }
    /// 32 bytes of a row, K-major: eight rows of 128 bytes make a pattern, the next begins
    /// `stride` bytes later; in the address of every 16 bytes, bits 4 to 6 are xored with 7 to 9.
    void read(int8_t (&to)[32], unsigned row) const {
        for (unsigned part = 0; part < 32; part += 16) {
            const uint32_t plain = start + row / 8 * stride + row % 8 * 128 + part;
            const uint32_t address = plain ^ (plain / 128 % 8 * 16);
            std::memcpy(to + part, shared_at(address, 16), 16);
        }
    }
};

/// Accumulator D of m64n192k32 or m64n256k32: warp w holds rows 16 w to 16 w + 15;
/// register i of lane l holds row l / 4, eight more if bit 1 of i is set, and column 8 (i / 4) + 2
/// (l mod 4) + i mod 2.
Sums product_of(uint64_t a, uint64_t b, size_t sums) {
    const Descriptor left(a), right(b);
    const unsigned lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane / 4;
    int8_t rows[2][32], col[32];
    left.read(rows[0], row);
    left.read(rows[1], row + 8);
    Sums out(sums);
    for (unsigned j = 0; j < sums / 2; ++j) {
        right.read(col, j / 2 * 8 + lane % 4 * 2 + j % 2);
        for (unsigned half = 0; half < 2; ++half)
            for (unsigned k = 0; k < 32; ++k)
                out[j / 2 * 4 + half * 2 + j % 2] += rows[half][k] * col[k];
    }
    return out;
}

}  // namespace

void start_product(std::span<int32_t> c, uint64_t a, uint64_t b, bool adds) {
    const uint64_t mine[3] = {a, b, adds};
    const std::byte* const slots = exchange(mine, sizeof mine, 300);
    if (std::memcmp(slots, mine, sizeof mine) != 0) stop("lanes have different descriptors");
    if (!all_copies_published()) stop("a product reads copies that were not published to it");
    Thread& thread = running_thread();
    if (!thread.is_fenced) stop("a product starts without a fence for its sums");
    if (thread.c.empty()) {
        thread.c = c;
        thread.sums.assign(c.begin(), c.end());
        if (!adds) std::fill(thread.sums.begin(), thread.sums.end(), 0);
        std::fill(c.begin(), c.end(), -123456789);
    }
    if (!adds && has_products_under_way()) stop("sums under way are forgotten");
    if (thread.c.data() != c.data()) stop("only one set of sums can be under way");
    thread.open.push_back({a, b, product_of(a, b, c.size())});
}

void fence_sums() {
    running_thread().is_fenced = true;
}

void close_products() {
    Thread& thread = running_thread();
    thread.groups.push_back(std::move(thread.open));
    thread.open.clear();
}

void wait_products(unsigned pending_max) {
    static_cast<void>(exchange(nullptr, 0, 301));
    Thread& thread = running_thread();
    for (; thread.groups.size() > pending_max; thread.groups.pop_front())
        for (const Started& started : thread.groups.front()) {
            if (product_of(started.a, started.b, thread.c.size()) != started.product)
                stop("operands change while a product reads them");
            for (size_t i = 0; i < thread.sums.size(); ++i) thread.sums[i] += started.product[i];
        }
    if (thread.c.empty() || has_products_under_way()) return;
    const bool errs = faults().warpgroups_err || ++thread.done > faults().warpgroups_err_behind;
    if (errs && threadIdx.x == 0) ++thread.sums[0];
    if (threadIdx.x == 0 && product_errs()) thread.sums[0] ^= 1 << 9;
    std::copy(thread.sums.begin(), thread.sums.end(), thread.c.begin());
    thread.c = {};
    thread.is_fenced = false;
}

bool has_products_under_way() {
    const Thread& thread = running_thread();
    return !thread.open.empty() || !thread.groups.empty();
}

void end_products() {
    if (has_products_under_way()) stop("a thread ends before its products");
    running_thread().done = 0;
}

void use_sums(std::span<const int32_t> c) {
    if (running_thread().c.data() == c.data()) stop("sums are used while a product is under way");
}

}  // namespace emulated
