// SPDX-License-Identifier: Apache-2.0
// cuda/strip_checks.cu for the emulated device.
#include "cuda/strip_checks.cu"
