// SPDX-License-Identifier: Apache-2.0
// Ends an execution whose time is up. Blocks run without one: gas alone ends them.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace trainyard::vm {

/// Frames that run when the time is up fail, and so do all that begin afterwards: what an execution
/// gives then counts for nothing, and whoever lends it a watch asks `is_over` at the end. Not for
/// two threads at once.
class Watch {
public:
    /// Is looked at after so much gas, and when a frame begins.
    static constexpr int64_t kSliceGas = 1 << 18;

    /// `is_time_up` is asked until it says so; empty: never.
    explicit Watch(std::function<bool()> is_time_up, int64_t slice_gas = kSliceGas)
        : is_time_up_(std::move(is_time_up)), slice_gas_(slice_gas) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    /// Looks at the time; true when it is up.
    [[nodiscard]] bool look() {
        if (!is_over_ && is_time_up_) is_over_ = is_time_up_();
        return is_over_;
    }
    [[nodiscard]] bool is_over() const { return is_over_; }
    [[nodiscard]] int64_t slice_gas() const { return slice_gas_; }

private:
    std::function<bool()> is_time_up_;
    int64_t slice_gas_;
    bool is_over_ = false;
};

}  // namespace trainyard::vm
