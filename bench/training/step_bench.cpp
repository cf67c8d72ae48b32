// SPDX-License-Identifier: Apache-2.0
// One step of the demo's program, and the operators and roots that it spends its time in.
#include <benchmark/benchmark.h>

#include <vector>

#include "training/engine.hpp"
#include "training/plan.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a benchmark of one page
using namespace trainyard::training;

Program demo_program() {
    GptOptions options;
    options.data_bytes = 1 << 20;
    return *make_gpt(options);
}

void run_steps(benchmark::State& state, CpuPath path) {
    if (!cpu_has(path)) return state.SkipWithError("this machine lacks the instructions");
    const Program program = demo_program();
    const auto threads = static_cast<unsigned>(state.range(0));
    const auto backend = make_cpu_backend({path, threads});
    auto engine = Engine::make(program, *backend);
    Bytes text(program.data.size_bytes);
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<uint8_t>("trainyard "[i % 10]);
    const ModelState first = make_initial_state(program, Hash{});
    for (auto _ : state) {
        state.PauseTiming();
        ModelState model = first;
        state.ResumeTiming();
        benchmark::DoNotOptimize(run_step(*engine, model, text));
    }
    state.counters["int8_GOPs"] =
        benchmark::Counter(2e-9 * static_cast<double>(plan(program)->macs_per_step) *
                               static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate);
}

void run_linear(benchmark::State& state) {
    const auto n = static_cast<uint32_t>(state.range(0));
    const auto backend = make_cpu_backend({});
    std::vector<float> x(size_t{n} * n, 0.5F), w(x), y(x);
    for (auto _ : state) backend->linear(y.data(), x.data(), w.data(), {n, n, n});
    state.counters["int8_GOPs"] = benchmark::Counter(
        2e-9 * n * n * n * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void run_state_root(benchmark::State& state) {
    const Program program = demo_program();
    const ModelState model = make_initial_state(program, Hash{});
    for (auto _ : state) benchmark::DoNotOptimize(state_root(model, Hash{}));
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(plan(program)->state_bytes));
}

BENCHMARK_CAPTURE(run_steps, scalar, CpuPath::scalar)
    ->Name("training::step/path=scalar")
    ->ArgName("threads")
    ->Arg(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_steps, avx2, CpuPath::avx2)
    ->Name("training::step/path=avx2")
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_steps, avx512, CpuPath::avx512)
    ->Name("training::step/path=avx512")
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(run_linear)->Name("training::linear")->ArgName("n")->Arg(512)->Arg(1024)->Arg(2048);
BENCHMARK(run_state_root)->Name("training::state_root")->Unit(benchmark::kMillisecond);

}  // namespace
