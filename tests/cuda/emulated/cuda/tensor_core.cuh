// SPDX-License-Identifier: Apache-2.0
// The instructions of cuda/tensor_core.cuh on a CPU, from their description in the PTX ISA alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "bulk.hpp"
#include "cuda_runtime.h"
#include "warpgroup.hpp"

namespace trainyard::cuda {

inline float larger_or_nan(float a, float b) {
    if (a != a || b != b) return __uint_as_float(0x7fffffffU);
    return a > b || (a == b && std::signbit(b)) ? a : b;
}

namespace mma {

struct Fragments {
    uint32_t a[4];
    uint32_t b[2];
};
static_assert(sizeof(Fragments) <= emulated::kSlotBytes);

/// The 32 bytes along k of a row of A (16 x 32) or a column of B (32 x 8), spread over four lanes.
struct Line {
    int8_t at[32];
};
inline Line line_of(const std::byte* slots, unsigned first_lane, size_t low, size_t high) {
    Line out;
    for (unsigned t = 0; t < 4; ++t) {
        const std::byte* const words = slots + (first_lane + t) * emulated::kSlotBytes;
        std::memcpy(out.at + 4 * t, words + low, 4);
        std::memcpy(out.at + 16 + 4 * t, words + high, 4);
    }
    return out;
}
inline Line row_of(const std::byte* slots, unsigned row) {
    const size_t low = row >= 8 ? 4 : 0;
    return line_of(slots, row % 8 * 4, low, low + 8);
}
inline Line col_of(const std::byte* slots, unsigned col) {
    return line_of(slots, col * 4, offsetof(Fragments, b), offsetof(Fragments, b) + 4);
}

}  // namespace mma

inline void mma_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const mma::Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const std::byte* const slots = emulated::exchange(&mine, sizeof mine, 256);
    const unsigned lane = threadIdx.x % 32;
    const mma::Line rows[2] = {mma::row_of(slots, lane / 4), mma::row_of(slots, lane / 4 + 8)};
    const mma::Line cols[2] = {mma::col_of(slots, lane % 4 * 2),
                               mma::col_of(slots, lane % 4 * 2 + 1)};
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned k = 0; k < 32; ++k) c[i] += rows[i / 2].at[k] * cols[i % 2].at[k];
    if (lane == 0 && emulated::product_errs()) c[0] ^= 1 << 9;
}

/// A (16 x 16) and B (16 x 8) hold pairs of bf16, the lower k in the lower half of a register.
inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const mma::Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const std::byte* const slots = emulated::exchange(&mine, sizeof mine, 257);
    const auto value = [slots](unsigned lane, unsigned reg, unsigned half) {
        uint32_t word;
        std::memcpy(&word, slots + lane * emulated::kSlotBytes + reg * 4, 4);
        return std::bit_cast<float>(half == 0 ? word << 16 : word & 0xffff0000U);
    };
    const unsigned lane = threadIdx.x % 32;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned t = k % 8 / 2;
            c[i] += value(row % 8 * 4 + t, row / 8 + k / 8 * 2, k % 2) *
                    value(col * 4 + t, 4 + k / 8, k % 2);
        }
        if (std::fabs(c[i]) >= 8388608.0F) emulated::stop("a float sum is no longer exact");
    }
    if (lane == 0 && emulated::product_errs()) c[0] += 512.0F;
}

constexpr bool kHasWarpgroups = true;

template <int kCount>
inline void take_registers() {
    static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
}
template <int kCount>
inline void give_registers() {
    take_registers<kCount>();
}

inline uint32_t shared_address(const void* shared) {
    return emulated::shared_address(shared);
}
inline void publish_to_products() {
    emulated::publish_copies();
}
inline void warpgroup_fence() {
    emulated::fence_sums();
}
inline void warpgroup_commit() {
    emulated::close_products();
}
template <int kPending>
void warpgroup_wait() {
    emulated::wait_products(kPending);
}
template <int kSums>
void hold_sums(const int32_t (&c)[kSums]) {
    emulated::use_sums(c);
}
template <int kSums>
void wgmma_s8(int32_t (&c)[kSums], uint64_t a, uint64_t b, bool adds) {
    static_assert(kSums == 96 || kSums == 128);
    emulated::start_product(c, a, b, adds);
}

inline void copy16_async(void* to_shared, const void* from, bool is_inside) {
    emulated::copy_later(to_shared, from, 16, is_inside);
}
inline void copy4_async(void* to_shared, const void* from) {
    emulated::copy_later(to_shared, from, 4, true);
}
inline void copy_commit() {
    emulated::close_copies();
}
template <int kPending>
void copy_wait() {
    emulated::wait_copies(kPending);
}

inline void init_barrier(uint64_t* barrier, uint32_t arrivals) {
    emulated::make_barrier(barrier, arrivals);
}
inline void publish_barriers() {
    emulated::publish_barriers();
}
inline bool has_ended(uint64_t* barrier, uint32_t parity) {
    return emulated::has_ended(barrier, parity);
}
inline void arrive(uint64_t* barrier) {
    emulated::arrive(barrier);
}
inline void arrive_and_expect(uint64_t* barrier, uint32_t bytes) {
    emulated::arrive_and_expect(barrier, bytes);
}
inline void copy_bulk(void* to_shared, const void* from, uint32_t bytes, uint64_t* barrier) {
    emulated::copy_bulk(to_shared, from, bytes, barrier, 1U << emulated::block_rank());
}
inline uint32_t cluster_rank() {
    return emulated::block_rank();
}
inline void meet_cluster() {
    emulated::wait_cluster();
}
inline void store_at(uint32_t* place, uint32_t rank, uint32_t word) {
    *static_cast<uint32_t*>(emulated::in_block(place, rank)) = word;
}
inline void arrive_at(uint64_t* barrier, uint32_t rank) {
    emulated::arrive_at(barrier, rank);
}
inline void copy_bulk_to_all(void* to_shared, const void* from, uint32_t bytes, uint64_t* barrier,
                             uint16_t ranks) {
    emulated::copy_bulk(to_shared, from, bytes, barrier, ranks);
}

}  // namespace trainyard::cuda
