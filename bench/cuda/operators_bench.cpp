// SPDX-License-Identifier: Apache-2.0
// Times every operator and a training step on the first CUDA device; says so where there is none.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "cuda/cuda_backend.hpp"
#include "training/live_state.hpp"
#include "training/operator_cases.hpp"
#include "training/pool.hpp"
#include "training/self_test.hpp"

#ifdef TRAINYARD_HAS_CUDA
#include <cuda_profiler_api.h>
#endif

namespace {

/// From here on `ncu --profile-from-start off` looks at kernels.
void begin_profile() {
#ifdef TRAINYARD_HAS_CUDA
    static_cast<void>(cudaProfilerStart());
#endif
}

using namespace trainyard;

using cuda::Products;

/// The first products that pass the self-test, found once, or those that TRAINYARD_BENCH_PRODUCTS
/// names if they pass it; Products::fastest if there are none.
Products tested_products(int device) {
    static const Products found = [device] {
        const char* const wanted = std::getenv("TRAINYARD_BENCH_PRODUCTS");
        for (const Products products : cuda::cuda_products(device)) {
            if (wanted != nullptr && to_text(products) != wanted) continue;
            const auto backend = cuda::make_cuda_backend(device, nullptr, products);
            if (backend != nullptr && training::self_test(*backend)) return products;
        }
        return Products::fastest;
    }();
    return found;
}

/// As devices of this kind do, unless TRAINYARD_BENCH_CHECKSUMS is set: then always.
cuda::Checksums checksums() {
    return std::getenv("TRAINYARD_BENCH_CHECKSUMS") != nullptr ? cuda::Checksums::always
                                                               : cuda::Checksums::where_no_ecc;
}

std::unique_ptr<training::Backend> backend_or_skip(benchmark::State& state,
                                                   Products products = Products::fastest) {
    const auto devices = cuda::cuda_devices();
    std::string reason = cuda::cuda_unavailable();
    if (!devices.empty() && products == Products::fastest)
        products = tested_products(devices[0].index);
    if (!devices.empty() && products == Products::fastest)
        reason = "no products, or not those of TRAINYARD_BENCH_PRODUCTS, pass the self-test";
    auto backend = devices.empty() || products == Products::fastest
                       ? nullptr
                       : cuda::make_cuda_backend(devices[0].index, &reason, products,
                                                 cuda::ProductBlocks::all, 1, checksums());
    if (backend == nullptr) state.SkipWithError(reason.c_str());
    return backend;
}

/// Calls between two waits for the device, so that its queue does not run dry.
constexpr int kCallsPerWait = 10;

struct Work {
    double products = 0;  ///< multiply-adds in int8 per call
    double bytes = 0;     ///< of inputs and outputs, each once
};

void time_case(benchmark::State& state, const training::OperatorCase& c, double macs,
               Products products = Products::fastest) {
    const auto backend = backend_or_skip(state, products);
    if (backend == nullptr) return;
    std::vector<float*> in, out;
    Work work{macs, 0};
    const auto place = [&](const training::Values& values, std::vector<float*>& to) {
        const size_t bytes = values.size() * sizeof(float);
        to.push_back(static_cast<float*>(backend->allocate(bytes)));
        if (to.back() != nullptr) backend->upload(to.back(), values.data(), bytes);
        work.bytes += static_cast<double>(bytes);
        return to.back() != nullptr;
    };
    bool fits = true;
    for (const auto& values : c.inputs) fits = fits && place(values, in);
    for (const auto& values : c.outputs) fits = fits && place(values, out);
    if (!fits) state.SkipWithError("the device has too little memory");
    if (fits) c.call(*backend, in, out);  // makes room for what calls need
    begin_profile();
    while (fits && state.KeepRunningBatch(kCallsPerWait)) {
        for (int i = 0; i < kCallsPerWait; ++i) c.call(*backend, in, out);
        if (!backend->finish()) state.SkipWithError("the device failed");
    }
    const auto calls = static_cast<double>(state.iterations());
    state.counters["TOPS"] =
        benchmark::Counter(2e-12 * work.products * calls, benchmark::Counter::kIsRate);
    state.counters["GB/s"] =
        benchmark::Counter(1e-9 * work.bytes * calls, benchmark::Counter::kIsRate);
    // What bench/cuda/run.py makes floors of.
    state.counters["macs"] = work.products;
    state.counters["bytes"] = work.bytes;
    for (float* const p : in) backend->release(p);
    for (float* const p : out) backend->release(p);
}

/// Made once for each shape: the inputs of large products take seconds to draw, and a benchmark is
/// called several times until it knows how often to run.
template <auto make, class Shape>
const training::OperatorCase& kept(const std::vector<int64_t>& sizes, const Shape& shape) {
    static std::map<std::vector<int64_t>, training::OperatorCase> all;
    const auto found = all.find(sizes);
    return found != all.end() ? found->second : all.emplace(sizes, make(shape)).first->second;
}

training::LinearShape shape_of(const benchmark::State& state) {
    return {static_cast<uint32_t>(state.range(0)), static_cast<uint32_t>(state.range(1)),
            static_cast<uint32_t>(state.range(2))};
}

void time_linear(benchmark::State& state, Products products) {
    const training::LinearShape s = shape_of(state);
    const auto& c = kept<training::linear_case>({s.n, s.i, s.o}, s);
    time_case(state, c, 1.0 * s.n * s.i * s.o, products);
}

void linear(benchmark::State& state) {
    time_linear(state, Products::fastest);
}
BENCHMARK(linear)
    ->Name("cuda::linear")
    ->ArgNames({"n", "i", "o"})
    ->Args({512, 128, 512})
    ->Args({8192, 1024, 4096})
    ->Args({8192, 4096, 4096})
    ->Args({8192, 8192, 8192})
    ->Args({8192, 768, 2304})
    ->Args({8192, 768, 768})
    ->Args({8192, 768, 3072})
    ->Args({8192, 3072, 768})
    ->Args({8192, 768, 50257})
    ->UseRealTime();

/// The same product in each way; one that the device lacks says so.
void linear_by(benchmark::State& state, Products products) {
    time_linear(state, products);
}
void every_shape(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"n", "i", "o"})->UseRealTime();
    bench->Args({8192, 1024, 4096})->Args({8192, 8192, 8192})->Args({8192, 768, 768});
    bench->Args({8192, 768, 3072})->Args({8192, 3072, 768})->Args({768, 8192, 3072});
    bench->Args({8192, 768, 50257})->Args({8192, 768, 50304});
}
BENCHMARK_CAPTURE(linear_by, int8, Products::int8)
    ->Name("cuda::linear/by=int8")
    ->Apply(every_shape);
