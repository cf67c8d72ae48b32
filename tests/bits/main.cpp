// SPDX-License-Identifier: Apache-2.0
// Trains the small program on every path and prints one table row per path with its state root.
#include <cstdio>
#include <string>

#include "tests/training/small_program.hpp"
#include "training/state_root.hpp"

namespace {

using namespace trainyard;  // a program of one page
using namespace trainyard::training;

std::string root_on(Backend& backend, const Program& program, const Bytes& text) {
    auto engine = Engine::make(program, backend);
    if (!engine) return "no engine";
    ModelState state = make_initial_state(program, seed_of(3));
    for (int t = 0; t < 20; ++t)
        if (!run_step(*engine, state, text)) return "failed step";
    return to_hex(state_root(state, program_id(program)).bytes);
}

}  // namespace

int main(int argc, char** argv) {
    const auto program = make_gpt(small_options());
    if (!program) return 2;
    const Bytes text = make_text(4000);
    auto backends = fast_backends();
    backends.push_back(make_reference_backend());
    bool same = true;
    int number = 0;
    for (const auto& backend : backends) {
        const std::string root = root_on(*backend, *program, text);
        const bool ok = root == kRootAfter20Steps;
        same = same && ok;
        std::printf("%-14s %-10s %d thread(s)  %s  %s\n", argc > 1 ? argv[1] : "",
                    backend->name().c_str(), backend->name() == "reference" ? 1 : number++ % 2 + 1,
                    root.substr(0, 16).c_str(), ok ? "ok" : "DIFFERS");
    }
    return same ? 0 : 1;
}
