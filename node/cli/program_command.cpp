// SPDX-License-Identifier: Apache-2.0
// `trainyard program`: makes programs and tells what is in them.
#include <boost/json.hpp>

#include "core/hash.hpp"
#include "node/cli/programs.hpp"
#include "node/wallet/files.hpp"
#include "training/plan.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

int describe(const Output& out, const training::Program& program) {
    const auto plan = training::plan(program);
    if (!plan) return out.fail(training::to_text(plan.error()));
    const std::string id = to_hex0x(training::program_id(program).bytes);
    const bool fp32 = program.recipe == training::Recipe::fp32;
    if (out.json) {
        out.line(json::serialize(json::object{{"programId", id},
                                              {"recipe", fp32 ? "fp32" : "rmp-1"},
                                              {"parameters", plan->parameter_count},
                                              {"operators", program.nodes.size()},
                                              {"steps", program.run.steps},
                                              {"microBatches", program.run.micro_batches},
                                              {"sequences", program.run.sequences},
                                              {"segmentLength", program.run.segment_length},
                                              {"dataRoot", to_hex0x(program.data.root.bytes)},
                                              {"dataBytes", program.data.size_bytes},
                                              {"stateBytes", plan->state_bytes},
                                              {"arenaBytes", plan->arena_bytes},
                                              {"macsPerStep", plan->macs_per_step},
                                              {"tokensPerStep", plan->tokens_per_step}}));
        return kOk;
    }
    const auto mib = [](uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
    out.line("program     " + id);
    out.line("recipe      " + std::string(fp32 ? "fp32 (for comparison only)" : "rmp-1"));
    out.line("parameters  " + std::to_string(plan->parameter_count) + " in " +
             std::to_string(program.parameters.size()) + " tensors");
    out.line("run         " + std::to_string(program.run.steps) + " steps of " +
             std::to_string(program.run.micro_batches) + " x " +
             std::to_string(program.run.sequences) + " sequences, segments of " +
             std::to_string(program.run.segment_length));
    out.line("data        " + to_hex0x(program.data.root.bytes) + ", " +
             std::to_string(program.data.size_bytes) + " bytes");
    out.line("needs       " + mib(plan->state_bytes) + " state, " + mib(plan->arena_bytes) +
             " activations, " + std::to_string(plan->macs_per_step / 1'000'000) +
             " million int8 multiply-adds per step");
    return kOk;
}

}  // namespace

int run_program_new(const Output& out, const ProgramArgs& args) {
    const auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    const auto program = make_program(args.gpt, *data);
    if (!program) return out.fail(program.error());
    auto written = wallet::write_file(args.out, training::encode_program(*program));
    if (!written) return out.fail(written.error().text);
    out.say("wrote " + args.out + "; next: trainyard job submit --program " + args.out +
            " --data " + args.data);
    return describe(out, *program);
}

int run_program_inspect(const Output& out, const ProgramArgs& args) {
    const auto program = read_program(args.program);
    if (!program) return out.fail(program.error());
    return describe(out, *program);
}

}  // namespace trainyard::node::cli
