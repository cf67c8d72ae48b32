// SPDX-License-Identifier: Apache-2.0
// The command line shared by statetest and blocktest.
#include "tests/conformance/runner.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

namespace trainyard::conformance {
namespace {

namespace fs = std::filesystem;

/// One exclusion a line; what follows # is the reason.
std::vector<std::string> read_exclusions(const std::string& path) {
    std::vector<std::string> out;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        line = line.substr(0, line.find('#'));
        while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
        if (!line.empty()) out.push_back(line);
    }
    return out;
}

std::optional<Options> parse_arguments(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const bool takes_value = argument == "--fork" || argument == "--jobs" ||
                                 argument == "--exclude" || argument == "--parallel";
        if (!takes_value && argument.starts_with("--")) return std::nullopt;
        if (!takes_value) {
            options.paths.push_back(argument);
            continue;
        }
        if (++i == argc) return std::nullopt;
        const std::string value = argv[i];
        if (argument == "--fork") options.fork = value;
        if (argument == "--exclude") options.exclusions = read_exclusions(value);
        const auto count = std::clamp(static_cast<unsigned>(std::atoi(value.c_str())), 1u, 256u);
        if (argument == "--jobs") options.jobs = count;
        if (argument == "--parallel") options.parallel = count;
    }
    return options.paths.empty() ? std::nullopt : std::optional(options);
}

std::vector<std::string> find_files(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const auto& path : paths) {
        if (!fs::is_directory(path)) {
            files.push_back(path);
            continue;
        }
        for (auto at = fs::recursive_directory_iterator(path); at != fs::end(at); ++at) {
            // Releases of execution-spec-tests have an index of all tests in ".meta".
            if (at->is_directory() && at->path().filename().string().starts_with("."))
                at.disable_recursion_pending();
            if (at->path().extension() == ".json") files.push_back(at->path().string());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

Tally run_one(const std::string& path, const Options& options, const RunFile& run_file) {
    try {
        return run_file(load_json(path), path, options);
    } catch (const BadVector& bad) {
        return {0, 0, {path + ": " + bad.what}};
    } catch (const std::exception& e) {
        return {0, 0, {path + ": " + e.what()}};
    }
}

}  // namespace

bool is_excluded(const std::string& path, std::string_view name, const Options& options) {
    return std::any_of(options.exclusions.begin(), options.exclusions.end(), [&](const auto& part) {
        return path.find(part) != std::string::npos || name.find(part) != std::string_view::npos;
    });
}

int run_program(int argc, char** argv, const RunFile& run_file) {
    const auto options = parse_arguments(argc, argv);
    if (!options) {
        std::fprintf(stderr,
                     "usage: %s PATH... [--fork NAME] [--exclude FILE] [--jobs N] [--parallel N]\n",
                     argv[0]);
        return 2;
    }
    const auto files = find_files(options->paths);
    std::atomic<size_t> next = 0;
    std::mutex mutex;
    uint64_t passed = 0, failed = 0, excluded = 0;
    const auto work = [&] {
        for (size_t i = next++; i < files.size(); i = next++) {
            const Tally tally = run_one(files[i], *options, run_file);
            const std::lock_guard lock(mutex);
            passed += tally.passed;
            failed += tally.failures.size();
            excluded += tally.excluded;
            for (const auto& line : tally.failures) std::printf("%s\n", line.c_str());
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < options->jobs; ++i) threads.emplace_back(work);
    for (auto& thread : threads) thread.join();
    if (excluded > 0) std::printf("%llu excluded\n", static_cast<unsigned long long>(excluded));
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
                static_cast<unsigned long long>(failed));
    return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace trainyard::conformance
