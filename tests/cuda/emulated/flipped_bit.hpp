// SPDX-License-Identifier: Apache-2.0
// A bit that flips in the memory of an emulated device.
#pragma once

#include <gtest/gtest.h>

#include "machine.hpp"
#include "training/live_state.hpp"

namespace trainyard::tests {

/// Among all elements of a kind: the middle one lies in a tensor of its own.
enum class Place { first, middle, last };

struct FlippedBit {
    uint32_t kind = 0;  ///< w, m or v
    Place place = Place::first;
    uint32_t bit = 0;
};

inline void flip_word(float* element, uint32_t bit) {
    const emulated::DeviceAccess access;
    *reinterpret_cast<uint32_t*>(element) ^= 1U << bit;
}

inline void flip(const training::LiveState& live, const FlippedBit& bit) {
    const training::TensorSet* const kinds[] = {&live.w(), &live.m(), &live.v()};
    const training::TensorSet& set = *kinds[bit.kind];
    const size_t k = bit.place == Place::first    ? 0
                     : bit.place == Place::middle ? set.size() / 2
                                                  : set.size() - 1;
    const size_t i = bit.place == Place::first    ? 0
                     : bit.place == Place::middle ? set.count(k) / 2
                                                  : set.count(k) - 1;
    EXPECT_TRUE(live.backend().finish()) << "what is on its way to the device would undo it";
    flip_word(set.at(k) + i, bit.bit);
}

}  // namespace trainyard::tests
