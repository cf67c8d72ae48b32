// SPDX-License-Identifier: Apache-2.0
// `trainyard train`, `eval` and `sample`: a run without a chain, its held-out loss, and text or
// images from a model.
#include <bit>
#include <set>
#include <tuple>

#include <boost/json.hpp>

#include "node/cli/model_folder.hpp"
#include "node/cli/programs.hpp"
#include "node/data/png.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/graph.hpp"
#include "training/image_sample.hpp"
#include "training/plan.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

std::unique_ptr<training::Backend> backend_for(const training::Program& program, uint32_t threads,
                                               bool allow_cuda) {
    if (program.recipe == training::Recipe::fp32) return training::make_fp32_backend(threads);
    return verify::make_backend({threads, allow_cuda});
}

/// Says which operators of the program the device leaves to the CPU.
void say_host_operators(const Output& out, const training::Program& program,
                        const training::Backend& backend) {
    std::set<std::string> names;
    for (const auto& node : program.nodes)
        if (!backend.has(node.op)) names.insert(std::string(training::find_op(node.op)->name));
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    if (!names.empty()) out.say(backend.name() + " leaves to the CPU: " + text);
}

/// Shows steps as a bar or as JSON lines.
class TrainReport {
public:
    TrainReport(const Output& out, const training::Plan& plan, uint32_t steps)
        : out_(out), plan_(plan), line_(!out.json && !out.quiet), steps_(steps) {}

    void on_step(uint32_t step, uint32_t loss_bits) {
        const float loss = std::bit_cast<float>(loss_bits);
        points.push_back({step, loss});
        rate_.on_step(step, steady_ms());
        const double per_s = rate_.steps_per_s();
        Progress p;
        p.step = step;
        p.steps = steps_;
        p.loss = loss;
        p.tokens_per_s = per_s * static_cast<double>(plan_.tokens_per_step);
        p.tops = per_s * 2e-12 * static_cast<double>(plan_.macs_per_step);
        p.seconds_left = per_s > 0 ? static_cast<uint64_t>((steps_ - step) / per_s) : 0;
        if (out_.json)
            out_.line(json::serialize(json::object{{"step", step},
                                                   {"loss", loss},
                                                   {"tokensPerS", p.tokens_per_s},
                                                   {"topPerS", p.tops}}));
        else if (!out_.quiet)
            line_.show(progress_text(p));
    }
    void end() { line_.clear(); }

    std::vector<training::LossPoint> points;

private:
    const Output& out_;
    const training::Plan& plan_;
    ProgressLine line_;
    RateMeter rate_;
    uint32_t steps_;
};

}  // namespace

int run_train(const Output& out, const TrainArgs& args) {
    const auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    const auto program = choose_program(args.program, args.gpt, *data);
    if (!program) return out.fail(program.error());
    const auto seed = args.seed.empty() ? Hash{} : fixed_from_hex<Hash>(args.seed);
    if (!seed) return out.fail("--seed must be 32 bytes in hexadecimal");
    const auto plan = training::plan(*program);
    if (!plan) return out.fail(training::to_text(plan.error()));
    const auto backend = backend_for(*program, args.threads, !args.no_cuda);
    auto engine = training::Engine::make(*program, *backend, *data);
    if (!engine) return out.fail(training::to_text(engine.error()));
    out.say("training on " + backend->name());
    say_host_operators(out, *program, *backend);
    auto state = training::make_initial_state(*program, *seed, *data);
    TrainReport report(out, *plan, program->run.steps);
    while (state.step < program->run.steps) {
        const auto step = training::run_step(*engine, state, *data);
        if (!step)
            return out.fail(std::string(training::to_text(step.error())) + " at step " +
                            std::to_string(state.step));
        report.on_step(static_cast<uint32_t>(state.step), step->loss_bits);
    }
    report.end();
    if (program->data.held_out == 0) return out.fail("the program holds no records out");
    const auto held_out = held_out_loss(*program, *backend, state.w, *data);
    if (!held_out) return out.fail(held_out.error());
    auto constants = training::program_constants(*program, *data);
    if (!constants) return out.fail(training::to_text(constants.error()));
    ModelOrigin origin;
    origin.constants = std::move(*constants);
    origin.train_loss = report.points.back().loss;
    origin.held_out_loss = *held_out;
    if (auto done = write_model_folder(args.out, *program, state, origin); !done)
        return out.fail(done.error());
    auto plot = wallet::write_text(args.out + "/loss.svg",
                                   training::loss_svg(report.points, "Training loss"));
    if (!plot) return out.fail(plot.error().text);
    const auto root = to_hex0x(training::state_root(state, training::program_id(*program)).bytes);
    if (out.json)
        out.line(json::serialize(json::object{{"stateRoot", root},
                                              {"loss", origin.train_loss},
                                              {"heldOutLoss", *held_out},
                                              {"out", args.out}}));
    else
        out.line("state root " + root + "\nloss " + std::to_string(origin.train_loss) +
                 ", held out " + std::to_string(*held_out) + "\nwrote " + args.out);
    return kOk;
}

int run_eval(const Output& out, const EvalArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    const auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    const training::Program& program = model->program;
    if (program.data.size_bytes != data->size() || program.data.root != wallet::blob_id(*data))
        return out.fail("the model was trained on another data set than '" + args.data + "'");
    const auto backend = backend_for(program, args.threads, !args.no_cuda);
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

int sample_image_file(const Output& out, const SampleArgs& args, const ModelFolder& model,
                      training::Backend& backend) {
    training::ImageSampleOptions o;
    o.count = args.count, o.steps = args.steps, o.seed = args.seed;
    std::tie(o.height, o.width) = image_sides(model.program);
    const auto images = training::sample_images(model.program, backend, model.w, o);
    if (!images)
        return out.fail(std::string(training::to_text(images.error())) +
                        "; images come from programs of the template diffusion");
    uint32_t columns = 1;
    while (columns * columns < o.count) ++columns;
    const auto file = data::write_png(data::grid_of(*images, columns, args.scale));
    if (!file) return out.fail(file.error());
    if (auto done = wallet::write_file(args.out, *file); !done) return out.fail(done.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"images", images->size()}, {"out", args.out}}));
    else
        out.line("wrote " + std::to_string(images->size()) + " images to " + args.out);
    return kOk;
}

}  // namespace

int run_sample(const Output& out, const SampleArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    const auto backend = backend_for(model->program, args.threads, true);
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
    const std::string words = printable(*text);
    if (out.json)
        out.line(json::serialize(json::object{{"prompt", args.prompt}, {"text", words}}));
    else
        out.line(args.prompt + words);
    return kOk;
}

}  // namespace trainyard::node::cli
