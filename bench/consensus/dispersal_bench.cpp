// SPDX-License-Identifier: Apache-2.0
// Dispersal of a body of 1 MB: making all shards, and rebuilding it from parity alone.
#include <benchmark/benchmark.h>

#include "consensus/dispersal/code.hpp"

namespace trainyard::consensus::dispersal {
namespace {

constexpr size_t kBodySize_bytes = 1'000'000;

ShardPlan plan_of(size_t n) {
    std::vector<Validator> validators;
    for (size_t i = 0; i < n; ++i) {
        Validator v;
        v.address[0] = 1;
        v.address[19] = static_cast<uint8_t>(i);
        uint8_t kind = 4;
        for (auto* key : {&v.consensus_key, &v.vrf_key, &v.p2p_key}) {
            (*key)[0] = kind++;
            (*key)[1] = static_cast<uint8_t>(i);
        }
        v.stake_gwei = 1;
        validators.push_back(v);
    }
    return plan_shards(*ValidatorSet::make(std::move(validators)));
}

Bytes body() {
    Bytes out(kBodySize_bytes);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i * i >> 3);
    return out;
}

void disperse_1mb(benchmark::State& state) {
    const auto plan = plan_of(static_cast<size_t>(state.range(0)));
    const Bytes bytes = body();
    for (auto _ : state) benchmark::DoNotOptimize(disperse(bytes, plan));
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(disperse_1mb)->ArgName("validators")->Arg(4)->Arg(50)->Arg(200);

void rebuild_1mb(benchmark::State& state) {
    const auto plan = plan_of(static_cast<size_t>(state.range(0)));
    const Bytes bytes = body();
    auto all = disperse(bytes, plan);
    all.shards.erase(all.shards.begin(), all.shards.end() - plan.data);
    for (auto _ : state) benchmark::DoNotOptimize(rebuild(all.commitment, plan, all.shards));
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(rebuild_1mb)->ArgName("validators")->Arg(4)->Arg(50)->Arg(200);

}  // namespace
}  // namespace trainyard::consensus::dispersal
