// SPDX-License-Identifier: Apache-2.0
// `trainyard train`, `eval` and `sample`: a run without a chain, its held-out loss, and text or
// images from a model.
#include <algorithm>
#include <bit>
#include <tuple>

#include <boost/json.hpp>

#include "core/utf8.hpp"
#include "node/cli/model_folder.hpp"
#include "node/cli/programs.hpp"
#include "node/cli/train_run.hpp"
#include "node/data/png.hpp"
#include "node/mpi/crew.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/image_sample.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

std::unique_ptr<training::Backend> backend_for(const training::Program& program,
                                               const verify::BackendOptions& options) {
    if (program.recipe == training::Recipe::fp32)
        return training::make_fp32_backend(options.threads);
    return verify::make_backend(options);
}

}  // namespace

int run_train(const Output& out, const TrainArgs& args) {
    if (auto why = flags_without_effect(args.program, args.gpt); !why.empty())
        return out.fail(why), kUsage;
    auto crew = mpi::join_crew();
    if (!crew) return out.fail(crew.error());
    return run_training(out, args, {backend_for, std::move(*crew)});
}

int run_eval(const Output& out, const EvalArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    const auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    const training::Program& program = model->program;
    if (program.data.size_bytes != data->size() || program.data.root != wallet::blob_id(*data))
        return out.fail("the model was trained on another data set than '" + args.data + "'");
    if (program.data.held_out == 0)
        return out.fail("the data set is too small: no record of it was held out from training");
    const auto backend = backend_for(program, {args.threads, !args.no_cuda});
    auto engine = training::Engine::make(program, *backend, *data);
    if (!engine) return out.fail(training::to_text(engine.error()));
    const auto result = training::evaluate(*engine, model->w, *data);
    if (!result) return out.fail(training::to_text(result.error()));
    const float loss = std::bit_cast<float>(result->loss_bits);
    const double right = static_cast<double>(result->correct) / static_cast<double>(result->rows);
    const bool classes = program.nodes.back().op == training::Op::cross_entropy;
    if (out.json) {
        json::object line{{"heldOutLoss", loss}, {"rows", result->rows}};
        if (classes) line["accuracy"] = right;
        out.line(json::serialize(line));
        return kOk;
    }
    out.line("held-out loss " + std::to_string(loss) + " over " + std::to_string(result->rows) +
             (classes ? " predictions, " + std::to_string(result->correct) + " right (" +
                            std::to_string(100.0 * right) + " %)"
                      : " positions"));
    return kOk;
}

namespace {

std::string why_no_images(const training::Program& program, training::EngineError error) {
    if (error != training::EngineError::wrong_shape) return std::string(training::to_text(error));
    const bool draws =
        std::any_of(program.nodes.begin(), program.nodes.end(),
                    [](const auto& node) { return node.op == training::Op::diffuse; });
    return draws
               ? "--count is 1 to 4096, and --steps 2 to the program's --timesteps"
               : "the model draws no images: it is not of the template diffusion; `trainyard eval` "
                 "measures it";
}

int sample_image_file(const Output& out, const SampleArgs& args, const ModelFolder& model,
                      training::Backend& backend) {
    training::ImageSampleOptions o;
    o.count = args.count, o.steps = args.steps, o.seed = args.seed;
    std::tie(o.height, o.width) = image_sides(model.program);
    const auto images = training::sample_images(model.program, backend, model.w, o);
    if (!images) return out.fail(why_no_images(model.program, images.error()));
    uint32_t columns = 1;
    while (columns * columns < o.count) ++columns;
    const auto file = data::write_png(data::grid_of(*images, columns, args.scale));
    if (!file) return out.fail(file.error());
    const std::string path = args.out.empty() ? "samples.png" : args.out;
    if (auto done = wallet::write_file(path, *file); !done) return out.fail(done.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"images", images->size()}, {"out", path}}));
    else
        out.line("wrote " + std::to_string(images->size()) + " images to " + path);
    return kOk;
}

}  // namespace

int run_sample(const Output& out, const SampleArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    const auto backend = backend_for(model->program, {args.threads});
    if (model->program.data.kind == training::DataKind::images)
        return sample_image_file(out, args, *model, *backend);
    training::SampleOptions options;
    options.count = args.count;
    options.temperature = static_cast<float>(args.temperature);
    options.seed = args.seed;
    options.constants = model->constants;
    const auto text =
        training::sample(model->program, *backend, model->w, as_bytes(args.prompt), options);
    if (!text) return out.fail(training::to_text(text.error()));
    const std::string words = printable(*text, LineEnds::kept);
    json::object object{{"prompt", args.prompt}, {"text", words}};
    if (!args.out.empty()) {
        const auto done = wallet::write_text(args.out, args.prompt + words + "\n");
        if (!done) return out.fail(done.error().text);
        object["out"] = args.out;
    }
    if (out.json)
        out.line(json::serialize(object));
    else
        out.line(args.out.empty() ? args.prompt + words : "wrote the text to " + args.out);
    return kOk;
}

}  // namespace trainyard::node::cli
