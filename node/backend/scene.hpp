// SPDX-License-Identifier: Apache-2.0
// Where calls that change nothing run: a state with overrides, and a block on top of it. Private to
// this folder.
#pragma once

#include <memory>

#include "consensus/transition/overrides.hpp"
#include "node/backend/node_backend.hpp"

namespace trainyard::node::backend {

struct NodeBackend::Scene {
    Scene(std::shared_ptr<const state::StateView> b, consensus::AppliedOverrides o,
          consensus::ExecutionContext c, std::function<bool()> is_time_up)
        : base(std::move(b)),
          over(std::move(o)),
          view(*base, over.diff),
          watch(std::move(is_time_up)),
          context(std::move(c)) {
        if (!over.diff.accounts.empty() || !over.moved.empty()) context.moved = &over.moved;
        context.watch = &watch;
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    std::shared_ptr<const state::StateView> base;
    consensus::AppliedOverrides over;
    state::OverlayView view;
    vm::Watch watch;
    consensus::ExecutionContext context;
};

[[nodiscard]] consensus::CallRequest request_of(const rpc::CallRequest& request);
[[nodiscard]] rpc::CallOutcome outcome_of(vm::Status status, Bytes output, uint64_t gas_used,
                                          std::vector<Log> logs);

}  // namespace trainyard::node::backend
