// SPDX-License-Identifier: Apache-2.0
// Barriers that count arrivals and bytes, and bulk copies, from their pages in the PTX ISA.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulated {

/// Blocks begin, without barriers; they end, when all copies must have landed.
void start_barriers();
void end_barriers();

void make_barrier(uint64_t* barrier, uint32_t arrivals);
/// Until then only the thread that made a barrier may use it.
void publish_barriers();
void arrive(uint64_t* barrier);
/// At the barrier in this place of another block.
void arrive_at(uint64_t* barrier, uint32_t rank);
void arrive_and_expect(uint64_t* barrier, uint32_t bytes);
/// Lets others run before it says no.
[[nodiscard]] bool has_ended(uint64_t* barrier, uint32_t parity);

/// In the order `backward` the copy lands at once, else in two halves when no thread gets on
/// without it: the oldest first, or the youngest in the order `scattered`.
/// To this place in each block whose bit is set in `ranks`, each telling its own barrier.
void copy_bulk(void* to, const void* from, uint32_t bytes, uint64_t* barrier, unsigned ranks);
/// False if no copy is under way.
bool land_copy();

}  // namespace emulated
