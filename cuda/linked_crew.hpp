// SPDX-License-Identifier: Apache-2.0
// A crew whose processes have a device each: gradients pass from device to device.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "cuda/nccl.hpp"
#include "training/backend.hpp"
#include "training/crew.hpp"

namespace trainyard::cuda {

/// A crew of the same processes that reaches devices. Every process calls this, whatever its
/// backend; all get a crew, or none does. `crew` and `backend` must outlive it; only `gather` goes
/// through `crew`. nullptr: there is no device, or nobody to pass gradients to. Error: one line,
/// the same for all, that says why devices cannot be linked; `crew` itself does as before.
[[nodiscard]] Result<std::unique_ptr<training::Crew>, std::string> link_devices(
    training::Crew& crew, training::Backend& backend,
    const std::function<Result<Nccl, std::string>()>& load = load_nccl);

}  // namespace trainyard::cuda
