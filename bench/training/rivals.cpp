// SPDX-License-Identifier: Apache-2.0
// Our step against the same model with OpenBLAS products, shares of the machine's peak, and what
// threads and hashes do: rivals take turns, and each figure is the best of its turns.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iterator>
#include <sched.h>
#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <openssl/evp.h>

#include "bench/training/openblas_backend.hpp"
#include "node/provider/gradient_file.hpp"
#include "training/cpu/backend.hpp"
#include "training/engine.hpp"
#include "training/plan.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;

double seconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Runs each of `rivals` in turn, `turns` times; the least seconds of each. Processor time where
/// one thread works: a neighbour's load then costs little.
std::vector<double> best_of(int turns, clockid_t clock,
                            const std::vector<std::function<void()>>& rivals) {
    std::vector<double> best(rivals.size(), 1e9);
    for (int turn = 0; turn < turns; ++turn)
        for (size_t i = 0; i < rivals.size(); ++i) {
            const double start = seconds(clock);
            rivals[i]();
            best[i] = std::min(best[i], seconds(clock) - start);
        }
    return best;
}

struct Model {
    const char* name;
    uint32_t layers, width, heads, sequence, sequences;
    int turns;
    uint32_t micro_batches = 1;
    [[nodiscard]] uint32_t tokens() const { return micro_batches * sequences * sequence; }
};
constexpr Model kModels[] = {{"L4-d128-H4-T128-B16", 4, 128, 4, 128, 16, 40},
                             {"L8-d512-H8-T256-B8", 8, 512, 8, 256, 8, 8}};

/// One backend with everything that a step of a model needs.
class Runner {
public:
    Runner(const Model& model, std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {
        GptOptions o;
        o.layers = model.layers, o.width = model.width, o.heads = model.heads;
        o.sequence = model.sequence, o.sequences = model.sequences;
        o.micro_batches = model.micro_batches;
        o.steps = 1000, o.data_bytes = 1 << 20;
        o.recipe = backend_->recipe();
        program_ = *make_gpt(o);
        text_.resize(o.data_bytes);
        for (size_t i = 0; i < text_.size(); ++i)
            text_[i] = static_cast<uint8_t>(i * i % 251 + i % 3);
        auto engine = Engine::make(program_, *backend_);
        if (!engine) std::abort();
        engine_ = std::make_unique<Engine>(std::move(*engine));
        state_ = make_initial_state(program_, Hash{});
    }
    void step() {
        engine_->recycle(std::move(gradients_));
        gradients_ = step_gradients();
    }
    [[nodiscard]] TensorSet step_gradients() {
        auto result = run_step(*engine_, state_, text_);
        if (!result) std::abort();
        return std::move(result->gradients);
    }
    [[nodiscard]] Engine& engine() { return *engine_; }
    void hash_gradients() {
        if (*grad_root(*backend_, gradients_) == Hash{}) std::abort();
    }
    void hash_weights() {
        if (weights_root(state_, Hash{}, backend_->pool()) == Hash{}) std::abort();
    }
    void hash_state() {
        if (state_root(state_, Hash{}, backend_->pool()) == Hash{}) std::abort();
    }
    [[nodiscard]] const Program& program() const { return program_; }
    [[nodiscard]] double gop() const {
        return 2e-9 * static_cast<double>(plan(program_)->macs_per_step);
    }

private:
    std::unique_ptr<Backend> backend_;
    Program program_;
    Bytes text_;
    std::unique_ptr<Engine> engine_;
    ModelState state_;
    TensorSet gradients_;
};

void compare_steps() {
    for (const Model& model : kModels) {
        Runner ours(model, make_cpu_backend({})), rival(model, bench::make_openblas_backend());
        // The comparison is one of arithmetic: the root of the gradients is timed apart.
        const auto best =
            best_of(model.turns, CLOCK_PROCESS_CPUTIME_ID,
                    {[&] { ours.step(); }, [&] { rival.step(); }, [&] { ours.hash_gradients(); }});
        const double own = best[0] - best[2], other = best[1] - best[2];
        std::printf("training::step/model=%s/products=int8      %8.2f ms  %6.1f GOP/s\n",
                    model.name, 1e3 * own, ours.gop() / own);
        std::printf("training::step/model=%s/products=openblas  %8.2f ms  %6.1f GOP/s\n",
                    model.name, 1e3 * other, ours.gop() / other);
        std::printf(
            "training::step/model=%s/faster             %8.2f x  (%.2f x with the root of "
            "the gradients in both)\n",
            model.name, other / own, best[1] / best[0]);
    }
}

#if defined(__x86_64__)
constexpr uint64_t kPeakRounds = 200'000;
/// 24 independent sums, so that the latency of vpdpbusd does not show.
__attribute__((target("avx512f,avx512vnni"))) void run_peak() {
    __m512i sum[24] = {};
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) asm volatile("" : "+v"(sum[i]));  // no two are known to be equal
    __m512i a = _mm512_set1_epi8(1);
    for (uint64_t round = 0; round < kPeakRounds; ++round) {
        asm volatile("" : "+v"(a));
#pragma GCC unroll 24
        for (int i = 0; i < 24; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, a);
    }
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) asm volatile("" : : "v"(sum[i]));
}
#endif

