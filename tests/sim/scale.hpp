// SPDX-License-Identifier: Apache-2.0
// Many validators all over the world with full blocks: how long a block and its finality take.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::sim {

/// Nothing fails here; what is modelled is distance, bandwidth and the processor of each node.
struct ScaleOptions {
    unsigned nodes = 50;
    unsigned regions = 10;  ///< of kRegions, nodes are spread over them in turn
    size_t body_size_bytes = 1 << 20;
    uint64_t blocks = 20;  ///< measured; as many more come before them
    uint64_t uplink_bit_per_s = 1'000'000'000;
    uint64_t verify_us = 40;       ///< one secp256k1 signature
    uint64_t execute_us = 50'000;  ///< one block; building one costs the same
    bool whole = false;            ///< without dispersal
    uint64_t seed = 1;
};

struct ScaleResult {
    std::string failure;  ///< empty if every node finalized the same blocks
    uint64_t blocks = 0;
    double block_ms = 0;  ///< mean time from one final height to the next
    double final_ms_p50 = 0,
           final_ms_p99 = 0;  ///< from the leader having a block to a node knowing it final
    /// Where the time of a block goes: its leader has certified the parent, has built, the next
    /// leader has the body, has executed it, has certified it. Means; they add up to a block.
    struct Stages {
        double building_ms = 0, body_ms = 0, execution_ms = 0, votes_ms = 0;
    } stages;
    double verifications_per_view = 0;  ///< signatures that one node checks
    double verify_ms_per_view = 0;      ///< the same in time of its processor
    double sent_bytes_per_block = 0;    ///< by the node that sends most
    uint64_t burst_bytes = 0;           ///< the most that one node had to send at once
    uint64_t nullified_views = 0;
};

[[nodiscard]] ScaleResult simulate_scale(const ScaleOptions& options);

/// `simulate scale …`; the arguments are those after the word. Gives the exit code.
[[nodiscard]] int run_scale(const std::vector<std::string>& arguments);

}  // namespace trainyard::sim
