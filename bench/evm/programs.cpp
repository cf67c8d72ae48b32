// SPDX-License-Identifier: Apache-2.0
// The public EVM benchmark programs: time of the call alone, as evmone-bench measures it.
#include <cmath>
#include <cstdio>
#include <map>

#include "bench/evm/bench.hpp"
#include "consensus/transition/evm.hpp"
#include "tests/conformance/fixture.hpp"

namespace trainyard::bench {
namespace {

using namespace conformance;

/// Microseconds of evmone 0.23.0 (baseline, clang 19 -O3 -march=native) on an AMD EPYC of this
/// kind.
const std::map<std::string, double> kRival{
    {"snailtracer/benchmark", 23400},   {"blake2b_huff/8415nulls", 494},
    {"blake2b_shifts/8415nulls", 4960}, {"sha1_divs/5311", 3490},
    {"sha1_shifts/5311", 1720},         {"structarray_alloc/nfts_rank", 346},
    {"swap_math/received", 2.7},        {"weierstrudel/15", 1260},
};

struct Total {
    double log_of_ratios = 0;
    int rivals = 0;
};

/// Runs `message` often enough for the clock, again and again; the least time of one run.
double measure(consensus::Evm& evm, const vm::Message& message, int repetitions) {
    consensus::World& world = evm.world();
    const auto once = [&] {
        const auto before = world.snapshot();
        const auto result = evm.call(message);
        world.roll_back(before);
        return result.gas_left;
    };
    const double first = cpu_us(once);
    const int inner = std::max(1, static_cast<int>(2000 / std::max(first, 0.5)));
    return least_us(repetitions * 4,
                    [&] {
                        for (int i = 0; i < inner; ++i) once();
                    }) /
           inner;
}

void run_case(const json::object& test, const std::string& name, size_t data_index,
              const Options& options, Total& total) {
    const auto config = config_named("London", nullptr);
    const auto& t = object_at(test, "transaction");
    MemoryWorld view;
    view.apply(accounts_of(object_at(test, "pre")));
    consensus::BlockEnv env;
    env.gas_limit = 1'000'000'000;
    const consensus::ExecutionContext context{*config, env, {}};
    consensus::World world(view, context.rules());
    consensus::Evm evm(world, context);
    const Bytes input = bytes_of(t.at("data").as_array().at(data_index));
    vm::Message message;
    message.gas = 1'000'000'000;
    message.sender = fixed_of<Address>(t.at("sender"));
    message.recipient = message.code_address = fixed_of<Address>(t.at("to"));
    message.input = input;
    evm.begin(message.sender, 1);
    const int64_t gas = message.gas - evm.call(message).gas_left;
    const double us = measure(evm, message, options.repetitions);
    const auto rival = kRival.find(name);
    if (rival == kRival.end()) {
        std::printf("vm::run/program=%-36s %12lld %12.2f\n", name.c_str(),
                    static_cast<long long>(gas), us);
        return;
    }
    total.log_of_ratios += std::log(us / rival->second);
    ++total.rivals;
    std::printf("vm::run/program=%-36s %12lld %12.2f %10.1f %6.2f\n", name.c_str(),
                static_cast<long long>(gas), us, rival->second, us / rival->second);
    std::fflush(stdout);
}

std::string label_of(const json::object& test, size_t index) {
    const auto& labels = object_at(object_at(test, "_info"), "labels");
    const auto* label = find(labels, std::to_string(index));
    return label == nullptr ? std::to_string(index) : std::string(label->as_string());
}

}  // namespace

void run_programs(const Options& options, const std::string& folder) {
    std::printf("%-52s %12s %12s %10s %6s\n", "program", "gas", "us", "rival us", "ratio");
    Total total;
    for (const auto& file : json_below(folder)) {
        const auto document = load_json(file);
        for (const auto& [name, value] : document.as_object()) {
            const auto& test = value.as_object();
            const size_t cases = object_at(test, "transaction").at("data").as_array().size();
            for (size_t i = 0; i < cases; ++i) {
                const std::string full = std::string(name) + "/" + label_of(test, i);
                if (options.wants(full)) run_case(test, full, i, options, total);
            }
        }
    }
    if (total.rivals > 0)
        std::printf("vm::run/geometric_mean_of_ratios=%.3f programs=%d\n",
                    std::exp(total.log_of_ratios / total.rivals), total.rivals);
}

}  // namespace trainyard::bench
