// SPDX-License-Identifier: Apache-2.0
// Reading data and making programs.
#include "node/cli/programs.hpp"

#include <bit>
#include <filesystem>

#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/dataset.hpp"
#include "training/templates.hpp"

namespace trainyard::node::cli {

Result<Bytes, std::string> read_data(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    Bytes out;
    if (!fs::is_directory(path, ignored)) {
        auto content = wallet::read_file(path, kDataBytesMax);
        if (!content) return unexpected(content.error().text);
        out = std::move(*content);
    } else {
        for (const auto& name : wallet::list_folder(path)) {
            const auto file = path + "/" + name;
            // Links are left out: they would bring the same text twice.
            if (fs::is_symlink(file, ignored) || !fs::is_regular_file(file, ignored)) continue;
            const auto content = wallet::read_file(file, kDataBytesMax - out.size());
            if (!content) return unexpected(content.error().text);
            append(out, *content);
        }
    }
    if (out.empty()) return unexpected("'" + path + "' holds no data");
    return out;
}

namespace {

void set(uint32_t& to, uint32_t from) {
    if (from != 0) to = from;
}

std::string refusal(const training::ProgramFault& fault) {
    return "the program is refused: " + training::to_text(fault);
}

/// `fallback` is the template's usual rate.
training::RunOptions run_of(const TemplateArgs& args, double fallback) {
    training::RunOptions run;
    set(run.steps, args.steps);
    set(run.micro_batches, args.micro_batches);
    set(run.sequences, args.sequences);
    set(run.segment_length, args.segment);
    run.learning_rate = args.learning_rate > 0 ? args.learning_rate : fallback;
    run.warmup = std::min(run.warmup, run.steps / 5 + 1);
    if (args.optimiser == "sgd") run.optimiser = training::OptimiserKind::sgd;
    if (args.recipe == "fp32") run.recipe = training::Recipe::fp32;
    return run;
}

Result<training::Program, std::string> make_text_program(const TemplateArgs& args,
                                                         const training::DataSpec& data,
                                                         uint32_t vocabulary) {
    training::GptOptions o;
    set(o.layers, args.layers);
    set(o.width, args.width);
    set(o.heads, args.heads);
    set(o.sequence, args.sequence);
    const auto run = run_of(args, o.learning_rate);
    o.steps = run.steps, o.micro_batches = run.micro_batches, o.sequences = run.sequences;
    o.segment_length = run.segment_length, o.warmup = run.warmup;
    o.learning_rate = run.learning_rate, o.recipe = run.recipe;
    o.data = data;
    o.vocabulary = vocabulary;
    if (!args.tokenizer.empty()) {
        auto tokenizer = read_tokenizer(args.tokenizer);
        if (!tokenizer) return unexpected(tokenizer.error());
        o.tokenizer = std::move(*tokenizer);
        if (training::vocabulary_of(o.tokenizer) != vocabulary)
            return unexpected("the tokenizer has " +
                              std::to_string(training::vocabulary_of(o.tokenizer)) +
                              " tokens, the data set " + std::to_string(vocabulary));
    }
    auto program = training::make_gpt(o);
    if (!program) return unexpected(refusal(program.error()));
    return std::move(*program);
}

Result<training::Program, std::string> make_image_program(const TemplateArgs& args,
                                                          const training::DatasetInfo& info,
                                                          const training::DataSpec& data) {
    const training::ImageOptions image{info.height, info.width, info.classes, data,
                                       run_of(args, 3e-3)};
    const auto made = [&] {
        if (args.name == "mlp") {
            training::MlpOptions o;
            o.image = image;
            set(o.layers, args.layers);
            set(o.hidden, args.hidden);
            return training::make_mlp(o);
        }
        if (args.name == "cnn") {
            training::CnnOptions o;
            o.image = image;
            set(o.blocks, args.blocks);
            set(o.channels, args.channels);
            return training::make_cnn(o);
        }
        training::DiffusionOptions o;
        o.image = image;
        set(o.channels, args.channels);
        set(o.timesteps, args.timesteps);
        return training::make_diffusion(o);
    }();
    if (!made) return unexpected(refusal(made.error()));
    return *made;
}

}  // namespace

Result<training::RunOptions, std::string> run_options(const TemplateArgs& args) {
    if (args.recipe != "rmp-1" && args.recipe != "fp32")
        return unexpected("recipe '" + args.recipe + "' is neither rmp-1 nor fp32");
    if (args.optimiser != "adamw" && args.optimiser != "sgd")
        return unexpected("optimiser '" + args.optimiser + "' is neither adamw nor sgd");
    return run_of(args, 1e-3);
}

Result<training::Tokenizer, std::string> read_tokenizer(const std::string& path) {
    const auto file = wallet::read_file(path, size_t{4} * training::ProgramLimits::merges_max + 4);
    if (!file) return unexpected(file.error().text);
    auto tokenizer = training::decode_tokenizer(*file);
    if (!tokenizer) return unexpected("'" + path + "' is no tokenizer of `data prepare --merges`");
    return std::move(*tokenizer);
}

std::pair<uint32_t, uint32_t> image_sides(const training::Program& program) {
    const uint32_t positions = program.data.sequence;
    for (const training::Node& node : program.nodes)
        if (node.op == training::Op::im2col && node.attributes[0] * node.attributes[1] == positions)
            return {node.attributes[0], node.attributes[1]};
    uint32_t side = 1;
    while ((side + 1) * (side + 1) <= positions) ++side;
    if (side * side == positions) return {side, side};
    return {1, positions};
}

Result<training::Program, std::string> make_program(const TemplateArgs& args, const Bytes& data) {
    if (auto fine = run_options(args); !fine) return unexpected(fine.error());
    const auto info = training::inspect_dataset(data);
    if (!info) return unexpected("the data set is refused: " + training::to_text(info.error()));
    const auto spec = training::data_spec_of(*info, wallet::blob_id(data), data.size());
    const bool images = info->kind == training::DataKind::images;
    if (args.name == "gpt") {
        if (images) return unexpected("the template gpt needs text, and the data holds images");
        return make_text_program(args, spec, info->classes);
    }
    if (args.name != "mlp" && args.name != "cnn" && args.name != "diffusion")
        return unexpected("template '" + args.name + "' is none of gpt, mlp, cnn, diffusion");
    if (!images)
        return unexpected("the template " + args.name +
                          " needs images: make a data set of them with `trainyard data prepare "
                          "--kind images` or `trainyard data shapes`");
    return make_image_program(args, *info, spec);
}

Result<training::Program, std::string> read_program(const std::string& path) {
    const auto encoded = wallet::read_file(path, training::ProgramLimits::encoded_bytes_max);
    if (!encoded) return unexpected(encoded.error().text);
    auto program = training::decode_program(*encoded);
    if (!program) return unexpected("'" + path + "': " + training::to_text(program.error()));
    return std::move(*program);
}

std::string flags_without_effect(const std::string& program, const TemplateArgs& args) {
    if (program.empty() || args == TemplateArgs{}) return "";
    return "'" + program +
           "' says itself what is trained and for how long: leave out --program, or the flags of "
           "the template (--layers to --tokenizer, --steps to --recipe)";
}

std::string forgotten_tokenizer(const std::string& data_path, const Bytes& data,
                                const TemplateArgs& args) {
    const std::string path = data_path + ".tokenizer";
    if (args.name != "gpt" || !args.tokenizer.empty() || !wallet::file_exists(path)) return "";
    const auto info = training::inspect_dataset(data);
    if (!info || info->kind != training::DataKind::tokens_u16) return "";
    return "'" + data_path +
           "' was made with a tokenizer, without which the model can neither read " +
           "nor write text: add --tokenizer " + path;
}

Result<training::Program, std::string> choose_program(const std::string& path,
                                                      const TemplateArgs& args, const Bytes& data) {
    auto program = path.empty() ? make_program(args, data) : read_program(path);
    if (!program) return program;
    if (program->data.size_bytes != data.size() || program->data.root != wallet::blob_id(data))
        return unexpected("'" + path + "' was made for another data set; make it again " +
                          "from this one (`trainyard program new --help`)");
    return program;
}

Result<std::optional<float>, std::string> held_out_loss(const training::Program& program,
                                                        training::Backend& backend,
                                                        const std::vector<training::Tensor>& w,
                                                        BytesView data) {
    if (program.data.held_out == 0) return std::optional<float>();
    auto engine = training::Engine::make(program, backend, data);
    if (!engine) return unexpected(std::string(training::to_text(engine.error())));
    const auto bits = training::evaluate_held_out(*engine, w, data);
    if (!bits) return unexpected(std::string(training::to_text(bits.error())));
    return std::optional(std::bit_cast<float>(*bits));
}

std::string held_out_words(const std::optional<float>& loss) {
    return loss ? ", held out " + std::to_string(*loss) : "";
}

boost::json::value held_out_json(const std::optional<float>& loss) {
    return loss ? boost::json::value(*loss) : boost::json::value(nullptr);
}

}  // namespace trainyard::node::cli
