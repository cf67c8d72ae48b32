// SPDX-License-Identifier: Apache-2.0
// simulate: many seeded runs of a simulated cluster; prints the seeds that fail.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/simulation.hpp"

namespace {

using namespace trainyard::sim;

struct Command {
    Options options;
    uint64_t runs = 1;
    unsigned jobs = 1;
    bool verbose = false;
};

constexpr const char* kUsage =
    "simulate [--seed N] [--runs M] [--nodes n] [--faults all|none|loss,delay,reorder,duplicate,\n"
    "          partition,crash,torn,byzantine] [--heights h] [--mutation none|send_before_sync|\n"
    "          too_many_byzantine] [--real-keys] [--jobs k] [--verbose]\n";

bool parse_mutation(const std::string& word, Mutation& out) {
    const std::map<std::string, Mutation> known{
        {"none", Mutation::none},
        {"send_before_sync", Mutation::send_before_sync},
        {"too_many_byzantine", Mutation::too_many_byzantine}};
    const auto it = known.find(word);
    if (it != known.end()) out = it->second;
    return it != known.end();
}

bool parse_option(const std::string& name, const std::string& value, Command& out) {
    const uint64_t number = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--seed") return out.options.seed = number, true;
    if (name == "--runs") return out.runs = number, true;
    if (name == "--nodes") {
        out.options.nodes = static_cast<unsigned>(number);
        return number >= 1 && number <= 200;
    }
    if (name == "--heights") return out.options.heights_min = number, true;
    if (name == "--jobs") return out.jobs = static_cast<unsigned>(number), number >= 1;
    if (name == "--faults") return parse_faults(value, out.options.faults);
    if (name == "--mutation") return parse_mutation(value, out.options.mutation);
    return false;
}

bool parse(int argc, char** argv, Command& out) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--real-keys") {
            out.options.real_keys = true;
        } else if (name == "--verbose") {
            out.verbose = true;
        } else {
            if (i + 1 >= argc || !parse_option(name, argv[i + 1], out)) return false;
            ++i;
        }
    }
    return true;
}

struct Totals {
    std::mutex mutex;
    uint64_t passed = 0, failed = 0;
    uint64_t events = 0, heights = 0, views = 0, crashes = 0, evidence = 0, simulated_ms = 0;

    void add(uint64_t seed, const Outcome& outcome, bool verbose) {
        const std::lock_guard lock(mutex);
        (outcome.passed() ? passed : failed) += 1;
        events += outcome.events;
        heights += outcome.final_height;
        views += outcome.views;
        crashes += outcome.crashes;
        evidence += outcome.evidence;
        simulated_ms += outcome.simulated_ms;
        if (verbose || !outcome.passed())
            std::printf("seed %llu: %s  height %llu view %llu events %llu trace %016llx\n",
                        static_cast<unsigned long long>(seed),
                        outcome.passed() ? "ok" : outcome.failure.c_str(),
                        static_cast<unsigned long long>(outcome.final_height),
                        static_cast<unsigned long long>(outcome.views),
                        static_cast<unsigned long long>(outcome.events),
                        static_cast<unsigned long long>(outcome.trace));
    }
    void print(uint64_t runs) const {
        const auto mean = [&](uint64_t sum) { return static_cast<unsigned long long>(sum / runs); };
        std::printf("mean of a run: %llu heights, %llu views, %llu events, %llu simulated ms\n",
                    mean(heights), mean(views), mean(events), mean(simulated_ms));
        std::printf("in all: %llu crashes, %llu proven offences\n",
                    static_cast<unsigned long long>(crashes),
                    static_cast<unsigned long long>(evidence));
        std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
                    static_cast<unsigned long long>(failed));
    }
};

}  // namespace

int main(int argc, char** argv) {
    Command command;
    if (!parse(argc, argv, command)) return std::fputs(kUsage, stderr), 2;
    Totals totals;
    std::atomic<uint64_t> next{0};
    std::vector<std::thread> workers;
    for (unsigned job = 0; job < command.jobs; ++job) {
        workers.emplace_back([&] {
            for (uint64_t i; (i = next++) < command.runs;) {
                Options options = command.options;
                options.seed += i;
                totals.add(options.seed, simulate(options), command.verbose);
            }
        });
    }
    for (auto& worker : workers) worker.join();
    totals.print(command.runs == 0 ? 1 : command.runs);
    return totals.failed == 0 ? 0 : 1;
}
