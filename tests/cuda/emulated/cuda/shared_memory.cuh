// SPDX-License-Identifier: Apache-2.0
// The dynamic shared memory of a block of the emulated device.
#pragma once

#include "machine.hpp"

namespace trainyard::cuda {

template <class T>
T* shared_memory() {
    return reinterpret_cast<T*>(emulated::shared_memory());
}

}  // namespace trainyard::cuda
