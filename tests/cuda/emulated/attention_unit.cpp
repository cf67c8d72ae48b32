// SPDX-License-Identifier: Apache-2.0
// cuda/attention.cu for the emulated device.
#include "cuda/attention.cu"
