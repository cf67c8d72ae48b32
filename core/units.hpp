// SPDX-License-Identifier: Apache-2.0
// Counters that must not be mistaken for one another.
#pragma once

#include <compare>
#include <cstdint>

namespace trainyard {

template <class Tag>
struct Count {
    uint64_t value = 0;

    auto operator<=>(const Count&) const = default;
    constexpr Count& operator++() { return ++value, *this; }
    constexpr Count operator+(uint64_t n) const { return {value + n}; }
    constexpr Count operator-(uint64_t n) const { return {value - n}; }
    constexpr uint64_t operator-(Count other) const { return value - other.value; }
};

using Height = Count<struct HeightTag>;  ///< block number
using Epoch = Count<struct EpochTag>;
using View = Count<struct ViewTag>;  ///< one leader's turn; starts at 1 in each epoch's instance

}  // namespace trainyard
