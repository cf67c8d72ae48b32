// SPDX-License-Identifier: Apache-2.0
// simulate scale: reads the options, prints the figures.
#include <cstdio>
#include <cstdlib>

#include "tests/sim/scale.hpp"

namespace trainyard::sim {
namespace {

constexpr const char* kUsage =
    "simulate scale [--nodes n] [--regions r] [--body-kb k] [--blocks b] [--mbit-per-s m]\n"
    "               [--verify-us t] [--execute-ms t] [--seed N] [--whole]\n"
    "  validators in up to ten regions of the world, each with one uplink and one processor;\n"
    "  --whole sends bodies whole instead of in shards\n"
    "example: simulate scale --nodes 50 --body-kb 1000\n";

bool parse_option(const std::string& name, uint64_t number, ScaleOptions& out) {
    if (name == "--nodes")
        return out.nodes = static_cast<unsigned>(number), number <= 200 && number;
    if (name == "--regions")
        return out.regions = static_cast<unsigned>(number), number >= 1 && number <= 10;
    if (name == "--body-kb")
        return out.body_size_bytes = number * 1'000, number >= 1 && number <= 2'000;
    if (name == "--blocks") return out.blocks = number, number >= 1;
    if (name == "--mbit-per-s") return out.uplink_bit_per_s = number * 1'000'000, number >= 1;
    if (name == "--verify-us") return out.verify_us = number, true;
    if (name == "--execute-ms") return out.execute_us = number * 1'000, true;
    if (name == "--seed") return out.seed = number, true;
    return false;
}

bool parse(const std::vector<std::string>& arguments, ScaleOptions& out) {
    for (size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--whole") {
            out.whole = true;
            continue;
        }
        if (i + 1 == arguments.size()) return false;
        const uint64_t number = std::strtoull(arguments[i + 1].c_str(), nullptr, 10);
        if (!parse_option(arguments[i++], number, out)) return false;
    }
    return true;
}

}  // namespace

int run_scale(const std::vector<std::string>& arguments) {
    ScaleOptions options;
    if (!parse(arguments, options)) return std::fputs(kUsage, stderr), 2;
    const auto result = simulate_scale(options);
    std::printf(
        "%u validators in %u regions, %zu kB a block %s, %llu Mbit/s, %llu us a signature\n",
        options.nodes, options.regions, options.body_size_bytes / 1'000,
        options.whole ? "sent whole" : "in shards",
        static_cast<unsigned long long>(options.uplink_bit_per_s / 1'000'000),
        static_cast<unsigned long long>(options.verify_us));
    std::printf(
        "%llu blocks: %.0f ms a block, finality p50 %.0f ms, p99 %.0f ms, %llu views given up\n",
        static_cast<unsigned long long>(result.blocks), result.block_ms, result.final_ms_p50,
        result.final_ms_p99, static_cast<unsigned long long>(result.nullified_views));
    std::printf(
        "of a block: from the parent certified to built %.0f ms, to the next leader's having the "
        "body %.0f ms, to executed %.0f ms, to certified %.0f ms\n",
        result.stages.building_ms, result.stages.body_ms, result.stages.execution_ms,
        result.stages.votes_ms);
    std::printf(
        "a node checks %.0f signatures a view (%.1f ms of its processor); the busiest sends "
        "%.2f MB a block, at most %.2f MB at once\n",
        result.verifications_per_view, result.verify_ms_per_view, result.sent_bytes_per_block / 1e6,
        static_cast<double>(result.burst_bytes) / 1e6);
    if (!result.failure.empty()) std::printf("FAILED: %s\n", result.failure.c_str());
    return result.failure.empty() ? 0 : 1;
}

}  // namespace trainyard::sim
