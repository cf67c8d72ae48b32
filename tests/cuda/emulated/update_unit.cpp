// SPDX-License-Identifier: Apache-2.0
// cuda/update.cu for the emulated device.
#include "cuda/update.cu"