BENCHMARK_CAPTURE(linear_by, warpgroup, Products::warpgroup)
    ->Name("cuda::linear/by=warpgroup")
    ->Apply(every_shape);
BENCHMARK_CAPTURE(linear_by, bulk, Products::bulk)
    ->Name("cuda::linear/by=bulk")
    ->Apply(every_shape);
BENCHMARK_CAPTURE(linear_by, pairs, Products::pairs)
    ->Name("cuda::linear/by=pairs")
    ->Apply(every_shape);
BENCHMARK_CAPTURE(linear_by, alternating, Products::alternating)
    ->Name("cuda::linear/by=alternating")
    ->Apply(every_shape);
BENCHMARK_CAPTURE(linear_by, bf16, Products::bf16)
    ->Name("cuda::linear/by=bf16")
    ->Apply(every_shape);

void linear_grad(benchmark::State& state) {
    const training::LinearShape s = shape_of(state);
    const auto& c = kept<training::linear_grad_case>({s.n, s.i, s.o}, s);
    time_case(state, c, 2.0 * s.n * s.i * s.o);
}
BENCHMARK(linear_grad)
    ->Name("cuda::linear_grad")
    ->ArgNames({"n", "i", "o"})
    ->Args({512, 128, 512})
    ->Args({8192, 1024, 4096})
    ->Args({8192, 4096, 4096})
    ->Args({8192, 768, 2304})
    ->Args({8192, 768, 768})
    ->Args({8192, 768, 3072})
    ->Args({8192, 3072, 768})
    ->UseRealTime();

