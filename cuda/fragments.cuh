// SPDX-License-Identifier: Apache-2.0
// Which element of a matrix a lane of a warp holds, as functions that the CPU tests.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace trainyard::cuda {

/// Sums of an m16n8 product: lane l holds rows l / 4 and l / 4 + 8, columns 2 (l mod 4) and one
/// more. An operand of the next product, contracted along these columns, needs four neighbouring
/// bytes in a lane, twice. A sum of integers has no order, so the next product simply contracts 32
/// columns in the order in which the lanes hold them, and the other operand has the eight bytes of
/// a lane as neighbours: column c of the 32 is byte `paired_term(c)` there.
__host__ __device__ constexpr uint32_t paired_term(uint32_t c) {
    const uint32_t tile = c / 8, lane = c % 8 / 2;
    return lane * 8 + tile * 2 + c % 2;
}

/// An element of a matrix.
struct Place {
    uint32_t row, col;
};

/// Where sum i of thread `thread` of a warpgroup lies in its 64 rows.
/// Source: PTX ISA 9.0, "wgmma.mma_async", register fragments, accumulator D.
__host__ __device__ constexpr Place warpgroup_sum(uint32_t thread, uint32_t i) {
    return {thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, i / 4 * 8 + thread % 4 * 2 + i % 2};
}

/// Operands of a warpgroup lie in rows of 128 bytes, from a multiple of 1,024 on; the 16-byte parts
/// of a row are exchanged so that eight rows put one part in all banks.
constexpr uint32_t kSwizzledRow = 128;
constexpr uint32_t kSwizzledRows = 8;
constexpr uint32_t kSwizzleBytes = kSwizzledRow * kSwizzledRows;

/// The 128-byte swizzle: bits 4 to 6 of an address are xored with its bits 7 to 9.
__host__ __device__ constexpr uint32_t swizzled(uint32_t address) {
    return address ^ (address >> 3 & 0x70U);
}

/// What tells wgmma of an operand whose first row begins at `address` of shared memory, contracted
/// along its rows. Source: PTX ISA 9.0, "Matrix descriptor format": start address and offset of
/// the next eight rows in units of 16 bytes, in bits 0 to 13 and 32 to 45; the offset in bits 16 to
/// 29 counts only without swizzle; 1 in bits 62 and 63 is the 128-byte swizzle.
__host__ __device__ constexpr uint64_t matrix_descriptor(uint32_t address) {
    return uint64_t{(address & 0x3ffffU) >> 4} | uint64_t{1} << 16 |
           uint64_t{kSwizzleBytes >> 4} << 32 | uint64_t{1} << 62;
}

}  // namespace trainyard::cuda
