// SPDX-License-Identifier: Apache-2.0
// cuda/checksums.cu for the emulated device.
#include "cuda/checksums.cu"
