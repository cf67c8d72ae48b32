// SPDX-License-Identifier: Apache-2.0
// Reading data and making programs.
#include "node/cli/programs.hpp"

#include <bit>
#include <filesystem>

#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"

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

Result<training::Program, std::string> make_program(const GptArgs& args, const Bytes& data) {
    training::GptOptions o;
    const auto set = [](uint32_t& to, uint32_t from) {
        if (from != 0) to = from;
    };
    set(o.layers, args.layers);
    set(o.width, args.width);
    set(o.heads, args.heads);
    set(o.sequence, args.sequence);
    set(o.steps, args.steps);
    set(o.micro_batches, args.micro_batches);
    set(o.sequences, args.sequences);
    set(o.segment_length, args.segment);
    if (args.learning_rate > 0) o.learning_rate = args.learning_rate;
    o.warmup = std::min(o.warmup, o.steps / 5 + 1);
    if (args.recipe != "rmp-1" && args.recipe != "fp32")
        return unexpected("recipe '" + args.recipe + "' is neither rmp-1 nor fp32");
    o.recipe = args.recipe == "fp32" ? training::Recipe::fp32 : training::Recipe::rmp1;
    o.data_root = wallet::blob_id(data);
    o.data_bytes = data.size();
    auto program = training::make_gpt(o);
    if (!program)
        return unexpected("the program is refused: " + training::to_text(program.error()));
    return std::move(*program);
}

Result<training::Program, std::string> read_program(const std::string& path) {
    const auto encoded = wallet::read_file(path, training::ProgramLimits::encoded_bytes_max);
    if (!encoded) return unexpected(encoded.error().text);
    auto program = training::decode_program(*encoded);
    if (!program) return unexpected("'" + path + "': " + training::to_text(program.error()));
    return std::move(*program);
}

Result<training::Program, std::string> choose_program(const std::string& path, const GptArgs& args,
                                                      const Bytes& data) {
    auto program = path.empty() ? make_program(args, data) : read_program(path);
    if (!program) return program;
    if (program->data.size_bytes != data.size() || program->data.root != wallet::blob_id(data))
        return unexpected("'" + path + "' was made for another data set; make it again with " +
                          "`trainyard program new gpt --data ...`");
    return program;
}

Result<float, std::string> held_out_loss(const training::Program& program,
                                         training::Backend& backend,
                                         const std::vector<training::Tensor>& w, BytesView data) {
    auto engine = training::Engine::make(program, backend);
    if (!engine) return unexpected(std::string(training::to_text(engine.error())));
    const auto bits = training::evaluate_held_out(*engine, w, data);
    if (!bits) return unexpected(std::string(training::to_text(bits.error())));
    return std::bit_cast<float>(*bits);
}

}  // namespace trainyard::node::cli
