// SPDX-License-Identifier: Apache-2.0
// What the three parts of the EVM benchmark share: a clock, a filter, and lines of a table.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace trainyard::bench {

struct Options {
    std::vector<std::string> paths;  ///< folders with vectors, searched for *.json
    std::string filter;              ///< runs only names that contain it
    int repetitions = 5;
    int accounts = 1'000'000;  ///< in the state under the block of transfers

    [[nodiscard]] bool wants(const std::string& name) const {
        return name.find(filter) != std::string::npos;
    }
};

/// Microseconds of the processor that this thread has had.
inline double cpu_now_us() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}
/// The same for one call: what others do on the machine counts less.
template <class Run>
double cpu_us(const Run& run) {
    const double start = cpu_now_us();
    run();
    return cpu_now_us() - start;
}

/// Microseconds by the clock on the wall.
template <class Run>
double time_us(const Run& run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - start;
    return spent.count();
}

/// The least of `repetitions` calls: what the machine can do when nobody disturbs it.
template <class Run>
double least_us(int repetitions, const Run& run) {
    double least = cpu_us(run);
    for (int i = 1; i < repetitions; ++i) least = std::min(least, cpu_us(run));
    return least;
}

/// All *.json below `path`, in order; empty where there is no such folder.
[[nodiscard]] std::vector<std::string> json_below(const std::string& path);

/// State tests of the evm-benchmarks set: each program's own run, against the rival's times.
void run_programs(const Options& options, const std::string& folder);
/// Worst-case blocks: execution with sender recovery, and the state root.
void run_blocks(const Options& options, const std::string& folder);
/// 1,000 transfers on a large state: execution, root and synced write; and the trie alone.
void run_transfers(const Options& options);

}  // namespace trainyard::bench
