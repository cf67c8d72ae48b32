// SPDX-License-Identifier: Apache-2.0
// `trainyard program`: makes programs and tells what is in them.
#include <map>

#include <boost/json.hpp>

#include "core/hash.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/model_folder.hpp"
#include "node/cli/programs.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/dataset.hpp"
#include "training/finetune.hpp"
#include "training/graph.hpp"
#include "training/plan.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

/// How often each operator occurs, by name.
json::object operators_of(const training::Program& program) {
    std::map<std::string, uint64_t> counts;
    for (const auto& node : program.nodes) ++counts[std::string(training::find_op(node.op)->name)];
    json::object out;
    for (const auto& [name, count] : counts) out[name] = count;
    return out;
}

std::string loss_name(const training::Program& program) {
    return std::string(training::find_op(program.nodes.back().op)->name);
}

int describe(const Output& out, const training::Program& program) {
    const auto plan = training::plan(program);
    if (!plan) return out.fail(training::to_text(plan.error()));
    const std::string id = to_hex0x(training::program_id(program).bytes);
    const bool fp32 = program.recipe == training::Recipe::fp32;
    if (out.json) {
        out.line(json::serialize(json::object{{"programId", id},
                                              {"recipe", fp32 ? "fp32" : "rmp-1"},
                                              {"parameters", plan->parameter_count},
                                              {"operators", operators_of(program)},
                                              {"loss", loss_name(program)},
                                              {"vocabulary", program.tokenizer.merges.size() + 256},
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
    std::string operators;
    for (const auto& [name, count] : operators_of(program))
        operators +=
            (operators.empty() ? "" : ", ") + std::string(name) + " " + json::serialize(count);
    out.line("operators   " + operators);
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
    if (auto why = forgotten_tokenizer(args.data, *data, args.gpt); !why.empty())
        return out.fail(why);
    const auto program = make_program(args.gpt, *data);
    if (!program) return out.fail(program.error());
    auto written = wallet::write_file(args.out, training::encode_program(*program));
    if (!written) return out.fail(written.error().text);
    const std::string why = beyond_market(*program);
    out.say("wrote " + args.out + "; next: trainyard train --program " + args.out + " --data " +
            args.data +
            (why.empty() ? ", or trainyard job submit with the same options"
                         : "; as a job it would be refused: " + why));
    return describe(out, *program);
}

int run_program_finetune(const Output& out, const ProgramArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    const auto run = run_options(args.gpt);
    if (!run) return out.fail(run.error());
    training::FinetuneOptions o;
    o.rank = args.rank, o.alpha = args.alpha, o.sequence = args.gpt.sequence, o.run = *run;
    auto made = training::make_finetune(model->program, model->w, o);
    if (!made) return out.fail(training::to_text(made.error()));
    const auto before = training::inspect_dataset(*data);
    if (!before) return out.fail("the data set is refused: " + training::to_text(before.error()));
    const auto is_images = [](training::DataKind kind) {
        return kind == training::DataKind::images;
    };
    if (is_images(before->kind) != is_images(model->program.data.kind))
        return out.fail("the model in '" + args.model + "' learned from " +
                        (is_images(before->kind) ? "text, and the data set holds images"
                                                 : "images, and the data set holds text"));
    if (before->kind == training::DataKind::bytes)  // a base section needs a header: text as tokens
        data = training::make_token_dataset(training::encode_text(model->program.tokenizer, *data),
                                            {0}, training::vocabulary_of(model->program.tokenizer));
    if (before->base_offset != 0)
        return out.fail("the data set already carries weights; take the one it was made from");
    const Bytes blob = training::with_base(std::move(*data), made->base);
    const auto info = training::inspect_dataset(blob);
    if (!info) return out.fail(training::to_text(info.error()));
    const auto program = training::bind_data(
        std::move(*made), training::data_spec_of(*info, wallet::blob_id(blob), blob.size()), o);
    if (!program) return out.fail("the program is refused: " + training::to_text(program.error()));
    for (const auto& [path, content] :
         {std::pair{args.data_out, blob}, std::pair{args.out, training::encode_program(*program)}})
        if (auto done = wallet::write_file(path, content); !done)
            return out.fail(done.error().text);
    out.say("wrote " + args.out + " and " + args.data_out + "; next: trainyard train --program " +
            args.out + " --data " + args.data_out);
    return describe(out, *program);
}

int run_program_inspect(const Output& out, const ProgramArgs& args) {
    const auto program = read_program(args.program);
    if (!program) return out.fail(program.error());
    return describe(out, *program);
}

}  // namespace trainyard::node::cli
