// SPDX-License-Identifier: Apache-2.0
// cuda/products.cu for the emulated device.
#include "cuda/products.cu"
