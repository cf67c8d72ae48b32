// SPDX-License-Identifier: Apache-2.0
// cuda/challenge.cu for the emulated device.
#include "cuda/challenge.cu"
