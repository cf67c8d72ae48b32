// SPDX-License-Identifier: Apache-2.0
// Reads the foreign files, bounded, and writes the model folder that `program finetune` starts
// from.
#include "node/cli/foreign_command.hpp"

#include <boost/json.hpp>

#include "node/cli/model_folder.hpp"
#include "node/imports/imported.hpp"
#include "node/wallet/files.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {
namespace {

constexpr size_t kConfigBytesMax = 1U << 20;
constexpr size_t kModelBytesMax = size_t{16} << 30;

Result<imports::Imported, std::string> read_foreign(const ForeignArgs& args) {
    if (!args.onnx.empty()) {
        const auto file = wallet::read_file(args.onnx, kModelBytesMax);
        if (!file) return unexpected(file.error().text);
        auto made = imports::import_onnx(*file);
        if (!made) return unexpected("'" + args.onnx + "': " + made.error());
        return made;
    }
    const auto config = wallet::read_text(args.hugging_face + "/config.json", kConfigBytesMax);
    if (!config) return unexpected(config.error().text);
    const auto model = wallet::read_file(args.hugging_face + "/model.safetensors", kModelBytesMax);
    if (!model) return unexpected(model.error().text);
    auto made = imports::import_hugging_face(*config, *model, args.sequence);
    if (!made) return unexpected("'" + args.hugging_face + "': " + made.error());
    return made;
}

}  // namespace

int run_program_import(const Output& out, const ForeignArgs& args) {
    if (args.onnx.empty() == args.hugging_face.empty())
        return out.fail("one of --hf and --onnx is due"), kUsage;
    auto made = read_foreign(args);
    if (!made) return out.fail(made.error());
    auto state = training::make_initial_state(made->program, Hash{});
    state.w = std::move(made->w);
    ModelOrigin origin;
    origin.name = "imported-model";
    const auto held = hold_model_folder(args.out);
    if (!held) return out.fail(held.error());
    const Hash root = training::state_root(state, training::program_id(made->program));
    const auto is_same = [&root](const ModelProof& old) { return old.state_root == root; };
    if (const auto why = why_not_replaced(args.out, is_same); !why.empty()) return out.fail(why);
    auto done = write_model_folder(args.out, made->program, state, origin, {});
    if (!done) return out.fail(done.error());
    uint64_t parameters = 0;
    for (const auto& p : made->program.parameters) parameters += p.shape.count();
    const bool images = made->program.data.kind == training::DataKind::images;
    out.say("next: trainyard program finetune --model " + args.out + " --data " +
            (images ? "images.tyd" : "text.txt") + " --out my.program --data-out my.tyd");
    if (out.json)
        out.line(
            boost::json::serialize(boost::json::object{{"out", args.out},
                                                       {"parameters", parameters},
                                                       {"operators", made->program.nodes.size()},
                                                       {"kind", images ? "images" : "text"}}));
    else
        out.line("wrote " + args.out + ": " + std::to_string(parameters) + " parameters, " +
                 std::to_string(made->program.nodes.size()) + " operators");
    return kOk;
}

}  // namespace trainyard::node::cli
