// SPDX-License-Identifier: Apache-2.0
// cuda/matmul.cu for the emulated device.
#include "cuda/matmul.cu"