void compare_products() {
    const auto ours = make_cpu_backend({});
    for (const uint32_t n : {512U, 1024U, 2048U}) {
        Floats x(size_t{n} * n), w(x.size()), y(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
            x[i] = static_cast<float>(i * 7919 % 1009) * 1e-3F - 0.5F;
            w[i] = static_cast<float>(i * 104729 % 997) * 1e-3F - 0.5F;
        }
        std::vector<std::function<void()>> rivals{
            [&] {
                ours->linear(y.data(), x.data(), w.data(), {n, n, n});
            },
            [&] {
                bench::openblas_linear(y.data(), x.data(), w.data(), {n, n, n});
            }};
        double peak = 0;
#if defined(__x86_64__)
        if (cpu_has(CpuPath::avx512)) rivals.emplace_back(run_peak);
#endif
        const auto best = best_of(n > 1024 ? 15 : 100, CLOCK_PROCESS_CPUTIME_ID, rivals);
        const double gop = 2e-9 * n * n * n;
#if defined(__x86_64__)
        if (best.size() > 2) peak = 2e-9 * 64 * 24 * static_cast<double>(kPeakRounds) / best[2];
#endif
        std::printf("training::linear/n=%u  %7.1f GOP/s int8 with quantise and dequantise", n,
                    gop / best[0]);
        if (peak > 0) std::printf(", %.1f %% of %.1f", 100 * gop / best[0] / peak, peak);
        std::printf("; OpenBLAS %.1f GFLOP/s\n", gop / best[1]);
    }
}

/// The paths of this machine against each other.
void compare_paths() {
    constexpr uint32_t kN = 1024;
    Floats x(size_t{kN} * kN), w(x.size()), y(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(i * 7919 % 1009) * 1e-3F - 0.5F;
        w[i] = static_cast<float>(i * 104729 % 997) * 1e-3F - 0.5F;
    }
    for (const Model& model : kModels) {
        std::vector<std::unique_ptr<Backend>> backends;
        std::vector<std::unique_ptr<Runner>> runners;
        std::vector<std::function<void()>> products, steps;
        for (const CpuPath path : kCpuPaths) {
            if (!cpu_has(path) || path == CpuPath::scalar) continue;
            Backend& b = *backends.emplace_back(make_cpu_backend({path, 1}));
            Runner& r =
                *runners.emplace_back(std::make_unique<Runner>(model, make_cpu_backend({path, 1})));
            products.emplace_back([&] { b.linear(y.data(), x.data(), w.data(), {kN, kN, kN}); });
            steps.emplace_back([&] { r.step(); });
        }
        const auto product = best_of(model.turns, CLOCK_PROCESS_CPUTIME_ID, products);
        const auto step = best_of(model.turns, CLOCK_PROCESS_CPUTIME_ID, steps);
        for (size_t i = 0; i < backends.size(); ++i)
            std::printf("training::path/%s/model=%s  step %.2f ms; product n=%u %.1f GOP/s\n",
                        backends[i]->name().c_str(), model.name, 1e3 * step[i], kN,
                        2e-9 * kN * kN * kN / product[i]);
    }
}