/// Forward and backward; the products count whole squares, though half of each is skipped, and each
/// once, though the scales of whole rows and columns take several passes.
void attention(benchmark::State& state) {
    const auto b = static_cast<uint32_t>(state.range(0)), h = static_cast<uint32_t>(state.range(1)),
               t = static_cast<uint32_t>(state.range(2)),
               hd = static_cast<uint32_t>(state.range(3));
    const training::AttentionShape s{b, h, t, hd};
    time_case(state, kept<training::attention_case>({b, h, t, hd}, s), 7.0 * b * h * t * t * hd);
}
BENCHMARK(attention)
    ->Name("cuda::attention")
    ->ArgNames({"b", "h", "t", "hd"})
    ->Args({4, 4, 128, 32})
    ->Args({8, 12, 1024, 64})
    ->Args({8, 16, 1024, 64})
    ->Args({4, 16, 1024, 128})
    ->Args({1, 16, 8192, 64})
    ->UseRealTime();

void rms_norm(benchmark::State& state) {
    static const auto once = training::rms_norm_case({8192, 1024}, true);
    time_case(state, once, 0);
}
BENCHMARK(rms_norm)->Name("cuda::rms_norm/rows=8192/cols=1024")->UseRealTime();

void cross_entropy(benchmark::State& state) {
    static const auto once = training::cross_entropy_case({2048, 50257});
    time_case(state, once, 0);
}
BENCHMARK(cross_entropy)->Name("cuda::cross_entropy/rows=2048/cols=50257")->UseRealTime();

/// As a training step calls it.
void cross_entropy_both(benchmark::State& state) {
    static const auto once = training::cross_entropy_both_case({2048, 50257});
    time_case(state, once, 0);
}
BENCHMARK(cross_entropy_both)->Name("cuda::cross_entropy_both/rows=2048/cols=50257")->UseRealTime();

void embedding_grad(benchmark::State& state) {
    static const auto once = training::embedding_grad_case({8, 1024, 1024, 50257});
    time_case(state, once, 0);
}
BENCHMARK(embedding_grad)->Name("cuda::embedding_grad/n=8192/d=1024/v=50257")->UseRealTime();

void pointwise(benchmark::State& state) {
    static const auto once = training::pointwise_case(size_t{1} << 24);
    time_case(state, once, 0);
}
BENCHMARK(pointwise)->Name("cuda::add_gelu_gelu_grad/count=16777216")->UseRealTime();

void sums(benchmark::State& state) {
    static const auto once = training::sums_case(size_t{1} << 24);
    time_case(state, once, 0);
}
BENCHMARK(sums)->Name("cuda::sums/count=16777216")->UseRealTime();

void adamw(benchmark::State& state) {
    static const auto once = training::adamw_case(size_t{1} << 24, 0.5F, 0.1F);
    time_case(state, once, 0);
}
BENCHMARK(adamw)->Name("cuda::adamw/count=16777216")->UseRealTime();

