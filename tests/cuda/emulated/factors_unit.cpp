// SPDX-License-Identifier: Apache-2.0
// cuda/factors.cu for the emulated device.
#include "cuda/factors.cu"
