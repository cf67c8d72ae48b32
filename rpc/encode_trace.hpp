// SPDX-License-Identifier: Apache-2.0
// Traces as JSON in the shapes of geth's struct logger and its native tracers.
#pragma once

#include "core/trace.hpp"
#include "rpc/json.hpp"

namespace trainyard::rpc {

void write_trace(JsonWriter& out, const Trace& trace, const TraceOptions& options);

}  // namespace trainyard::rpc
