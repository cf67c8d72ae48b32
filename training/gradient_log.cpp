// SPDX-License-Identifier: Apache-2.0
// The two stages between a step and the store of its gradients.
#include "training/gradient_log.hpp"

#include <algorithm>

namespace trainyard::training {

void GradientMemory::start(std::vector<std::span<const float>> set) {
    auto& to = sets_.emplace_back();
    for (size_t k = 0; k < set.size(); ++k) {
        to.push_back(Tensor::zeros(shapes_[k]));
        std::copy(set[k].begin(), set[k].end(), to[k].data.begin());
    }
}

Result<std::vector<Tensor>, EngineError> GradientMemory::read(size_t i) const {
    if (i >= sets_.size()) return unexpected(EngineError::bad_log);
    return sets_[i];
}

GradientSaver::~GradientSaver() {
    if (store_ != nullptr) static_cast<void>(finish());
}

Result<Done, EngineError> GradientSaver::put(TensorSet sums) {
    ASSERT(store_ != nullptr);
    if (!engine_->backend().is_host()) return copy(std::move(sums));
    const bool is_stored = store_->wait();
    let_go();
    if (!is_stored) return unexpected(EngineError::bad_log);
    held_ = std::move(sums);
    store_->start(held_.tensors());
    return Done{};
}

Result<Done, EngineError> GradientSaver::copy(TensorSet sums) {
    if (auto done = store_copied(); !done) return done;
    auto& to = copies_[turn_ ^= 1];
    if (to == nullptr) to = engine_->backend().make_host_copy(sums.block_bytes());
    if (to == nullptr)
        return unexpected(failure_on(engine_->backend(), EngineError::out_of_memory));
    held_ = std::move(sums);
    to->start(held_.at(0));
    return Done{};
}

/// Hands the set that is being copied to the store, once that has done with the one before.
Result<Done, EngineError> GradientSaver::store_copied() {
    if (!held_.ok()) return Done{};
    HostCopy& copied = *copies_[turn_];
    const bool is_copied = copied.wait();
    const bool is_stored = store_->wait();
    if (is_copied && is_stored) store_->start(held_.tensors_in(copied.data()));
    let_go();
    if (!is_copied) return unexpected(failure_on(engine_->backend(), EngineError::device_failed));
    if (!is_stored) return unexpected(EngineError::bad_log);
    return Done{};
}

void GradientSaver::let_go() {
    if (held_.ok()) engine_->recycle(std::exchange(held_, TensorSet()));
}

Result<Done, EngineError> GradientSaver::finish() {
    ASSERT(store_ != nullptr);
    Result<Done, EngineError> out = Done{};
    if (!engine_->backend().is_host()) out = store_copied();
    const bool is_stored = store_->wait();
    let_go();
    store_ = nullptr;
    if (out && !is_stored) out = unexpected(EngineError::bad_log);
    return out;
}

}  // namespace trainyard::training
