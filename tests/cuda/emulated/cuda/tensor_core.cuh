// SPDX-License-Identifier: Apache-2.0
// The instructions of cuda/tensor_core.cuh on a CPU, from their description in the PTX ISA alone.
#pragma once

#include <cstdint>

#include "cuda_runtime.h"

namespace trainyard::cuda {

namespace mma {

struct Fragments {
    uint32_t a[4];
    uint32_t b[2];
};
static_assert(sizeof(Fragments) <= emulated::kSlotBytes);

inline int byte_of(uint32_t word, unsigned i) {
    return static_cast<int8_t>(word >> 8 * i & 0xff);
}
inline Fragments of_lane(const std::byte* slots, unsigned lane) {
    Fragments out;
    std::memcpy(&out, slots + lane * emulated::kSlotBytes, sizeof out);
    return out;
}
/// Element (row, k) of the 16 x 32 matrix A, spread over the lanes.
inline int left_at(const std::byte* slots, unsigned row, unsigned k) {
    const Fragments f = of_lane(slots, row % 8 * 4 + k % 16 / 4);
    return byte_of(f.a[(row >= 8 ? 1 : 0) + (k >= 16 ? 2 : 0)], k % 4);
}
/// Element (k, col) of the 32 x 8 matrix B.
inline int right_at(const std::byte* slots, unsigned k, unsigned col) {
    const Fragments f = of_lane(slots, col * 4 + k % 16 / 4);
    return byte_of(f.b[k >= 16 ? 1 : 0], k % 4);
}

}  // namespace mma

inline void mma_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const mma::Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const std::byte* const slots = emulated::exchange(&mine, sizeof mine, 256);
    const unsigned lane = threadIdx.x % 32;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = lane / 4 + (i >= 2 ? 8 : 0), col = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 32; ++k)
            c[i] += mma::left_at(slots, row, k) * mma::right_at(slots, k, col);
    }
}

inline void copy16_async(void* to_shared, const void* from, bool is_inside) {
    emulated::copy_later(to_shared, from, 16, is_inside);
}
inline void copy_commit() {
    emulated::close_copies();
}
template <int kPending>
void copy_wait() {
    emulated::wait_copies(kPending);
}

}  // namespace trainyard::cuda
