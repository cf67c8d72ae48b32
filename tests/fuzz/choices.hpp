// SPDX-License-Identifier: Apache-2.0
// The input of a structured fuzz target as choices.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/bytes.hpp"

namespace trainyard {

/// One byte for each choice; zeros where the input ends.
class Choices {
public:
    explicit Choices(BytesView data) : rest_(data) {}
    [[nodiscard]] bool is_over() const { return rest_.empty(); }
    uint64_t below(uint64_t n) {
        if (rest_.empty()) return 0;
        const uint8_t byte = rest_[0];
        rest_ = rest_.subspan(1);
        return byte % n;
    }
    /// From `first` to `last`.
    uint32_t between(uint32_t first, uint32_t last) {
        return first + static_cast<uint32_t>(below(last - first + 1));
    }
    template <class T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }

private:
    BytesView rest_;
};

}  // namespace trainyard
