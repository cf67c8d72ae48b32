// SPDX-License-Identifier: Apache-2.0
// cuda/quantise.cu for the emulated device.
#include "cuda/quantise.cu"
