// SPDX-License-Identifier: Apache-2.0
// cuda/general.cu for the emulated device.
#include "cuda/general.cu"
