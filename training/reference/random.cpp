// SPDX-License-Identifier: Apache-2.0
// Numbers of the counter RNG inside a graph, and what diffusion does with them:
// docs/spec/numerics.md, section 17.
#include <array>

#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training::reference {

namespace {

size_t elements_of(const OpCall& c) {
    return c.out_shape[0].count();
}

bool noise(const OpCall& c, size_t first, size_t last) {
    for (size_t i = first; i < last; ++i)
        c.out[0][i] = unit_noise(i, c.attributes[0], c.step, c.seed);
    return false;
}

bool timestep(const OpCall& c, size_t first, size_t last) {
    auto* t = reinterpret_cast<uint32_t*>(c.out[0]);
    for (size_t b = first; b < last; ++b) {
        const PhiloxBlock word =
            philox({static_cast<uint32_t>(b), c.attributes[0], c.step, 1}, c.seed, kPhiloxNoise);
        t[b] = static_cast<uint32_t>((uint64_t{word[0]} * c.attributes[1]) >> 32);
    }
    return false;
}

/// x = a * x0 + b * eps with (a, b) of the record's timestep.
bool diffuse(const OpCall& c, size_t first, size_t last) {
    const size_t per_record = c.out_shape[0].count() / c.in_shape[2].count();
    for (size_t i = first; i < last; ++i) {
        const float* ab = c.in[3] + size_t{c.words(2)[i / per_record]} * 2;
        c.out[0][i] = ab[0] * c.in[0][i] + ab[1] * c.in[1][i];
    }
    return false;
}

constexpr std::array kKernels{
    Kernel{Op::noise, elements_of, noise, 1024},
    Kernel{Op::timestep, elements_of, timestep, 1024},
    Kernel{Op::diffuse, elements_of, diffuse, 4096},
};

}  // namespace

std::span<const Kernel> random_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
