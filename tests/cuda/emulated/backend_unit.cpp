// SPDX-License-Identifier: Apache-2.0
// cuda/backend.cu for the emulated device.
#include "cuda/backend.cu"
