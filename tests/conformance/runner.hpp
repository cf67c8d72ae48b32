// SPDX-License-Identifier: Apache-2.0
// Finds vector files, runs them on several threads, prints failures and counts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/json.hpp"

namespace trainyard::conformance {

struct Options {
    std::vector<std::string> paths;
    std::string fork;                     ///< empty: all
    std::vector<std::string> exclusions;  ///< parts of test names or paths
    unsigned jobs = 1;
    unsigned parallel = 1;  ///< threads for the transactions of one block
};

/// What one file gave.
struct Tally {
    uint64_t passed = 0;
    uint64_t excluded = 0;
    std::vector<std::string> failures;  ///< one line each, with expected and found

    void expect(bool ok, const std::string& line) {
        if (ok)
            ++passed;
        else
            failures.push_back(line);
    }
};

/// Runs all tests of one file whose name passes the filter.
using RunFile =
    std::function<Tally(const json::value& file, const std::string& path, const Options& options)>;

[[nodiscard]] bool is_excluded(const std::string& path, std::string_view name,
                               const Options& options);

/// The whole program: parses arguments, runs, prints; the exit code.
[[nodiscard]] int run_program(int argc, char** argv, const RunFile& run_file);

}  // namespace trainyard::conformance