/// Attention forward and backward alone.
void compare_attention() {
    for (const AttentionShape s :
         {AttentionShape{16, 4, 128, 32}, AttentionShape{8, 8, 256, 64},
          AttentionShape{2, 8, 1024, 64}, AttentionShape{2, 8, 1024, 64, false}}) {
        const auto backend = make_cpu_backend({});
        const size_t count = size_t{s.b} * s.t * s.h * s.hd;
        std::vector<float> qkv(3 * count), out(count), d_out(count), d_qkv(3 * count);
        std::vector<float> stats(size_t{s.b} * s.h * s.t * 2);
        for (size_t i = 0; i < qkv.size(); ++i)
            qkv[i] = static_cast<float>(i * 7919 % 1009) * 1e-3F - 0.5F;
        std::copy_n(qkv.rbegin(), count, d_out.begin());
        const auto best = best_of(
            s.causal ? 20 : 2, CLOCK_PROCESS_CPUTIME_ID,
            {[&] { backend->attention(out.data(), stats.data(), qkv.data(), s); },
             [&] {
                 backend->attention_grad(
                     d_qkv.data(), {d_out.data(), out.data(), stats.data(), qkv.data()}, s, {});
             }});
        std::printf("training::attention/b=%u/h=%u/t=%u/hd=%u/%s  %.3f ms, gradient %.3f ms\n", s.b,
                    s.h, s.t, s.hd, s.causal ? "causal" : "full", 1e3 * best[0], 1e3 * best[1]);
    }
}

/// Keeps this thread and those that it starts on one core: neighbours at work would else have the
/// kernel put two threads of ours on the same one.
void stay_on_core(unsigned core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    (void)sched_setaffinity(0, sizeof(cores), &cores);
}

void compare_threads() {
    for (const Model& model : kModels) {
        stay_on_core(1);
        auto threads = make_cpu_backend({CpuPath::best, 2});
        stay_on_core(0);
        Runner one(model, make_cpu_backend({CpuPath::best, 1}));
        Runner two(model, std::move(threads));
        const auto best =
            best_of(model.turns, CLOCK_MONOTONIC, {[&] { one.step(); }, [&] { two.step(); }});
        std::printf("training::step/model=%s/threads=1,2  %.2f ms, %.2f ms: %.2f x\n", model.name,
                    1e3 * best[0], 1e3 * best[1], best[0] / best[1]);
    }
}

/// Leaves of the tiles of one large matrix, against the library's hash of the same bytes.
void compare_hash_kernels() {
    const Tensor tensor = Tensor::zeros(Shape::matrix(4096, 2048));
    const BytesView bytes{reinterpret_cast<const uint8_t*>(tensor.data.data()),
                          tensor.data.size() * sizeof(float)};
    Hash digest;
    const auto best = best_of(9, CLOCK_PROCESS_CPUTIME_ID,
                              {[&] { digest = tensor_leaf(tensor); },
                               [&] {
                                   unsigned size = 0;
                                   (void)EVP_Digest(bytes.data(), bytes.size(), digest.data(),
                                                    &size, EVP_sha256(), nullptr);
                               }});
    const double gigabytes = 1e-9 * static_cast<double>(bytes.size());
    std::printf("training::hash  tiles and their tree %.2f GB/s, EVP_sha256 %.2f GB/s\n",
                gigabytes / best[0], gigabytes / best[1]);
}

struct ProductShape {
    size_t m, terms, n;
    bool operator==(const ProductShape&) const = default;
};

