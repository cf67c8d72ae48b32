// SPDX-License-Identifier: Apache-2.0
// Worst-case blocks of about 100 Mgas: each applied whole, with its state root.
#include <cstdio>
#include <cstdlib>

#include "bench/evm/bench.hpp"
#include "consensus/transition/block.hpp"
#include "tests/conformance/fixture.hpp"

namespace trainyard::bench {
namespace {

using namespace conformance;

Block decode(const Bytes& encoded) {
    auto block = decode_block(encoded);
    if (!block) throw BadVector{"a block does not decode"};
    return *std::move(block);
}

struct Chain {
    const consensus::ChainConfig& config;
    Header tip;
    MemoryWorld world;
};

state::StateDiff execute(const Chain& chain, const Block& block) {
    const auto outcome = consensus::apply_block(chain.world, chain.tip, block, {}, chain.config);
    if (!outcome) throw BadVector{"a block is refused"};
    if (chain.world.root_after(outcome->diff) != block.header.state_root)
        throw BadVector{"another state root"};
    return outcome->diff;
}

/// Microseconds of all blocks of one test.
double measure(const json::object& test, int repetitions) {
    const auto config = config_named(test.at("network").as_string(), &object_at(test, "config"));
    Chain chain{*config, decode(bytes_of(test.at("genesisRLP"))).header, {}};
    chain.world.apply(accounts_of(object_at(test, "pre")));
    double us = 0;
    for (const auto& item : test.at("blocks").as_array()) {
        const Block block = decode(bytes_of(item.as_object().at("rlp")));
        state::StateDiff diff;
        us += least_us(repetitions, [&] { diff = execute(chain, block); });
        chain.world.apply(diff);
        chain.tip = block.header;
    }
    return us;
}

/// "test_x[fork_Osaka-blockchain_test-what-benchmark-gas-value_100M]" -> "what".
std::string short_name(std::string name) {
    name = name.substr(name.rfind("::") + 2);
    for (const std::string part : {"fork_Osaka-blockchain_test-", "-benchmark-gas-value_100M",
                                   "benchmark-gas-value_100M", "test_"})
        if (const auto at = name.find(part); at != std::string::npos) name.erase(at, part.size());
    return name;
}

}  // namespace

void run_blocks(const Options& options, const std::string& folder) {
    double total = 0;
    int count = 0;
    for (const auto& file : json_below(folder)) {
        const auto document = load_json(file);
        for (const auto& [key, value] : document.as_object()) {
            const std::string name = short_name(std::string(key));
            if (!options.wants(name)) continue;
            const double us = measure(value.as_object(), std::min(options.repetitions, 3));
            std::printf("consensus::apply_block_and_root/block=%-60s %10.1f ms\n", name.c_str(),
                        us / 1000);
            std::fflush(stdout);
            total += us;
            ++count;
        }
    }
    if (count > 0)
        std::printf("consensus::apply_block_and_root/blocks=%d total %.2f s\n", count, total / 1e6);
}

}  // namespace trainyard::bench
