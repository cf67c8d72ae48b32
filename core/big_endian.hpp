// SPDX-License-Identifier: Apache-2.0
// Unsigned integers in fixed big-endian form: keys of a store, whose bytes so lie in the order of
// the numbers, and formats of others.
#pragma once

#include "core/bytes.hpp"

namespace trainyard {

template <class T>
void append_be(Bytes& to, T value) {
    for (size_t i = sizeof(T); i-- > 0;) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
template <class T>
[[nodiscard]] T load_be(const uint8_t* from) {
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8 | from[i]);
    return value;
}

}  // namespace trainyard
