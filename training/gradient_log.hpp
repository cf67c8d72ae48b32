// SPDX-License-Identifier: Apache-2.0
// The summed gradients of a segment's steps: how they leave the backend while it goes on, and where
// they can be read again.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "training/engine.hpp"

namespace trainyard::training {

/// Takes set after set to where it is kept, beside what the caller does meanwhile.
class GradientStore {
public:
    virtual ~GradientStore() = default;
    /// Begins with the next set, tensor by tensor, whose elements stay until `wait`. Precondition:
    /// nothing is under way.
    virtual void start(std::vector<std::span<const float>> set) = 0;
    /// Until what was started is kept; false if it cannot be, and from then on.
    [[nodiscard]] virtual bool wait() = 0;
};

/// What a store kept, step by step, before the clip.
class GradientLog {
public:
    virtual ~GradientLog() = default;
    /// Set `i`, or anything of its shapes: the committed root tells. The error is bad_log.
    [[nodiscard]] virtual Result<std::vector<Tensor>, EngineError> read(size_t i) const = 0;
};

/// Both, in memory.
class GradientMemory final : public GradientStore, public GradientLog {
public:
    explicit GradientMemory(std::vector<Shape> shapes) : shapes_(std::move(shapes)) {}
    void start(std::vector<std::span<const float>> set) override;
    [[nodiscard]] bool wait() override { return true; }
    [[nodiscard]] Result<std::vector<Tensor>, EngineError> read(size_t i) const override;

private:
    std::vector<Shape> shapes_;
    std::vector<std::vector<Tensor>> sets_;
};

/// Between steps and a store: while a step runs, the sums of the step before are copied to the host
/// and those of the step before that are stored, so that a step takes as long as the longest of the
/// three. It holds one set of gradients where the backend computes and, on a device, two on the
/// host. A host backend's sets are stored from where they lie.
class GradientSaver {
public:
    /// Sets that it holds at most, wherever they lie.
    static constexpr size_t kSets = 3;

    /// The engine must outlive it.
    explicit GradientSaver(Engine& engine) : engine_(&engine) {}
    ~GradientSaver();
    GradientSaver(const GradientSaver&) = delete;
    GradientSaver& operator=(const GradientSaver&) = delete;

    /// The sets of the following `put` go to `store`, which must stay until `finish`, where
    /// whatever came before has been finished.
    void begin(GradientStore& store) { store_ = &store; }
    /// The sums of the next step; their memory goes back to the engine in one of the next calls.
    /// Errors: bad_log if the store failed with a set before; out_of_memory; device_failed.
    [[nodiscard]] Result<Done, EngineError> put(TensorSet sums);
    /// Waits until all sets are stored.
    [[nodiscard]] Result<Done, EngineError> finish();

private:
    [[nodiscard]] Result<Done, EngineError> copy(TensorSet sums);
    [[nodiscard]] Result<Done, EngineError> store_copied();
    void let_go();

    Engine* engine_;
    GradientStore* store_ = nullptr;
    TensorSet held_;  ///< being copied or, on a host backend, stored
    std::array<std::unique_ptr<HostCopy>, 2> copies_;
    size_t turn_ = 0;  ///< which of them the set goes to that is held
};

}  // namespace trainyard::training
