// SPDX-License-Identifier: Apache-2.0
// cuda/fused_rows.cu for the emulated device.
#include "cuda/fused_rows.cu"
