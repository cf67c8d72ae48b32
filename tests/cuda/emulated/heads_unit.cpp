// SPDX-License-Identifier: Apache-2.0
// cuda/heads.cu for the emulated device.
#include "cuda/heads.cu"
