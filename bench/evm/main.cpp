// SPDX-License-Identifier: Apache-2.0
// bench_evm [FOLDER...] [--filter TEXT] [--repetitions N] [--accounts N]: the EVM and the state.
// FOLDERs are the unpacked evm-benchmarks/ and bench-blocks/ of the shared vectors.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "bench/evm/bench.hpp"

namespace trainyard::bench {

std::vector<std::string> json_below(const std::string& path) {
    std::vector<std::string> files;
    std::error_code missing;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path, missing))
        if (entry.path().extension() == ".json") files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    return files;
}

namespace {

std::string machine() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown processor";
}

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (!argument.starts_with("--")) {
            options.paths.push_back(argument);
            continue;
        }
        if (++i == argc) return std::nullopt;
        if (argument == "--filter")
            options.filter = argv[i];
        else if (argument == "--repetitions")
            options.repetitions = std::max(1, std::atoi(argv[i]));
        else if (argument == "--accounts")
            options.accounts = std::max(2000, std::atoi(argv[i]));
        else
            return std::nullopt;
    }
    return options;
}

void run(const Options& options) {
    std::printf("machine: %s\n", machine().c_str());
    for (const auto& path : options.paths) {
        if (json_below(path).empty())
            std::printf("SKIPPED: no vectors below %s; unpack the archives of shared/vectors\n",
                        path.c_str());
        else if (path.find("bench-blocks") != std::string::npos)
            run_blocks(options, path);
        else
            run_programs(options, path);
    }
    if (options.paths.empty())
        std::printf(
            "SKIPPED: programs and blocks; give the unpacked evm-benchmarks/ and "
            "bench-blocks/ as arguments\n");
    run_transfers(options);
}

}  // namespace
}  // namespace trainyard::bench

int main(int argc, char** argv) {
    const auto options = trainyard::bench::parse(argc, argv);
    if (!options) {
        std::fprintf(stderr,
                     "usage: %s [FOLDER...] [--filter TEXT] [--repetitions N] [--accounts N]\n",
                     argv[0]);
        return 2;
    }
    trainyard::bench::run(*options);
    return 0;
}
