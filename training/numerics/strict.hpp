// SPDX-License-Identifier: Apache-2.0
// Refuses to be compiled with flags that change the bits of training.
#pragma once

// tests/bits/controls.sh defines the macro to show that they do.
#if defined(__FAST_MATH__) && !defined(TRAINYARD_NEGATIVE_CONTROL)
#error "-ffast-math and -Ofast change the bits of training and are refused"
#endif
