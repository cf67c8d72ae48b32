// SPDX-License-Identifier: Apache-2.0
// cuda/operators.cu for the emulated device.
#include "cuda/operators.cu"