/// A product alone, in seconds.
struct ProductTimes {
    double plain = 0, checked = 0;
    double foreseeing = 0;  ///< the sums that `checked` computes before the product
};
ProductTimes time_product(const ProductShape& s, int turns) {
    const cpu::Kernels& k = kernels_for(CpuPath::best);
    std::vector<float> x(s.m * s.terms, 0.5F), w(s.terms * s.n, 0.25F), c(s.m * s.n);
    cpu::Operand a(k), b(k);
    a.begin_rows({x.data(), s.m, s.terms, s.terms}, cpu::Side::left);
    a.fill_rows(0, s.m);
    b.begin_cols({w.data(), s.terms, s.n, s.n}, cpu::Side::right);
    b.fill_cols(0, s.n);
    cpu::ProductArgs args;
    a.set_left(args);
    b.set_right(args);
    args.c = c.data(), args.c_stride = args.n = s.n, args.m = s.m;
    std::vector<uint32_t> rows(args.groups * k.group), due(s.n + k.panel), sums(s.n + k.panel);
    const size_t fitting = std::clamp<size_t>((192 << 10) / a.row_bytes() / 16 * 16, 16, 1024);
    const auto product = [&](uint32_t* column_sums) {
        cpu::ProductArgs part = args;
        part.column_sums = column_sums;
        for (size_t at = 0; at < s.m; at += fitting)
            k.product(part, at, std::min(s.m, at + fitting), 0, s.n);
    };
    const auto foresee = [&] {
        std::fill(rows.begin(), rows.end(), 0);
        k.row_sums(rows.data(), args, 0, args.groups);
        k.due_sums(due.data(), rows.data(), args, 0, (s.n + k.panel - 1) / k.panel);
    };
    const auto checked = [&] {
        foresee();
        std::fill(sums.begin(), sums.end(), 0);
        product(sums.data());
        if (!std::equal(due.begin(), due.begin() + static_cast<long>(s.n), sums.begin()))
            std::abort();
    };
    const auto best =
        best_of(turns, CLOCK_PROCESS_CPUTIME_ID, {[&] { product(nullptr); }, checked, foresee});
    return {best[0], best[1], best[2]};
}

/// What the check of sums adds to products of the large model's shapes and one of the small one's.
void compare_checks() {
    for (const ProductShape& s :
         {ProductShape{2048, 512, 1536}, {2048, 2048, 512}, {512, 2048, 2048}, {128, 2048, 512}}) {
        const auto [plain, checked, foreseeing] = time_product(s, 200);
        std::printf(
            "training::check/m=%zu/terms=%zu/n=%zu  %.3f ms, checked %.3f ms: %+.1f %%, "
            "sums beforehand %.3f ms: %.1f %%\n",
            s.m, s.terms, s.n, 1e3 * plain, 1e3 * checked, 100 * (checked / plain - 1),
            1e3 * foreseeing, 100 * foreseeing / plain);
    }
}

/// Seconds of checks in a step: each linear operator has three products. What the products add up
/// themselves is too little to be told from noise.
double check_seconds(const Program& program) {
    constexpr int kTurns = 5;
    const size_t rows = size_t{program.run.sequences} * program.data.sequence;
    std::vector<std::pair<ProductShape, double>> known;
    double total = 0;
    for (const Node& node : program.nodes) {
        if (node.op != Op::linear) continue;
        const Shape w = program.parameters[node.inputs[1] - 2].shape;
        for (const ProductShape& s :
             {ProductShape{rows, w.rows, w.cols}, {rows, w.cols, w.rows}, {w.rows, rows, w.cols}}) {
            auto found = std::find_if(known.begin(), known.end(),
                                      [&s](const auto& of) { return of.first == s; });
            if (found == known.end())
                found = known.insert(known.end(), {s, time_product(s, kTurns).foreseeing});
            total += found->second;
        }
    }
    return total * program.run.micro_batches;
}

constexpr double kSegmentSteps = 20;

/// One line: a step and what its commitments and checks add to it.
void measure_commitments(const Model& model, int turns) {
    Runner ours(model, make_cpu_backend({}));
    const auto best = best_of(turns, CLOCK_PROCESS_CPUTIME_ID,
                              {[&] { ours.step(); }, [&] { ours.hash_gradients(); },
                               [&] { ours.hash_weights(); }, [&] { ours.hash_state(); }});
    const uint32_t gradient_roots = model.micro_batches == 1 ? 1 : model.micro_batches + 1;
    const double in_step = gradient_roots * best[1];
    const double hashes = in_step + best[2] + (best[3] - best[2]) / kSegmentSteps;
    const double checks = check_seconds(ours.program());
    const double work = best[0] - in_step - checks;
    std::printf("%-15.*s %7u %2u %7.1f ms %7.2f ms %5.1f %% %7.2f ms %5.1f %% %7.1f %%\n",
                static_cast<int>(std::string_view(model.name).rfind('-')), model.name,
                model.tokens(), model.micro_batches, 1e3 * work, 1e3 * hashes, 100 * hashes / work,
                1e3 * checks, 100 * checks / work, 100 * (hashes + checks) / work);
    std::fflush(stdout);
}