/// Tile leaves and trees of a state of 1.5 GB.
void tile_roots(benchmark::State& state) {
    const auto backend = backend_or_skip(state);
    if (backend == nullptr) return;
    constexpr size_t kTensors = 160;
    const training::Shape shape = training::Shape::matrix(768, 3072);
    const training::TensorSet set(*backend, std::vector(kTensors, shape));
    const training::BackendMemory roots(*backend, kTensors * sizeof(Hash));
    if (!set.ok() || !roots.ok()) return state.SkipWithError("the device has too little memory");
    for (auto _ : state) {
        backend->tile_roots(roots.data(), set.views());
        if (!backend->finish()) state.SkipWithError("the device failed");
    }
    const auto bytes = static_cast<double>(kTensors * shape.count() * sizeof(float));
    state.counters["GB/s"] = benchmark::Counter(
        1e-9 * bytes * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
    state.counters["macs"] = 0;
    state.counters["bytes"] = bytes;
}
BENCHMARK(tile_roots)
    ->Name("cuda::tile_roots/tensors=160/rows=768/cols=3072")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

/// Bytes that all differ from their neighbours: the gradients of a token's uses are added one after
/// the other, and of equal tokens little else would be timed.
Bytes varied_bytes(size_t count) {
    Bytes out(count);
    for (size_t i = 0; i < count; ++i)
        out[i] = static_cast<uint8_t>(static_cast<uint32_t>(i) * 0x9E3779B1U >> 24);
    return out;
}

/// Weights as spread as initial ones, but of a table that repeats: a state of 12 GB takes half a
/// minute of one core to draw, and memory that is touched for the first time most of another.
training::ModelState make_quick_state(const training::Program& program) {
    constexpr size_t kTable = 1'000'003;  // no number of columns divides it
    const training::Values table = training::make_values(1, kTable, 0.035F);
    const size_t count = program.parameters.size();
    training::ModelState state;
    state.w.resize(count), state.m.resize(count), state.v.resize(count);
    training::Pool pool(std::max(1U, std::thread::hardware_concurrency()));
    pool.run(count, [&](size_t k, size_t) {
        const training::Parameter& p = program.parameters[k];
        for (auto* kind : {&state.w, &state.m, &state.v})
            (*kind)[k] = training::Tensor::zeros(p.shape);
        auto& w = state.w[k].data;
        if (p.init == training::Init::ones) std::fill(w.begin(), w.end(), 1.0F);
        if (p.init == training::Init::normal)
            for (size_t i = 0; i < w.size(); ++i) w[i] = table[i % kTable];
    });
    return state;
}

/// The state of the last program, where its parameters are the same; steps leave no trace in it
/// but counters.
training::ModelState& quick_state(const training::Program& program) {
    static training::ModelState kept;
    if (!training::state_fits(program, kept)) kept = {}, kept = make_quick_state(program);
    kept.step = kept.cursor = 0;
    kept.p1_bits = kept.p2_bits = training::ModelState{}.p1_bits;
    return kept;
}

/// Steps before time counts: in these memory is made and graphs are built.
constexpr int kWarmUp = 3;

/// A whole step of the template gpt, with everything on the device. Heads of 64 columns, one
/// micro-batch; bench/cuda/torch_step.py has the same shapes.
void step(benchmark::State& state) {
    const auto backend = backend_or_skip(state);
    if (backend == nullptr) return;
    const Bytes data = varied_bytes(size_t{1} << 20);
    training::GptOptions options;
    options.layers = static_cast<uint32_t>(state.range(0));
    options.width = static_cast<uint32_t>(state.range(1));
    options.heads = options.width / 64;
    options.sequence = static_cast<uint32_t>(state.range(2));
    options.vocabulary = static_cast<uint32_t>(state.range(3));
    options.sequences = static_cast<uint32_t>(state.range(4));
    options.micro_batches = 1;
    options.steps = 1000;
    options.held_out = 0;
    options.data_bytes = data.size();
    const auto program = training::make_gpt(options);
    auto engine = program ? training::Engine::make(*program, *backend)
                          : unexpected(training::EngineError::bad_program);
    if (!engine) return state.SkipWithError("the program does not fit");
    auto live = training::LiveState::load(*backend, *program, quick_state(*program));
    if (!live) return state.SkipWithError("the state does not fit");
    const auto run = [&] {
        auto result = training::run_step(*engine, *live, data);
        if (!result) return false;
        engine->recycle(std::move(result->gradients));
        return true;
    };
    for (int i = 0; i < kWarmUp; ++i)
        if (!run()) return state.SkipWithError("a step failed");
    begin_profile();
    for (auto _ : state)
        if (!run()) return state.SkipWithError("a step failed");
    state.counters["tokens/s"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * options.micro_batches *
                               options.sequences * options.sequence,
                           benchmark::Counter::kIsRate);
}
BENCHMARK(step)
    ->Name("cuda::step")
    ->ArgNames({"layers", "width", "sequence", "vocabulary", "sequences"})
    ->Args({4, 128, 128, 256, 16})
    ->Args({2, 768, 1024, 50257, 8})  // few enough kernels for a profiler
    ->Args({2, 2048, 1024, 50257, 16})
    ->Args({12, 768, 1024, 50257, 8})
    ->Args({12, 768, 1024, 50304, 8})  // rows of logits begin where loads of 16 bytes may
    ->Args({12, 768, 1024, 50257, 32})
    ->Args({16, 2048, 1024, 50257, 4})
    ->Args({16, 2048, 1024, 50257, 16})
    ->Iterations(10)  // to send a state of 12 GB once
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
