// SPDX-License-Identifier: Apache-2.0
// simulate: many seeded runs of a simulated cluster; prints the seeds that fail.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/sim/modes.hpp"
#include "tests/sim/scale.hpp"
#include "tests/sim/twins.hpp"

namespace {

using namespace trainyard::sim;

struct Command {
    Options options;
    TwinsPlan plan;
    bool twins = false, churn = false;
    uint64_t hours = 1;
    uint64_t runs = 1;
    unsigned jobs = 1;
    bool verbose = false;
};

constexpr const char* kUsage =
    "simulate [--seed N] [--runs M] [--nodes n] [--byzantine f] [--faults LIST] [--heights h]\n"
    "         [--mutation NAME] [--real-keys] [--churn] [--shards] [--epoch-length E] [--jobs k]\n"
    "         [--verbose]\n"
    "  LIST: all, none, or some of loss,delay,reorder,duplicate,partition,crash,torn,byzantine\n"
    "  NAME: none, send_before_sync, too_many_byzantine, forget_nullify, trust_signatures, "
    "old_set,\n"
    "        own_set, start_early, certify_unexecuted\n"
    "  --churn: validators join, leave, are slashed and raised in every epoch\n"
    "  --shards: bodies travel as shards in every run, not in a quarter of them\n"
    "simulate twins [--nodes n] [--twins t] [--views v] [--samples S] [--epoch-length E]\n"
    "         [--seed N] [--jobs k]\n"
    "  every leader and every split of the nodes in v views, or S of them at random; the first t\n"
    "  validators run twice\n"
    "simulate scale --help\n"
    "simulate churn [--hours H] [--nodes n] [--epoch-length E] [--seed N]\n"
    "  one long run in a good network: another set in every epoch, a node away once a minute\n"
    "examples:\n"
    "  simulate --nodes 4 --runs 10000 --jobs 2\n"
    "  simulate twins --nodes 4 --views 2\n"
    "  simulate churn --hours 24\n"
    "  simulate twins --nodes 7 --twins 2 --views 5 --samples 2000\n";

bool parse_mutation(const std::string& word, Mutation& out) {
    const std::map<std::string, Mutation> known{
        {"none", Mutation::none},
        {"send_before_sync", Mutation::send_before_sync},
        {"too_many_byzantine", Mutation::too_many_byzantine},
        {"forget_nullify", Mutation::forget_nullify},
        {"trust_signatures", Mutation::trust_signatures},
        {"old_set", Mutation::old_set},
        {"own_set", Mutation::own_set},
        {"start_early", Mutation::start_early},
        {"certify_unexecuted", Mutation::certify_unexecuted}};
    const auto it = known.find(word);
    if (it != known.end()) out = it->second;
    return it != known.end();
}

bool parse_twins_option(const std::string& name, uint64_t number, Command& out) {
    auto& plan = out.plan;
    if (name == "--samples") return plan.samples = number, true;
    if (name == "--epoch-length") return plan.epoch_length = number, true;
    if (name == "--twins") return plan.twins = static_cast<unsigned>(number), number <= 8;
    if (name == "--views")
        return plan.views = static_cast<unsigned>(number), number >= 1 && number <= 16;
    return false;
}

bool parse_option(const std::string& name, const std::string& value, Command& out) {
    const uint64_t number = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--seed") return out.options.seed = out.plan.seed = number, true;
    if (name == "--jobs") return out.jobs = static_cast<unsigned>(number), number >= 1;
    if (name == "--nodes") {
        out.options.nodes = out.plan.nodes = static_cast<unsigned>(number);
        return number >= 1 && number <= (out.twins ? 16 : 200);
    }
    if (out.twins) return parse_twins_option(name, number, out);
    if (name == "--runs") return out.runs = number, true;
    if (name == "--byzantine")
        return out.options.byzantine_max = static_cast<unsigned>(number), number <= 200;
    if (name == "--heights") return out.options.heights_min = number, true;
    if (name == "--hours") return out.hours = number, out.churn && number >= 1;
    if (name == "--epoch-length") return out.options.epoch_length = number, true;
    if (name == "--faults") return parse_faults(value, out.options.faults);
    if (name == "--mutation") return parse_mutation(value, out.options.mutation);
    return false;
}

bool parse(int argc, char** argv, Command& out) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    out.twins = mode == "twins";
    out.churn = mode == "churn";
    if (out.churn) out.options = long_churn();
    for (int i = out.twins || out.churn ? 2 : 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--real-keys") {
            out.options.real_keys = true;
        } else if (name == "--churn") {
            out.options.churn = true;
        } else if (name == "--shards") {
            out.options.shards = true;
        } else if (name == "--verbose") {
            out.verbose = true;
        } else {
            if (i + 1 >= argc || !parse_option(name, argv[i + 1], out)) return false;
            ++i;
        }
    }
    return !out.twins || out.plan.twins < out.plan.nodes;
}

