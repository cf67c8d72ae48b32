// SPDX-License-Identifier: Apache-2.0
// Which records a micro-batch reads, and the initial state: docs/spec/training.md, sections 4
// and 5.
#include <bit>

#include "training/engine.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kFeistelRounds = 6;

/// A permutation of [0, count) for each epoch: a balanced Feistel network on an even number of
/// bits, walked until it lands inside.
uint64_t permute(uint64_t index, uint64_t count, uint64_t epoch, uint32_t seed) {
    const auto bits = static_cast<uint32_t>(std::bit_width(count - 1));
    const uint32_t half = std::max(1U, (bits + 1) / 2);
    const uint64_t mask = (1ULL << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint32_t round = 0; round < kFeistelRounds; ++round) {
            const auto r = static_cast<uint32_t>(right);
            const PhiloxBlock word =
                philox({r, round, static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32)},
                       seed, kPhiloxOrder);
            const uint64_t next = left ^ (word[0] & mask);
            left = right;
            right = next;
        }
        index = (left << half) | right;
    } while (index >= count);
    return index;
}

/// Element `i` of parameter `k`: (sum of the eight 16-bit halves - 8 * 32767.5) * scale.
float initial_value(uint64_t i, uint32_t k, uint32_t seed, float scale) {
    const PhiloxBlock words =
        philox({static_cast<uint32_t>(i), k, static_cast<uint32_t>(i >> 32), 0}, seed, kPhiloxInit);
    uint32_t sum = 0;
    for (const uint32_t w : words) sum += (w & 0xffffU) + (w >> 16);
    return static_cast<float>(static_cast<int32_t>(sum) - 262140) * scale;
}

}  // namespace

uint32_t philox_seed(const Hash& run_seed) {
    return load_le<uint32_t>(run_seed.data());
}

uint32_t noise_step(const Program& program, uint64_t t, uint32_t j) {
    return static_cast<uint32_t>(t * program.run.micro_batches + j);
}

ModelState make_initial_state(const Program& program, const Hash& run_seed) {
    const FloatModeGuard mode;
    ModelState state;
    state.run_seed = run_seed;
    const uint32_t seed = philox_seed(run_seed);
    for (size_t k = 0; k < program.parameters.size(); ++k) {
        const Parameter& p = program.parameters[k];
        Tensor w = Tensor::zeros(p.shape);
        const float scale = as_float(p.init_scale_bits);
        for (size_t i = 0; i < w.data.size(); ++i) {
            if (p.init == Init::ones) w.data[i] = 1.0F;
            if (p.init == Init::normal)
                w.data[i] = initial_value(i, static_cast<uint32_t>(k), seed, scale);
        }
        state.w.push_back(std::move(w));
        state.m.push_back(Tensor::zeros(p.shape));
        state.v.push_back(Tensor::zeros(p.shape));
    }
    return state;
}

bool state_fits(const Program& program, const ModelState& state) {
    const size_t count = program.parameters.size();
    if (state.w.size() != count || state.m.size() != count || state.v.size() != count) return false;
    for (size_t k = 0; k < count; ++k)
        for (const auto* t : {&state.w[k], &state.m[k], &state.v[k]})
            if (t->shape != program.parameters[k].shape || t->data.size() != t->shape.count())
                return false;
    return true;
}

std::vector<uint64_t> batch_records(const Program& program, const Hash& run_seed, uint64_t t,
                                    uint32_t j) {
    const uint64_t count = training_records(program);
    const uint32_t sequences = program.run.sequences;
    const uint64_t first = (t * program.run.micro_batches + j) * sequences;
    std::vector<uint64_t> records;
    for (uint64_t k = first; k < first + sequences; ++k)
        records.push_back(
            training_record(program, permute(k % count, count, k / count, philox_seed(run_seed))));
    return records;
}

Result<Batch, EngineError> make_batch(const Program& program, BytesView data,
                                      const std::vector<uint64_t>& records) {
    const DataSpec& d = program.data;
    if (data.size() != d.size_bytes) return unexpected(EngineError::wrong_shape);
    Batch batch;
    for (const uint64_t r : records) {
        if (r >= total_records(program)) return unexpected(EngineError::wrong_shape);
        const uint8_t* at = data.data() + r * d.stride;
        batch.tokens.insert(batch.tokens.end(), at, at + d.sequence);
        batch.targets.insert(batch.targets.end(), at + 1, at + 1 + d.sequence);
    }
    return batch;
}

Result<MicroBatchResult, EngineError> run_micro_batch(Engine& engine, BytesView data,
                                                      const Hash& run_seed, uint64_t t,
                                                      uint32_t j) {
    const Program& program = engine.program();
    auto batch = make_batch(program, data, batch_records(program, run_seed, t, j));
    if (!batch) return unexpected(batch.error());
    return engine.run_batch(*batch, philox_seed(run_seed), noise_step(program, t, j));
}

}  // namespace trainyard::training
