// SPDX-License-Identifier: Apache-2.0
// cuda/loss.cu for the emulated device.
#include "cuda/loss.cu"
