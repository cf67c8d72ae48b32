// SPDX-License-Identifier: Apache-2.0
// Trains one small program per template on every path and prints one table row per path with its
// state root; or one program in one way, as one process of perhaps several.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "node/mpi/crew.hpp"
#include "tests/bits/matrix_programs.hpp"
#include "training/operator_cases.hpp"
#include "training/self_test.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;

/// A program with the data it is trained on and the state root that it must reach.
struct Case {
    std::string name;
    Program program;
    Bytes data;
    uint32_t steps = 0;
    std::string expected;  ///< empty: that of the first row
};

std::string root_on(Backend& backend, const Case& c, Crew* crew = nullptr) {
    auto engine = Engine::make(c.program, backend, c.data);
    if (!engine) return "no engine";
    ModelState state = make_initial_state(c.program, matrix_seed(), c.data);
    for (uint32_t t = 0; t < c.steps; ++t)
        if (!run_step(*engine, state, c.data, crew)) return "failed step";
    return to_hex(state_root(state, program_id(c.program)).bytes);
}

/// State roots after the short run; a program whose rule changes has another one.
constexpr std::string_view kMlpRoot =
    "19ddbe9e32c838e20fd0b6c94b7ca66e9542e3388e835c459e05898abfd14f65";
constexpr std::string_view kCnnRoot =
    "a3eb976ac5e66101dbc24be06ac084893764bd7b4226ccee3baf86b8c05f9a84";
constexpr std::string_view kDiffusionRoot =
    "6958f45475b30dcb60a68b36816da4cc1df639ac2f1bd031b1731951bc2024e6";

/// The small gpt for 20 steps and the image programs for 2; with `steps`, all for so many, and gpt
/// in the demo's shape.
std::vector<Case> all_cases(uint32_t steps) {
    std::vector<Case> out;
    if (steps == 0) {
        out.push_back({"gpt", *make_gpt(small_options()), make_text(4000), 20,
                       std::string(kRootAfter20Steps)});
        out.push_back({"mlp", mlp_program(), shapes_data(), 2, std::string(kMlpRoot)});
        out.push_back({"cnn", cnn_program(), shapes_data(), 2, std::string(kCnnRoot)});
        out.push_back(
            {"diffusion", diffusion_program(), shapes_data(), 2, std::string(kDiffusionRoot)});
        return out;
    }
    GptOptions demo;
    demo.data_bytes = 200'000;
    demo.steps = std::max(demo.steps, steps);
    out.push_back({"gpt", *make_gpt(demo), make_text(demo.data_bytes), steps, ""});
    out.push_back({"mlp", mlp_program(steps), shapes_data(), steps, ""});
    out.push_back({"cnn", cnn_program(steps), shapes_data(), steps, ""});
    out.push_back({"diffusion", diffusion_program(steps), shapes_data(), steps, ""});
    return out;
}

int print_root(const std::string& program, uint32_t steps, std::string_view path,
               unsigned threads) {
    const auto* const choice = std::find_if(kCpuPaths.begin(), kCpuPaths.end(),
                                            [&](CpuPath p) { return to_text(p) == path; });
    const auto crew = node::mpi::join_crew();
    if (!crew || choice == kCpuPaths.end() || !cpu_has(*choice)) return 2;
    const auto backend = make_cpu_backend({*choice, threads});
    MatrixProgram made = matrix_program(program, steps);
    const Case c{program, std::move(made.program), std::move(made.data), steps, ""};
    const std::string root = root_on(*backend, c, crew->get());
    if (*crew == nullptr || (*crew)->rank() == 0) std::printf("%s\n", root.c_str());
    return root.size() == 64 ? 0 : 1;
}

/// Every operator on every path, also with values that are not finite: what a NaN looks like is up
/// to the architecture, and must not show.
int test_operators() {
    int differ = 0;
    for (const auto& backend : fast_backends()) {
        const auto passed = self_test(*backend);
        std::string failure = passed ? "" : passed.error();
        for (const OperatorCase& c : operator_cases())
            for (const uint32_t every : {5U, 400U})
                if (const auto same = check_extremes(*backend, with_extremes(c, every, every));
                    !same && failure.empty())
                    failure = same.error();
        differ += failure.empty() ? 0 : 1;
        std::printf("operators    %-10s %s\n", backend->name().c_str(),
                    failure.empty() ? "ok" : failure.c_str());
        std::fflush(stdout);
    }
    return differ == 0 ? 0 : 1;
}

}  // namespace

// usage: bits root PROGRAM STEPS PATH THREADS   (also under mpirun)
//        bits operators
//        bits [NAME [STEPS [BACKEND [PROGRAM]]]]
//   STEPS 0: the short runs; BACKEND: only that one ("all": every one but the reference); PROGRAM:
//   gpt, mlp, cnn or diffusion.
int main(int argc, char** argv) {
    if (argc == 6 && std::string_view(argv[1]) == "root")
        return print_root(argv[2], static_cast<uint32_t>(std::atoi(argv[3])), argv[4],
                          static_cast<unsigned>(std::atoi(argv[5])));
    if (argc == 2 && std::string_view(argv[1]) == "operators") return test_operators();
    const std::string label = argc > 1 ? argv[1] : "";
    const auto steps = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 0);
    const std::string only = argc > 3 ? argv[3] : "all", program = argc > 4 ? argv[4] : "";
    bool same = true;
    for (Case& c : all_cases(steps)) {
        if (!program.empty() && c.name != program) continue;
        auto backends = fast_backends();
        if (steps == 0 || only == "reference") backends.push_back(make_reference_backend());
        int number = 0;
        for (const auto& backend : backends) {
            const int threads = backend->name() == "reference" ? 1 : number++ % 2 + 1;
            if (only != "all" && backend->name() != only) continue;
            const std::string root = root_on(*backend, c);
            if (c.expected.empty()) c.expected = root;
            same = same && root == c.expected;
            std::printf("%-12s %-10s %-10s %d thread(s)  %s  %s\n", label.c_str(), c.name.c_str(),
                        backend->name().c_str(), threads, root.substr(0, 16).c_str(),
                        root == c.expected ? "ok" : "DIFFERS");
            std::fflush(stdout);
        }
    }
    return same ? 0 : 1;
}