/// Commitments and checks grow with the parameters, the work with the tokens as well.
void compare_commitments() {
    constexpr uint32_t kTokensOfMicroBatchMax = 16384;  // a matter of memory
    std::printf("training::commit  segments of %.0f steps; shares of a step without both\n",
                kSegmentSteps);
    std::printf("%-15s %7s %2s %10s %18s %18s %9s\n", "model", "tokens", "M", "step", "hashes",
                "checks", "together");
    for (Model model : kModels) {
        const int turns = model.turns;
        for (const uint32_t micro_batches : {1U, 2U, 4U})
            for (const uint32_t tokens : {2048U, 4096U, 8192U, 10240U, 16384U, 24576U}) {
                if (tokens / micro_batches > kTokensOfMicroBatchMax) continue;
                model.micro_batches = micro_batches;
                model.sequences = tokens / model.sequence / micro_batches;
                measure_commitments(model, std::max(2, turns * 2048 / static_cast<int>(tokens)));
            }
    }
}

/// Segments whose gradients are left, kept in memory, or logged in a file, in wall time of a step
/// on two threads: what a step hands on is at work during those after it. The best turn writes over
/// the file of the one before, as a provider does.
void compare_logs() {
    const Model& model = kModels[1];
    constexpr int kSteps = static_cast<int>(kSegmentSteps);
    const char* const path = "bench-rivals-gradients";
    Runner run(model, make_cpu_backend({CpuPath::best, 2}));
    const auto leave = [&] {
        for (int i = 0; i < kSteps; ++i) run.step();
    };
    const auto keep = [&] {
        std::vector<std::vector<Tensor>> kept;
        for (int i = 0; i < kSteps; ++i) kept.push_back(run.step_gradients().to_host());
    };
    const auto log = [&] {
        node::provider::GradientWriter writer(path);
        GradientSaver saver(run.engine());
        saver.begin(writer);
        for (int i = 0; i < kSteps; ++i)
            if (!saver.put(run.step_gradients())) std::abort();
        if (!saver.finish()) std::abort();
    };
    const auto best = best_of(3, CLOCK_MONOTONIC, {leave, keep, log});
    std::remove(path);
    std::printf(
        "training::log/model=%s/threads=2  a step %.2f ms, with a log in memory %.2f ms, in a "
        "file %.2f ms\n",
        model.name, 1e3 * best[0] / kSteps, 1e3 * best[1] / kSteps, 1e3 * best[2] / kSteps);
}

}  // namespace

// usage: bench_rivals [step | product | paths | attention | threads | commit | hash | check | log]
// ...
int main(int argc, char** argv) {
    bench::restart_with_openblas_settings(argv);
    const std::pair<std::string_view, void (*)()> parts[] = {{"product", compare_products},
                                                             {"step", compare_steps},
                                                             {"paths", compare_paths},
                                                             {"attention", compare_attention},
                                                             {"commit", compare_commitments},
                                                             {"hash", compare_hash_kernels},
                                                             {"check", compare_checks},
                                                             {"threads", compare_threads},
                                                             {"log", compare_logs}};
    std::printf("OpenBLAS kernels: %s, one thread\n", bench::openblas_core());
    for (const auto& [name, run] : parts) {
        const auto wanted = [&, part = name](const char* arg) { return part == arg; };
        const bool all = argc == 1 || argv[1][0] == '-';  // bench/run.sh passes options of others
        if (all || std::any_of(argv + 1, argv + argc, wanted)) run();
        std::fflush(stdout);
    }
    return 0;
}
