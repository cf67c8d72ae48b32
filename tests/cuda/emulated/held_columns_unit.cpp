// SPDX-License-Identifier: Apache-2.0
// cuda/held_columns.cu for the emulated device.
#include "cuda/held_columns.cu"
