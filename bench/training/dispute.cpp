// SPDX-License-Identifier: Apache-2.0
// How long each side of a dispute computes for its slowest moves. Plays one game for each operator,
// down to an input, and prints a table.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/blob.hpp"
#include "node/verify/backend_choice.hpp"
#include "training/graph.hpp"
#include "training/referee/players.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;
using namespace trainyard::training::referee;

/// Layers, width, sequence, vocabulary, sequences of a micro-batch, micro-batches of a step.
using Sizes = std::array<uint32_t, 6>;
constexpr Sizes kGpt124M = {12, 768, 1024, 50257, 1, 2};
constexpr uint32_t kSteps = 2;

[[noreturn]] void fail(std::string_view what) {
    std::fprintf(stderr, "bench_dispute: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}
template <class T, class E>
T must(Result<T, E> result, std::string_view what) {
    if (!result) fail(what);
    return std::move(*result);
}

/// Seconds on the clock where a device works; else those of all threads together, which a
/// neighbour's load hardly changes.
class Watch {
public:
    explicit Watch(const Backend& device)
        : clock_(device.is_host() ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC) {}
    template <class Body>
    [[nodiscard]] double time(const Body& body) const {
        const double start = now();
        body();
        return now() - start;
    }

private:
    [[nodiscard]] double now() const {
        timespec time{};
        clock_gettime(clock_, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }
    clockid_t clock_;
};

Program make_program(const Sizes& sizes, BytesView data) {
    GptOptions o;
    o.layers = sizes[0], o.width = sizes[1], o.heads = std::max(1U, sizes[1] / 64);
    o.sequence = sizes[2], o.vocabulary = sizes[3], o.sequences = sizes[4];
    o.micro_batches = sizes[5];
    o.steps = 1000, o.held_out = 0, o.data_bytes = data.size();
    Program program = must(make_gpt(o), "no program of this shape");
    program.data.root = blob::id(data);
    return program;
}

/// The longest way down: the last element, and of a line the last part that is no input.
uint32_t deepest_pick(const State& s) {
    if (s.phase == Phase::pick_element) {
        const auto last = static_cast<uint32_t>(s.subject.shape.count()) - 1;
        return place_of(s.subject.shape, last).at;
    }
    if (s.phase == Phase::pick_node) return static_cast<uint32_t>(s.hashes.size()) - 1;
    const Line line = line_of(s.subject.call, s.term);
    const auto is_term = [](const Term& part) { return part.kind != kInput; };
    const auto last = std::find_if(line.parts.rbegin(), line.parts.rend(), is_term);
    return static_cast<uint32_t>(last == line.parts.rend() ? line.parts.size() - 1
                                                           : line.parts.rend() - last - 1);
}

/// What a game is about: where it leaves the step, and there the item.
struct Subjects {
    std::string name;
    uint32_t unit = 0, item = 0;
};

/// One game of an honest provider; the slowest move of each phase in seconds.
std::map<Phase, double> play_game(Witness& witness, const Subjects& subject, const Watch& watch) {
    std::map<Phase, double> slowest;
    State state;
    state.claim = must(witness.claim(), "no claim");
    while (turn_of(state.phase) != Turn::nobody) {
        const Phase phase = state.phase;
        Bytes move;
        const double seconds = watch.time([&] {
            if (turn_of(phase) == Turn::provider)
                move = must(provider_move(witness, state), "no move");
            else
                (void)must(challenger_pick(witness, state), "no pick");
        });
        slowest[phase] = std::max(slowest[phase], seconds);
        if (turn_of(phase) == Turn::challenger) {
            const bool ends = phase == Phase::pick_part && state.numbers.empty();
            if (ends) break;
            const uint32_t index = phase == Phase::pick_step   ? kSteps - 1
                                   : phase == Phase::pick_unit ? subject.unit
                                   : phase == Phase::pick_value || phase == Phase::pick_update
                                       ? subject.item
                                       : deepest_pick(state);
            move = move::pick(index);
        }
        state = must(play(state, move), to_text(phase));
    }
    return slowest;
}

/// The last result of each operator of a unit, its loss, and what the update does with the largest
/// parameter.
std::vector<Subjects> subjects_of(const Program& program) {
    const auto training = derive_training_graph(program);
    const uint32_t first = first_yield(program);
    std::map<Op, uint32_t> values;
    for (const Node& node : training->graph.nodes) values[node.op] = node.outputs[0];
    std::vector<Subjects> out;
    for (const auto& [op, value] : values)
        out.push_back({std::string(find_op(op)->name), 0, value - first});
    const auto yields = static_cast<uint32_t>(training->graph.values.size()) - first;
    out.push_back({"mean loss of a unit", 0, yields});
    const auto& parameters = program.parameters;
    const auto largest = std::max_element(
        parameters.begin(), parameters.end(),
        [](const auto& a, const auto& b) { return a.shape.count() < b.shape.count(); });
    const auto k = static_cast<uint32_t>(largest - parameters.begin());
    const auto count = static_cast<uint32_t>(parameters.size());
    const uint32_t update = program.run.micro_batches;
    out.push_back({"sum of a gradient", update, k});
    out.push_back({"sum of its squares", update, count + k});
    out.push_back({"new weights", update, 2 * count + k});
    return out;
}

void print_row(const std::string& name, const std::map<Phase, double>& slowest) {
    std::printf("| %s |", name.c_str());
    for (const Phase phase : {Phase::show_update, Phase::show_nodes, Phase::show_tile,
                              Phase::show_parts, Phase::show_input, Phase::pick_part}) {
        const auto found = slowest.find(phase);
        if (found == slowest.end())
            std::printf(" |");
        else
            std::printf(" %.2f |", found->second);
    }
    std::printf("\n");
    std::fflush(stdout);
}

double peak_gb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
    Sizes sizes = kGpt124M;
    if (argc != 1 && argc != 1 + static_cast<int>(sizes.size()))
        fail("usage: bench_dispute [LAYERS WIDTH SEQUENCE VOCABULARY SEQUENCES MICRO-BATCHES]");
    for (int i = 1; i < argc; ++i)
        sizes[static_cast<size_t>(i) - 1] = static_cast<uint32_t>(std::atoi(argv[i]));
    const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
    Bytes data(size_t{1} << 20);
    for (size_t i = 0; i < data.size(); ++i)
        data[i] = static_cast<uint8_t>(static_cast<uint32_t>(i) * 0x9E3779B1U >> 24);
    const Program program = make_program(sizes, data);
    const auto device = node::verify::choose_backend({threads}).backend;
    const auto host = make_cpu_backend({CpuPath::best, threads});
    if (!device) fail("no back end gives the right bits");
    Witness witness = must(Witness::make(program, data, *host,
                                         {make_initial_state(program, Hash{}, data), kSteps,
                                          std::nullopt, device.get()}),
                           "the program does not fit");
    const Watch watch(*device);
    const double all = watch.time([&] { (void)must(witness.segment(), "a step failed"); });
    const double roots = watch.time(
        [&] { (void)must(witness.unit_roots(kSteps - 1, 0), "a unit failed on the host"); });
    std::printf("steps on %s, units on %s, %u threads; seconds%s\n", device->name().c_str(),
                host->name().c_str(), threads, device->is_host() ? " of a core" : "");
    std::printf("a step with its roots: %.2f\nthe roots of a unit: %.2f\n\n", all / kSteps, roots);
    std::printf("| | update | nodes | tile | parts | input | a pick of parts |\n");
    std::printf("|---|---|---|---|---|---|---|\n");
    for (const Subjects& subject : subjects_of(program))
        print_row(subject.name, play_game(witness, subject, watch));
    std::printf("memory: %.1f GB\n", peak_gb());
}
