// SPDX-License-Identifier: Apache-2.0
// What an audit of one micro-batch costs an auditor whose verifier is not running yet, and which
// share of the segment's work that is. Prints a line of JSON, then one of its parts.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include "node/verify/child_process.hpp"
#include "node/verify/child_verifier.hpp"
#include "training/draws.hpp"
#include "training/state_blob.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;

constexpr uint32_t kSegmentSteps = 20, kTiles = 4;
/// Steps of the segment that is committed: its parts cost what those of a longer one do, but for
/// 32 KB of each drawn tile in each step.
constexpr uint32_t kCommitted = 2;
constexpr uint32_t kWarmUp = 2, kTimed = 5;

/// Layers, width, sequence, vocabulary, sequences of a micro-batch, micro-batches of a step.
using Sizes = std::array<uint32_t, 6>;
constexpr Sizes kGpt124M = {12, 768, 1024, 50257, 8, 4};

class Stopwatch {
public:
    /// Seconds since it was made or asked.
    double lap() {
        const auto now = std::chrono::steady_clock::now(), before = std::exchange(last_, now);
        return std::chrono::duration<double>(now - before).count();
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Processor time in seconds, with the kernel's: RUSAGE_SELF, or RUSAGE_CHILDREN that have ended.
double processor_s(int whose) {
    rusage use{};
    ::getrusage(whose, &use);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(use.ru_utime) + seconds(use.ru_stime);
}

/// What the process has had resident at most. (rusage counts what it was before it began, too.)
double peak_mib(int pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    std::string word;
    double kib = 0;
    while (status >> word)
        if (word == "VmHWM:") status >> kib;
    return kib / 1024;
}

/// Ends the program where a measurement makes no sense any more.
[[noreturn]] void fail(std::string_view what) {
    std::fprintf(stderr, "bench_audit: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}
template <class T, class E>
T must(Result<T, E> result, std::string_view what) {
    if (!result) fail(what);
    return std::move(*result);
}

Bytes varied_bytes(size_t count) {
    Bytes out(count);
    for (size_t i = 0; i < count; ++i)
        out[i] = static_cast<uint8_t>(static_cast<uint32_t>(i) * 0x9E3779B1U >> 24);
    return out;
}

GptOptions options_of(const Sizes& sizes) {
    GptOptions o;
    o.layers = sizes[0], o.width = sizes[1], o.heads = std::max(1U, sizes[1] / 64);
    o.sequence = sizes[2], o.vocabulary = sizes[3], o.sequences = sizes[4];
    o.micro_batches = sizes[5];
    o.steps = 1000, o.segment_length = kSegmentSteps;
    o.held_out = 0, o.data_bytes = size_t{1} << 20;
    return o;
}

unsigned threads() {
    return std::max(1U, std::thread::hardware_concurrency());
}

/// A committed segment with what an auditor gets of it.
struct Trained {
    Program program;
    node::verify::AuditRequest request;
    std::vector<Tensor> w;  ///< of the segment's first state
    Hash unit;              ///< leaf of the drawn micro-batch, as it was committed
    double step_s = 0;
    double make_s = 0;            ///< the bundle, at its provider
    double make_processor_s = 0;  ///< the same, of all threads
};

double seconds_per_step(Engine& engine, ModelState& state, BytesView data) {
    auto live = must(LiveState::load(engine.backend(), engine.program(), state), "no room");
    Stopwatch watch;
    for (uint32_t i = 0; i < kWarmUp + kTimed; ++i) {
        if (i == kWarmUp) watch.lap();
        engine.recycle(must(run_step(engine, live, data), "a step failed").gradients);
    }
    const double all = watch.lap();
    must(live.save(), "a copy failed");
    return all / kTimed;
}

/// The segment does not begin with the run: there auditors draw the initial state besides.
Trained train(const GptOptions& options) {
    Trained out;
    auto choice = node::verify::choose_backend({threads()});
    if (!choice.backend) fail("no back end gives the right bits");
    out.program = must(make_gpt(options), "no program of this shape");
    const Bytes encoded = encode_program(out.program);
    const auto& job = out.request.job = {encoded, program_id(out.program),
                                         varied_bytes(options.data_bytes), Hash{}};
    auto engine = must(Engine::make(out.program, *choice.backend), "the program does not fit");
    ModelState state = make_initial_state(out.program, job.run_seed);
    out.step_s = seconds_per_step(engine, state, job.data);
    const auto log =
        must(run_segment(engine, state, job.data, {kCommitted, Fault::none, {}}), "no segment");
    const UnitDraw drawn{log.record.first_step + kCommitted - 1, options.micro_batches - 1};
    out.unit = unit_leaf(drawn.t, drawn.j, log.record.units[kCommitted - 1][drawn.j]);
    node::verify::Audit audit;
    audit.draws = {{drawn}, tile_draws(out.program, Hash{}, kTiles)};
    audit.segment = {claim_of(log.record), encode_state(state, job.program_id)};
    Stopwatch watch;
    const double before = processor_s(RUSAGE_SELF);
    audit.bundle = must(make_bundle(out.program, *choice.backend, log, audit.draws), "no bundle");
    out.make_processor_s = processor_s(RUSAGE_SELF) - before;
    out.make_s = watch.lap();
    out.request.audits.push_back(std::move(audit));
    out.w = log.first.w;
    return out;
}

/// Seconds.
struct Cold {
    std::string verifier;
    double start = 0;  ///< the process, its back end, the self-test
    double audit = 0;  ///< from the request to the verdict
    /// Processor time: of the node for the request, of the verifier from its start to its end.
    double node_s = 0, verifier_s = 0;
    double peak_mib = 0;  ///< resident in the verifier
};

/// A verdict that is not "match", with the committed leaf, ends the program.
double judge(node::verify::Verifier& verifier, const node::verify::AuditRequest& request,
             const Hash& unit) {
    Stopwatch watch;
    const auto results = verifier.audit(request);
    const double took = watch.lap();
    if (!results) fail(results.error().text);
    const auto& answer = results->front();
    if (!answer) fail(answer.error().text);
    if (!answer->matches) fail(answer->finding);
    if (answer->answers != std::vector{unit}) fail("another unit than was committed");
    return took;
}

Cold audit_started(const node::verify::AuditRequest& request, const Hash& unit) {
    node::verify::ChildVerifierOptions options;
    const std::string own = node::verify::own_program();
    options.program = own.substr(0, own.rfind('/') + 1) + "trainyard";
    options.threads = threads();
    options.say = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
    node::verify::ChildVerifier child(options);
    Cold out;
    Stopwatch watch;
    out.verifier = child.name();
    out.start = watch.lap();
    const double before = processor_s(RUSAGE_SELF);
    out.audit = judge(child, request, unit);
    out.node_s = processor_s(RUSAGE_SELF) - before;
    out.peak_mib = peak_mib(child.pid());
    if (child.counters().started != 1) fail("the verifier process had to be started again");
    return out;
}

Cold audit_cold(const node::verify::AuditRequest& request, const Hash& unit) {
    const double before = processor_s(RUSAGE_CHILDREN);
    Cold out = audit_started(request, unit);
    out.verifier_s = processor_s(RUSAGE_CHILDREN) - before;
    return out;
}

/// What the verifier process does between request and answer, part by part. Seconds.
struct Parts {
    double open = 0;            ///< memory for the program
    double bundle = 0;          ///< all of its check, with the two below
    double load = 0, unit = 0;  ///< the weights to the back end; the micro-batch and its root
    double state = 0;           ///< finds the root of the state of the segment's end
};

Parts audit_in_parts(const Trained& trained) {
    const auto choice = node::verify::choose_backend({threads()});
    Parts out;
    Stopwatch watch;
    auto engine = must(Engine::make(trained.program, *choice.backend), "the program does not fit");
    out.open = watch.lap();
    const auto& job = trained.request.job;
    const auto& [segment, draws, bundle] = trained.request.audits.front();
    const auto answer =
        must(check_bundle_and_audit(engine, bundle, {segment.claim, job.run_seed, job.data, draws}),
             "no audit");
    out.bundle = watch.lap();
    if (!answer.matches()) fail(to_text(answer.finding));
    must(engine.load_weights(trained.w), "no room for weights");
    out.load = watch.lap();
    const UnitDraw drawn = draws.units.front();
    auto unit = must(run_micro_batch(engine, job.data, job.run_seed, drawn.t, drawn.j),
                     "the micro-batch failed");
    must(grad_root(engine.backend(), unit.gradients), "no root");
    out.unit = watch.lap();
    if (must(blob_root(trained.program, segment.last_state, choice.backend->pool()), "no state") !=
        segment.claim.last_root)
        fail("another state");
    out.state = watch.lap();
    return out;
}

void print(const Trained& trained, const Cold& cold) {
    const auto& audit = trained.request.audits.front();
    const double all = cold.start + cold.audit, segment = kSegmentSteps * trained.step_s;
    std::printf(
        "{\"audit\":\"%s\",\"coldS\":%.3f,\"share\":%.4f,\"segmentS\":%.3f,\"stepS\":%.4f,"
        "\"startS\":%.3f,\"makeS\":%.3f,\"bytes\":%zu,\"makeProcessorS\":%.2f,"
        "\"nodeProcessorS\":%.2f,\"verifierProcessorS\":%.2f,\"verifierMiB\":%.0f}\n",
        cold.verifier.c_str(), all, all / segment, segment, trained.step_s, cold.start,
        trained.make_s, audit.segment.last_state.size() + audit.bundle.size(),
        trained.make_processor_s, cold.node_s, cold.verifier_s, cold.peak_mib);
    std::fflush(stdout);
}

void print(const Cold& cold, const Parts& parts) {
    const double travel = cold.audit - parts.open - parts.bundle - parts.state;
    std::printf(
        "{\"audit\":\"%s\",\"travelS\":%.3f,\"openS\":%.3f,\"bundleS\":%.3f,\"loadS\":%.3f,"
        "\"unitS\":%.4f,\"stateS\":%.3f}\n",
        cold.verifier.c_str(), travel, parts.open, parts.bundle, parts.load, parts.unit,
        parts.state);
}

constexpr std::string_view kUsage =
    "usage: bench_audit [LAYERS WIDTH SEQUENCE VOCABULARY SEQUENCES MICRO_BATCHES]\n"
    "  without a shape: gpt 124M. It starts the program trainyard that lies beside it.\n";

}  // namespace

int main(int argc, char** argv) {
    Sizes sizes = kGpt124M;
    const auto given = static_cast<size_t>(argc - 1);
    for (size_t i = 0; i < std::min(given, sizes.size()); ++i)
        sizes[i] = static_cast<uint32_t>(std::max(0, std::atoi(argv[i + 1])));
    if ((given != 0 && given != sizes.size()) ||
        std::find(sizes.begin(), sizes.end(), 0U) != sizes.end()) {
        std::fputs(kUsage.data(), stderr);
        return 2;
    }
    const Trained trained = train(options_of(sizes));
    const Cold cold = audit_cold(trained.request, trained.unit);
    print(trained, cold);
    print(cold, audit_in_parts(trained));
    return 0;
}
