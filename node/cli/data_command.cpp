// SPDX-License-Identifier: Apache-2.0
// `trainyard data`: makes data sets, checks them before anyone uploads them, counts what is inside.
#include <boost/json.hpp>

#include "node/cli/programs.hpp"
#include "node/data/ingest.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/dataset.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

const char* kind_name(training::DataKind kind) {
    switch (kind) {
        case training::DataKind::bytes:
            return "text";
        case training::DataKind::tokens_u16:
            return "tokens";
        default:
            return "images";
    }
}

json::array counts_of(const Bytes& blob, const training::DatasetInfo& info) {
    json::array out;
    if (info.kind == training::DataKind::images)
        for (const uint64_t n : training::count_classes(blob, info)) out.emplace_back(n);
    return out;
}

int describe(const Output& out, const Bytes& blob) {
    const auto info = training::inspect_dataset(blob);
    if (!info) return out.fail("the data set is refused: " + training::to_text(info.error()));
    const std::string root = to_hex0x(wallet::blob_id(blob).bytes);
    const json::array counts = counts_of(blob, *info);
    if (out.json) {
        out.line(json::serialize(json::object{{"kind", kind_name(info->kind)},
                                              {"root", root},
                                              {"bytes", blob.size()},
                                              {"elements", info->elements},
                                              {"records", info->records},
                                              {"classes", info->classes},
                                              {"height", info->height},
                                              {"width", info->width},
                                              {"channels", info->channels},
                                              {"perClass", counts}}));
        return kOk;
    }
    const bool images = info->kind == training::DataKind::images;
    out.line("data set    " + root);
    out.line("kind        " + std::string(kind_name(info->kind)) + ", " +
             std::to_string(blob.size()) + " bytes");
    if (images)
        out.line("images      " + std::to_string(info->elements) + " of " +
                 std::to_string(info->height) + " x " + std::to_string(info->width) + " x " +
                 std::to_string(info->channels) + " in " + std::to_string(info->classes) +
                 " classes: " + json::serialize(counts));
    else
        out.line("tokens      " + std::to_string(info->elements) + " in " +
                 std::to_string(info->records) + " documents, vocabulary of " +
                 std::to_string(info->classes));
    return kOk;
}

}  // namespace

int run_data_prepare(const Output& out, const DataArgs& args) {
    data::IngestOptions o;
    o.kind = args.kind, o.field = args.field, o.labels = args.labels;
    o.merges = args.merges, o.vocabulary = args.vocabulary, o.classes = args.classes;
    const auto made = data::ingest(args.path, o);
    if (!made) return out.fail(made.error());
    if (auto done = wallet::write_file(args.out, made->blob); !done)
        return out.fail(done.error().text);
    std::string next = "trainyard program new gpt --data " + args.out;
    if (!made->tokenizer.merges.empty()) {
        const std::string path = args.out + ".tokenizer";
        if (auto done = wallet::write_file(path, training::encode_tokenizer(made->tokenizer));
            !done)
            return out.fail(done.error().text);
        out.say("wrote " + path);
        next += " --tokenizer " + path;
    }
    for (size_t i = 0; i < made->class_names.size(); ++i)
        out.say("class " + std::to_string(i) + " is " + made->class_names[i]);
    if (args.kind == "images" || args.kind == "idx")
        next = "trainyard program new cnn --data " + args.out;
    out.say("wrote " + args.out + "; next: " + next + " --out my.program");
    return describe(out, made->blob);
}

int run_data_inspect(const Output& out, const DataArgs& args) {
    const auto blob = read_data(args.path);
    if (!blob) return out.fail(blob.error());
    return describe(out, *blob);
}

int run_data_shapes(const Output& out, const DataArgs& args) {
    const auto blob = training::make_image_dataset(training::make_shapes(args.count, args.seed), 4);
    if (!blob) return out.fail(training::to_text(blob.error()));
    if (auto done = wallet::write_file(args.out, *blob); !done) return out.fail(done.error().text);
    out.say("wrote " + args.out + "; next: trainyard program new diffusion --data " + args.out +
            " --out my.program");
    return describe(out, *blob);
}

}  // namespace trainyard::node::cli
