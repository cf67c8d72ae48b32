// SPDX-License-Identifier: Apache-2.0
// cuda/attention_grad.cu for the emulated device.
#include "cuda/attention_grad.cu"
