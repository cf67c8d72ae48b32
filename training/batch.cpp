// SPDX-License-Identifier: Apache-2.0
// Which records a micro-batch reads, and the initial state: docs/spec/training.md, sections 4
// and 5.
#include <algorithm>
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

/// Reads the base section in its order: constants, then given parameters.
class BaseReader {
public:
    BaseReader(const Program& program, BytesView data)
        : program_(program),
          at_(data.size() > program.data.base_offset ? data.data() + program.data.base_offset
                                                     : nullptr) {}

    Tensor floats(Shape shape) {
        Tensor t = Tensor::zeros(shape);
        for (float& x : t.data) x = next_float();
        return t;
    }

    /// int8: the scales of all columns, then the elements row by row.
    Tensor constant(const Constant& c) {
        if (c.source == ConstantSource::base_f32) return floats(c.shape);
        Tensor t = Tensor::zeros(c.shape);
        if (c.source == ConstantSource::program) {
            for (size_t i = 0; i < t.data.size(); ++i)
                t.data[i] = as_float(load_le<uint32_t>(c.data.data() + 4 * i));
            return t;
        }
        std::vector<float> scale(c.shape.cols);
        for (float& s : scale) s = next_float();
        for (size_t i = 0; i < t.data.size(); ++i)
            t.data[i] = static_cast<float>(static_cast<int8_t>(*at_++)) * scale[i % c.shape.cols];
        return t;
    }

    void skip_constants() {
        for (const Constant& c : program_.constants) {
            if (c.source == ConstantSource::base_f32) at_ += c.shape.count() * sizeof(float);
            if (c.source == ConstantSource::base_int8)
                at_ += c.shape.cols * sizeof(float) + c.shape.count();
        }
    }

private:
    float next_float() {
        const float x = as_float(load_le<uint32_t>(at_));
        at_ += sizeof(float);
        return x;
    }
    const Program& program_;
    const uint8_t* at_;
};

}  // namespace

uint32_t philox_seed(const Hash& run_seed) {
    return load_le<uint32_t>(run_seed.data());
}

uint32_t noise_step(const Program& program, uint64_t t, uint32_t j) {
    return static_cast<uint32_t>(t * program.run.micro_batches + j);
}

float initial_weight(const Parameter& p, uint32_t seed, uint32_t k, uint64_t i) {
    if (p.init == Init::ones) return 1.0F;
    if (p.init != Init::normal) return 0.0F;
    const PhiloxBlock words =
        philox({static_cast<uint32_t>(i), k, static_cast<uint32_t>(i >> 32), 0}, seed, kPhiloxInit);
    return centred_sum(words) * as_float(p.init_scale_bits);
}

void for_initial_weights(const Program& program, const Hash& run_seed, BytesView data,
                         const std::function<void(Tensor w)>& take) {
    const FloatModeGuard mode;
    BaseReader base(program, data);
    base.skip_constants();
    const uint32_t seed = philox_seed(run_seed);
    for (size_t k = 0; k < program.parameters.size(); ++k) {
        const Parameter& p = program.parameters[k];
        Tensor w = p.init == Init::given ? base.floats(p.shape) : Tensor::zeros(p.shape);
        if (p.init != Init::given)
            for (size_t i = 0; i < w.data.size(); ++i)
                w.data[i] = initial_weight(p, seed, static_cast<uint32_t>(k), i);
        take(std::move(w));
    }
}

ModelState make_initial_state(const Program& program, const Hash& run_seed, BytesView data) {
    ModelState state;
    state.run_seed = run_seed;
    for_initial_weights(program, run_seed, data, [&state](Tensor w) {
        state.m.push_back(Tensor::zeros(w.shape));
        state.v.push_back(Tensor::zeros(w.shape));
        state.w.push_back(std::move(w));
    });
    return state;
}

std::vector<Shape> parameter_shapes(const Program& program) {
    std::vector<Shape> out;
    for (const Parameter& p : program.parameters) out.push_back(p.shape);
    return out;
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

namespace {

/// Adds the record at `at` to the batch.
void add_record(Batch& batch, const DataSpec& d, const uint8_t* at) {
    switch (d.kind) {
        case DataKind::bytes:
            batch.tokens.insert(batch.tokens.end(), at, at + d.sequence);
            batch.targets.insert(batch.targets.end(), at + 1, at + 1 + d.sequence);
            return;
        case DataKind::tokens_u16:
            for (size_t i = 0; i < d.sequence; ++i) {
                batch.tokens.push_back(load_le<uint16_t>(at + 2 * i));
                batch.targets.push_back(load_le<uint16_t>(at + 2 * i + 2));
            }
            return;
        case DataKind::images: {
            const size_t pixels = size_t{d.sequence} * d.channels;
            for (size_t i = 0; i < pixels; ++i) batch.features.push_back(pixel_value(at[i]));
            batch.targets.push_back(load_le<uint16_t>(at + pixels));
        }
    }
}

}  // namespace

float pixel_value(uint8_t byte) {
    return (static_cast<float>(byte) - 127.5F) / 127.5F;
}

Result<Batch, EngineError> make_batch(const Program& program, BytesView data,
                                      const std::vector<uint64_t>& records) {
    const DataSpec& d = program.data;
    if (data.size() != d.size_bytes) return unexpected(EngineError::wrong_shape);
    const FloatModeGuard mode;
    Batch batch;
    for (const uint64_t r : records) {
        if (r >= total_records(program)) return unexpected(EngineError::wrong_shape);
        add_record(batch, d, data.data() + d.payload_offset + r * d.stride * element_bytes(d));
    }
    return batch;
}

Result<std::vector<Tensor>, EngineError> program_constants(const Program& program, BytesView data) {
    const FloatModeGuard mode;
    const bool needs_base =
        std::any_of(program.constants.begin(), program.constants.end(),
                    [](const Constant& c) { return c.source != ConstantSource::program; });
    if (needs_base && data.size() != program.data.size_bytes)
        return unexpected(EngineError::wrong_shape);
    BaseReader base(program, data);
    std::vector<Tensor> out;
    for (const Constant& c : program.constants) {
        out.push_back(base.constant(c));
        for (const float x : out.back().data)
            if (is_nonfinite(x)) return unexpected(EngineError::bad_base);
    }
    return out;
}

Result<MicroBatchResult, EngineError> run_micro_batch(Engine& engine, BytesView data,
                                                      const Hash& run_seed, uint64_t t,
                                                      uint32_t j) {
    const Program& program = engine.program();
    auto batch = make_batch(program, data, batch_records(program, run_seed, t, j));
    if (!batch) return unexpected(batch.error());
    return engine.run_batch(*batch, philox_seed(run_seed), noise_step(program, t, j));
}

Result<TensorSet, EngineError> start_micro_batch(Engine& engine, BytesView data,
                                                 const ModelState& state, uint32_t j,
                                                 float* loss_sum) {
    const Program& program = engine.program();
    auto batch = make_batch(program, data, batch_records(program, state.run_seed, state.step, j));
    if (!batch) return unexpected(batch.error());
    return engine.start_batch(*batch, philox_seed(state.run_seed),
                              noise_step(program, state.step, j), loss_sum);
}

}  // namespace trainyard::training
