// SPDX-License-Identifier: Apache-2.0
// Trains the small program on every path and prints one table row per path with its state root.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/training/small_program.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;

/// A program with the text it is trained on and the state root that it must reach.
struct Case {
    Program program;
    Bytes text;
    int steps = 20;
    std::string expected;  ///< empty: that of the first row
};

std::string root_on(Backend& backend, const Case& c) {
    auto engine = Engine::make(c.program, backend);
    if (!engine) return "no engine";
    ModelState state = make_initial_state(c.program, seed_of(3));
    for (int t = 0; t < c.steps; ++t)
        if (!run_step(*engine, state, c.text)) return "failed step";
    return to_hex(state_root(state, program_id(c.program)).bytes);
}

/// The small program, or with STEPS the demo's shape for so many steps.
std::optional<Case> case_of(int argc, char** argv) {
    const int steps = argc > 2 ? std::atoi(argv[2]) : 0;
    GptOptions options = small_options();
    Case c{{}, make_text(4000), 20, std::string(kRootAfter20Steps)};
    if (steps > 0) {
        options = GptOptions{};
        c.text = make_text(options.data_bytes = 200'000);
        c.steps = steps, c.expected.clear();
    }
    auto program = make_gpt(options);
    if (!program) return std::nullopt;
    c.program = std::move(*program);
    return c;
}

/// Is this row wanted? With a name after STEPS, only the backend of that name.
bool is_wanted(int argc, char** argv, const Backend& backend) {
    return argc > 3 ? backend.name() == argv[3] : argc <= 2 || backend.name() != "reference";
}

}  // namespace

// usage: bits [NAME [STEPS [BACKEND]]]
int main(int argc, char** argv) {
    auto c = case_of(argc, argv);
    if (!c) return 2;
    auto backends = fast_backends();
    backends.push_back(make_reference_backend());
    bool same = true;
    int number = 0;
    for (const auto& backend : backends) {
        const int threads = backend->name() == "reference" ? 1 : number++ % 2 + 1;
        if (!is_wanted(argc, argv, *backend)) continue;
        const std::string root = root_on(*backend, *c);
        if (c->expected.empty()) c->expected = root;
        const bool ok = root == c->expected;
        same = same && ok;
        std::printf("%-14s %-12s %d thread(s)  %s  %s\n", argc > 1 ? argv[1] : "",
                    backend->name().c_str(), threads, root.substr(0, 16).c_str(),
                    ok ? "ok" : "DIFFERS");
        std::fflush(stdout);
    }
    return same ? 0 : 1;
}
