// SPDX-License-Identifier: Apache-2.0
// A back end whose memory changes the weights between two steps, as one without ECC may.
#pragma once

#include <functional>
#include <utility>

#include "training/cpu/backend.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training {

/// Each report asks `forgets`, with the number of updates so far. Where it says yes, a bit of what
/// the last update has written flips, and the report tells of it.
class ForgettingBackend final : public cpu::CpuBackend {
public:
    explicit ForgettingBackend(std::function<bool(uint32_t updates)> forgets)
        : CpuBackend(kernels_for(CpuPath::scalar), 1), forgets_(std::move(forgets)) {}
    void adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s,
               float wd) override {
        CpuBackend::adamw(tensors, count, s, wd);
        if (!std::exchange(is_updating_, true)) ++updates_;
        w_ = tensors.w;
    }
    Result<BackendStatus, BackendError> finish() override {
        const auto status = CpuBackend::finish();
        is_updating_ = false;
        if (w_ == nullptr || !forgets_(updates_)) return status;
        float& w = *std::exchange(w_, nullptr);
        w = as_float(bits_of(w) ^ 1U << 20);
        return unexpected(BackendError::state_changed);
    }

private:
    const std::function<bool(uint32_t)> forgets_;
    uint32_t updates_ = 0;
    bool is_updating_ = false;
    float* w_ = nullptr;  ///< changed last, and not yet forgotten
};

}  // namespace trainyard::training
