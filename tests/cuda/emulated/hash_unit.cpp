// SPDX-License-Identifier: Apache-2.0
// cuda/hash.cu for the emulated device.
#include "cuda/hash.cu"
