// SPDX-License-Identifier: Apache-2.0
// The capability challenge on a CUDA device: the bytes of training::make_cpu_chain.
#pragma once

#include "training/capability.hpp"

namespace trainyard::cuda {

/// Precondition: the challenge is valid. Errors: out_of_memory, and device_failed, which is also
/// what a program without CUDA gives.
[[nodiscard]] training::ChallengeChain make_device_chain(int device,
                                                         const training::Challenge& challenge);

}  // namespace trainyard::cuda
