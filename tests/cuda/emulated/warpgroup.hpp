// SPDX-License-Identifier: Apache-2.0
// wgmma on a CPU, from its page in the PTX ISA: descriptors, swizzle, sums that are in flight.
#pragma once

#include <cstdint>
#include <span>

namespace emulated {

/// This thread's part of c (64 x 2 n) += a (64 x 32) * b (32 x 2 n), n = 96 or 128 sums; unless
/// `adds`, c begins with nothing. The operands are read when the product starts and again when it
/// has to be complete; if they differ, the test stops. Until then c holds other numbers.
void start_product(std::span<int32_t> c, uint64_t a, uint64_t b, bool adds);
/// Products may use sums that were written before this.
void fence_sums();
void close_products();
void wait_products(unsigned pending_max);
[[nodiscard]] bool has_products_under_way();
/// A thread ends; stops if its products do not.
void end_products();
/// Stops if c belongs to a product under way.
void use_sums(std::span<const int32_t> c);

}  // namespace emulated