/// The runs that a command asks for, one after the other.
class Queue {
public:
    explicit Queue(const Command& command) : options_(command.options), left_(command.runs) {
        if (!command.twins) return;
        for_each_scenario(command.plan, [&](const Options& o) { scenarios_.push_back(o); });
        left_ = scenarios_.size();
        std::printf("%llu scenarios\n", static_cast<unsigned long long>(left_));
    }
    std::optional<Options> next() {
        const std::lock_guard lock(mutex_);
        if (left_ == 0) return std::nullopt;
        --left_;
        if (!scenarios_.empty()) return scenarios_[left_];
        Options out = options_;
        ++options_.seed;
        return out;
    }

private:
    std::mutex mutex_;
    Options options_;
    std::vector<Options> scenarios_;
    uint64_t left_;
};

struct Totals {
    std::mutex mutex;
    uint64_t passed = 0, failed = 0;
    uint64_t events = 0, heights = 0, views = 0, crashes = 0, evidence = 0, simulated_ms = 0;
    uint64_t epochs = 0, reproposals = 0;

    void add(uint64_t seed, const Outcome& outcome, bool verbose) {
        const std::lock_guard lock(mutex);
        (outcome.passed() ? passed : failed) += 1;
        events += outcome.events;
        heights += outcome.final_height;
        views += outcome.views;
        crashes += outcome.crashes;
        evidence += outcome.evidence;
        simulated_ms += outcome.simulated_ms;
        epochs += outcome.epochs;
        reproposals += outcome.reproposals;
        if (verbose || !outcome.passed())
            std::printf("seed %llu: %s  height %llu view %llu events %llu trace %016llx\n",
                        static_cast<unsigned long long>(seed),
                        outcome.passed() ? "ok" : outcome.failure.c_str(),
                        static_cast<unsigned long long>(outcome.final_height),
                        static_cast<unsigned long long>(outcome.views),
                        static_cast<unsigned long long>(outcome.events),
                        static_cast<unsigned long long>(outcome.trace));
    }
    void print() const {
        const uint64_t runs = std::max<uint64_t>(1, passed + failed);
        const auto mean = [&](uint64_t sum) { return static_cast<unsigned long long>(sum / runs); };
        std::printf("mean of a run: %llu heights, %llu views, %llu events, %llu simulated ms\n",
                    mean(heights), mean(views), mean(events), mean(simulated_ms));
        const auto plain = [](uint64_t sum) { return static_cast<unsigned long long>(sum); };
        std::printf("in all: %llu crashes, %llu proven offences, %llu epochs, %llu reproposals\n",
                    plain(crashes), plain(evidence), plain(epochs), plain(reproposals));
        std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
                    static_cast<unsigned long long>(failed));
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "scale") return run_scale({argv + 2, argv + argc});
    Command command;
    if (!parse(argc, argv, command)) return std::fputs(kUsage, stderr), 2;
    if (command.churn) return run_churn(command.options, command.hours);
    Totals totals;
    Queue queue(command);
    std::vector<std::thread> workers;
    for (unsigned job = 0; job < command.jobs; ++job) {
        workers.emplace_back([&] {
            while (const auto options = queue.next())
                totals.add(options->seed, simulate(*options), command.verbose);
        });
    }
    for (auto& worker : workers) worker.join();
    totals.print();
    return totals.failed == 0 ? 0 : 1;
}
