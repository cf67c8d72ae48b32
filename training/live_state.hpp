// SPDX-License-Identifier: Apache-2.0
// A training state where a backend computes, so that steps move nothing through the host.
#pragma once

#include <memory>

#include "training/engine.hpp"
#include "training/state_sums.hpp"
#include "training/tensor_set.hpp"

namespace trainyard::training {

/// w, m and v in memory of a backend: on a host backend the tensors of a ModelState themselves, on
/// a device copies. Step, cursor, p1 and p2 are always those of the ModelState.
class LiveState {
public:
    /// `state` must stay in its place, and the backend outlive this. Errors: wrong_shape,
    /// out_of_memory.
    [[nodiscard]] static Result<LiveState, EngineError> load(Backend& backend,
                                                             const Program& program,
                                                             ModelState& state);
    [[nodiscard]] Backend& backend() const { return *backend_; }
    /// On a device its tensors are those of the last `load` or `save`.
    [[nodiscard]] ModelState& host() const { return *host_; }
    [[nodiscard]] const TensorSet& w() const { return w_; }
    [[nodiscard]] const TensorSet& m() const { return m_; }
    [[nodiscard]] const TensorSet& v() const { return v_; }
    /// For the operators of its updates.
    [[nodiscard]] Sequence& updates() const { return *updates_; }
    /// Of what updates leave; nullptr where the backend checks no states.
    [[nodiscard]] StateSums* sums() const { return static_cast<StateSums*>(sums_.data()); }
    // What follows brings to the host what memory holds. Error state_changed: it is not what the
    // last update left, or not what arrived; the state is of no further use.

    /// Brings the tensors of `host` up to date; nothing to do on a host backend.
    [[nodiscard]] Result<Done, EngineError> save();
    /// Of w alone: m and v of `host` stay as they were.
    [[nodiscard]] Result<Done, EngineError> save_weights();
    /// The state as it is now in `to`, which is empty or one of the same program, whose memory is
    /// used again: fresh pages take longer than the copy.
    [[nodiscard]] Result<Done, EngineError> save_to(ModelState& to) const;

private:
    LiveState(Backend& backend, ModelState& state);
    void expect(const ModelState& state);
    /// Waits for the copies to `to` and looks at their sums, of m and v where they came, too.
    [[nodiscard]] Result<Done, EngineError> finish_copies(const ModelState& to,
                                                          uint32_t kinds) const;

    Backend* backend_;
    ModelState* host_;
    TensorSet w_, m_, v_;
    BackendMemory sums_;
    std::unique_ptr<Sequence> updates_;
};

}  // namespace trainyard::training
