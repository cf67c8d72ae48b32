// SPDX-License-Identifier: Apache-2.0
// From the data to the model: checkpoints, the way back to them, and the report.
#include "node/cli/train_run.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <filesystem>
#include <fstream>

#include <boost/json.hpp>

#include "cuda/linked_crew.hpp"
#include "node/cli/machine.hpp"
#include "node/cli/model_folder.hpp"
#include "node/cli/programs.hpp"
#include "node/mpi/crew.hpp"
#include "node/runtime/process.hpp"
#include "node/wallet/files.hpp"
#include "training/checkpoint.hpp"
#include "training/graph.hpp"
#include "training/live_state.hpp"
#include "training/plan.hpp"
#include "training/repeat.hpp"
#include "training/report.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

Result<training::CpuPath, std::string> choose_path(const std::string& name) {
    const auto path = training::cpu_path_of(name);
    if (path && training::cpu_has(*path)) return *path;
    std::string text = "this machine has no CPU path '" + name + "'; it has";
    for (const training::CpuPath other : training::kCpuPaths)
        if (training::cpu_has(other)) text.append(" ").append(training::to_text(other));
    return unexpected(std::move(text));
}

constexpr size_t kMiB = size_t{1} << 20;

/// A line of /proc/self/status in bytes; 0 where there is none.
uint64_t own_memory(std::string_view field) {
    const auto text = wallet::read_text("/proc/self/status", kMiB);
    if (!text) return 0;
    const auto at = text->find(field);
    return at == std::string::npos ? 0 : std::stoull(text->substr(at + field.size())) * 1024;
}

/// Large buffers are mapped each for itself and go back when freed: what the self-test took, or a
/// buffer that was replaced by a larger one, leaves no holes that count as memory in use.
void map_large_buffers() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);  // glibc would raise it with each that is freed
#endif
}

/// The back end's self-test, which is over, counts neither in the forecast nor in the peak.
void forget_self_test() {
#if defined(__GLIBC__)
    malloc_trim(0);
    std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts anew, where the kernel allows
#endif
}

std::string rough_seconds(double seconds) {
    if (seconds < 1) return fixed_text(1000 * seconds, seconds < 0.01 ? 2 : 0) + " ms";
    if (seconds < 10) return fixed_text(seconds, 1) + " s";
    return seconds_text(static_cast<uint64_t>(seconds));
}

volatile std::sig_atomic_t stop_flag = 0;

/// The first Ctrl-C, or the end of its terminal, ends a run after its step, the second at once.
void stop_after_step() {
    runtime::catch_stop_signals([](int) { stop_flag = 1; }, static_cast<int>(SA_RESETHAND));
}

/// Shows steps as a bar or as JSON lines.
class TrainReport {
public:
    TrainReport(const Output& out, const training::Plan& plan, uint32_t steps)
        : out_(out), plan_(plan), line_(out), steps_(steps) {}

    void on_step(uint32_t step, uint32_t loss_bits) {
        const float loss = std::bit_cast<float>(loss_bits);
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
        else
            line_.show(progress_text(p));
    }
    void end() { line_.clear(); }

private:
    const Output& out_;
    const training::Plan& plan_;
    ProgressLine line_;
    RateMeter rate_;
    uint32_t steps_;
};

/// One run of `trainyard train` in one process of perhaps several.
class TrainRun {
public:
    TrainRun(const Output& out, const TrainArgs& args, TrainParts parts)
        : out_(out),
          args_(args),
          make_backend_(std::move(parts.make_backend)),
          crew_(std::move(parts.crew)) {}

    int run() {
        if (!is_first()) out_.quiet = true;
        if (auto ready = prepare(); !ready) return fail(ready.error());
        if (args_.dry_run) return describe();
        if (is_first()) {  // now rather than after hours of training
            auto held = hold_model_folder(args_.out);
            if (!held) return fail_alone(held.error());
            folder_ = std::move(*held);
            remove_half_written();
            if (const auto why = why_no_room_for_run(); !why.empty()) return fail_alone(why);
            if (wallet::file_exists(args_.out + "/model.safetensors"))
                out_.say("the model in '" + args_.out + "' is replaced when this run ends");
        }
        if (!crew_) stop_after_step();
        if (auto resumed = resume(); !resumed) return fail(resumed.error());
        if (auto done = train(); !done)
            return alone_ ? fail_alone(done.error()) : fail(done.error());
        if (run_.state.step < program_.run.steps) return stopped();
        if (!is_first()) return kOk;
        if (auto done = finish(); !done) return fail(done.error());
        return kOk;
    }

private:
    [[nodiscard]] bool is_first() const { return !crew_ || crew_->rank() == 0; }
    int fail(const std::string& text) const { return is_first() ? out_.fail(text) : kFailed; }
    /// What the other processes know nothing of: they would wait for this one for ever.
    int fail_alone(const std::string& text) const {
        if (!crew_) return out_.fail(text);
        static_cast<void>(out_.fail("process " + std::to_string(crew_->rank()) + ": " + text));
        mpi::end_crew(kFailed);
    }
    [[nodiscard]] std::string checkpoint_path() const { return args_.out + "/checkpoint"; }

    /// Checkpoints that a killed run was writing, each as large as a whole one.
    void remove_half_written() const {
        for (const std::string& name : wallet::list_folder(args_.out))
            if (name.starts_with("checkpoint.tmp") || name.starts_with("model.safetensors.tmp"))
                wallet::remove_file(args_.out + "/" + name);
    }

    /// The model is written at the end; until then a checkpoint, the new one beside the old one.
    [[nodiscard]] std::string why_no_room_for_run() const {
        if (!saves()) return why_no_room(args_.out, sizeof(float) * plan_.parameter_count);
        std::error_code absent;
        const auto there = std::filesystem::file_size(checkpoint_path(), absent);
        const auto why = why_no_room(args_.out, 2 * training::checkpoint_bytes_max(program_),
                                     absent ? 0 : there);
        return why.empty() ? "" : why + "; --checkpoint-every 0 keeps no checkpoints";
    }

    Result<Done, std::string> prepare() {
        auto data = read_data(args_.data);
        if (!data) return unexpected(data.error());
        data_ = std::move(*data);
        if (auto why = forgotten_tokenizer(args_.data, data_, args_.gpt);
            args_.program.empty() && !why.empty())
            return unexpected(why);
        auto program = choose_program(args_.program, args_.gpt, data_);
        if (!program) return unexpected(program.error());
        program_ = std::move(*program);
        id_ = training::program_id(program_);
        const uint32_t processes = crew_ ? crew_->size() : 1;
        if (program_.run.micro_batches % processes != 0)
            return unexpected(std::to_string(processes) + " processes cannot share the " +
                              std::to_string(program_.run.micro_batches) +
                              " micro-batches of a step: give mpirun -n a number that divides " +
                              std::to_string(program_.run.micro_batches));
        const auto seed = args_.seed.empty() ? Hash{} : fixed_from_hex<Hash>(args_.seed);
        if (!seed) return unexpected(std::string("--seed must be 32 bytes in hexadecimal"));
        seed_ = *seed;
        const auto path = choose_path(args_.cpu_path);
        if (!path) return unexpected(path.error());
        verify::BackendOptions options{args_.threads, !args_.no_cuda};
        options.path = *path;
        options.first_device = crew_ ? crew_->rank() : 0;
        map_large_buffers();
        backend_ = make_backend_(program_, options);
        forget_self_test();
        return make_plan({program_.run.micro_batches / processes, args_.threads, saves(),
                          backend_->operand_memory()});
    }

    Result<Done, std::string> make_plan(const training::HostUse& use) {
        const uint64_t before = own_memory("VmRSS:");
        const uint64_t limit = args_.memory_bytes == 0 ? ~uint64_t{0} : args_.memory_bytes;
        auto plan = training::plan_within(program_, use, limit - std::min(limit, before));
        if (!plan) return unexpected(training::to_text(plan.error()));
        plan_ = std::move(*plan);
        forecast_ = before + training::host_bytes(plan_, use);
        if (all_agree(forecast_ <= limit)) return Done{};
        return unexpected(
            "the run needs " + std::to_string(forecast_ / kMiB) +
            " MiB even where activations are computed twice, more than the " +
            std::to_string(limit / kMiB) +
            " MiB of --memory: make micro-batches smaller (--sequences) and more of them");
    }

    /// Memory differs from process to process; all go on, or none.
    [[nodiscard]] bool all_agree(bool mine) const {
        if (!crew_) return mine;
        const Bytes all = crew_->gather(Bytes{static_cast<uint8_t>(mine ? 1 : 0)});
        return std::all_of(all.begin(), all.end(), [](uint8_t answer) { return answer == 1; });
    }

    [[nodiscard]] bool saves() const {
        return is_first() && args_.checkpoint_every != 0 &&
               program_.run.steps > args_.checkpoint_every;
    }

    [[nodiscard]] std::string recompute_text() const {
        if (plan_.recomputed_nodes == 0) return "";
        return " (" + std::to_string(plan_.recomputed_nodes) + " operators of a step run twice)";
    }

    int describe() {
        const uint32_t processes = crew_ ? crew_->size() : 1;
        const double step = forecast_step(*backend_, plan_, program_.run.micro_batches / processes);
        const double roots = forecast_roots(*backend_, program_, plan_);
        if (!is_first()) return kOk;
        if (out_.json)
            out_.line(json::serialize(json::object{{"memoryBytes", forecast_},
                                                   {"stepSeconds", step},
                                                   {"jobRootSeconds", roots},
                                                   {"totalSeconds", step * program_.run.steps},
                                                   {"backend", backend_->name()},
                                                   {"parameters", plan_.parameter_count},
                                                   {"recomputedOperators", plan_.recomputed_nodes},
                                                   {"tokensPerStep", plan_.tokens_per_step}}));
        else
            out_.line("needs " + std::to_string(forecast_ / kMiB) + " MiB on " + backend_->name() +
                      recompute_text() + ", about " + rough_seconds(step) + " per step, " +
                      rough_seconds(step * program_.run.steps) + " for " +
                      std::to_string(program_.run.steps) + " steps; as a job, roots add " +
                      rough_seconds(roots) + " (" +
                      std::to_string(step > 0 ? std::lround(100 * roots / step) : 0) +
                      " %) to each");
        return kOk;
    }

    [[nodiscard]] int stopped() const {
        constexpr int kStoppedBySignal = 130;
        const std::string at = "stopped after step " + std::to_string(run_.state.step) + " of " +
                               std::to_string(program_.run.steps);
        out_.say(saves() ? at + "; the same command goes on from there"
                         : at + "; nothing is kept of a run that is shorter than its "
                                "--checkpoint-every");
        return kStoppedBySignal;
    }

    /// Takes up the checkpoint in the folder, where there is one; all processes do, or none.
    Result<Done, std::string> resume() {
        auto loaded = load_checkpoint();
        if (!crew_) return loaded;
        Bytes mine;
        append_le(mine, loaded ? run_.state.step : ~uint64_t{0});
        const Bytes all = crew_->gather(mine);
        if (!loaded) return loaded;
        for (size_t at = 0; at < all.size(); at += mine.size())
            if (!std::equal(mine.begin(), mine.end(), all.begin() + static_cast<ptrdiff_t>(at)))
                return unexpected(
                    "processes begin after different steps: --out must be a folder "
                    "that all of them can read");
        return Done{};
    }

    Result<Done, std::string> load_checkpoint() {
        run_ = {};  // two states may not fit
        if (!wallet::file_exists(checkpoint_path())) {
            run_ = {{}, training::make_initial_state(program_, seed_, data_)};
            return Done{};
        }
        const auto file =
            wallet::read_file(checkpoint_path(), training::checkpoint_bytes_max(program_));
        if (!file) return unexpected(file.error().text);
        auto checkpoint = training::decode_checkpoint(program_, *file);
        const std::string advice = "; remove it, or choose another --out";
        if (!checkpoint)
            return unexpected("'" + checkpoint_path() + "' cannot be taken up: " +
                              std::string(training::to_text(checkpoint.error())) + advice);
        if (checkpoint->state.run_seed != seed_)
            return unexpected("'" + checkpoint_path() + "' is of another --seed" + advice);
        run_ = std::move(*checkpoint);
        out_.say("going on after step " + std::to_string(run_.state.step));
        return Done{};
    }

    /// Why training ends before its last step.
    struct Stop {
        std::string text;
        bool is_changed = false;  ///< memory has lost the state, of this process or another
    };

    /// A state that memory has changed is left for the checkpoint's, by all processes together.
    Result<Done, std::string> train() {
        auto engine = training::Engine::make(program_, *backend_, data_, plan_.cuts);
        if (!engine) return unexpected(std::string(training::to_text(engine.error())));
        engine_ = std::make_unique<training::Engine>(std::move(*engine));
        out_.say("training on " + backend_->name() +
                 (crew_ ? " in " + std::to_string(crew_->size()) + " processes" : "") +
                 ", memory " + std::to_string(forecast_ / kMiB) + " MiB" + recompute_text());
        link_devices();
        for (int attempt = 1;; ++attempt) {
            const uint64_t from = run_.state.step;
            auto done = train_on();
            if (done) return Done{};
            const bool is_last = attempt == training::kAttemptsMax || stop_flag != 0;
            if (!done.error().is_changed || is_last) return unexpected(done.error().text);
            out_.say(done.error().text + "; " + std::string(training::kStateChangedAdvice));
            if (auto resumed = resume(); !resumed) return resumed;
            if (run_.state.step == 0) out_.say("training begins again");
            if (run_.state.step != from) attempt = 0;
        }
    }

    Result<Done, Stop> train_on() {
        auto state = training::LiveState::load(*backend_, program_, run_.state);
        if (!state) return unexpected(Stop{std::string(training::to_text(state.error()))});
        training::Crew* const crew = linked_ ? linked_.get() : crew_.get();
        TrainReport report(out_, plan_, program_.run.steps);
        while (run_.state.step < program_.run.steps) {
            auto step = training::run_step(*engine_, *state, data_, crew);
            if (!step) {
                alone_ = step.error() == training::EngineError::out_of_memory ||
                         step.error() == training::EngineError::device_failed;
                return unexpected(stop_by(step.error()));
            }
            const uint32_t loss_bits = step->loss_bits;
            engine_->recycle(std::move(step->gradients));
            run_.loss_bits.push_back(loss_bits);
            if (step->wrong_products > 0) out_.say(training::wrong_products_text(run_.state.step));
            if (!is_first()) continue;
            report.on_step(static_cast<uint32_t>(run_.state.step), loss_bits);
            // Several processes stop together, by the signal that mpirun sends to each.
            const bool ends = stop_flag != 0 && !crew_;
            if (auto saved = save(*state, ends); !saved) {
                alone_ = true;
                return unexpected(Stop{saved.error()});
            }
            if (ends) break;
        }
        report.end();
        const auto saved = state->save();
        const bool is_changed = !saved && saved.error() == training::EngineError::state_changed;
        if (!all_agree(!is_changed))
            return unexpected(stop_by(training::EngineError::state_changed));
        if (!saved) return unexpected(Stop{std::string(training::to_text(saved.error()))});
        return Done{};
    }

    [[nodiscard]] Stop stop_by(training::EngineError error) const {
        const uint64_t step = std::min<uint64_t>(run_.state.step + 1, program_.run.steps);
        return {std::string(training::to_text(error)) + " at step " + std::to_string(step) +
                    " of " + std::to_string(program_.run.steps),
                error == training::EngineError::state_changed};
    }

    void link_devices() {
        if (!crew_) return;
        auto linked = cuda::link_devices(*crew_, *backend_);
        if (!linked) return out_.say("gradients pass through host memory: " + linked.error());
        linked_ = std::move(*linked);
        if (linked_) out_.say("gradients pass from GPU to GPU");
    }

    Result<Done, std::string> save(training::LiveState& state, bool ends) const {
        if (!saves() || (!ends && run_.state.step % args_.checkpoint_every != 0)) return Done{};
        if (auto brought = state.save(); !brought) {
            // Without this checkpoint, since the next step finds it, too, and tells all processes.
            if (!ends && brought.error() == training::EngineError::state_changed) return Done{};
            return unexpected(std::string(training::to_text(brought.error())));
        }
        auto written =
            wallet::write_file(checkpoint_path(), training::encode_checkpoint(run_, id_));
        if (!written) return unexpected(written.error().text);
        return Done{};
    }

    Result<Done, std::string> finish() {
        auto constants = training::program_constants(program_, data_);
        if (!constants) return unexpected(std::string(training::to_text(constants.error())));
        ModelOrigin origin;
        origin.train_loss = std::bit_cast<float>(run_.loss_bits.back());
        if (program_.data.held_out > 0) {
            const auto bits = training::evaluate_held_out(*engine_, run_.state.w, data_);
            if (!bits) return unexpected(std::string(training::to_text(bits.error())));
            origin.held_out_loss = std::bit_cast<float>(*bits);
        }
        if (auto done =
                write_model_folder(args_.out, program_, run_.state, origin, std::move(*constants));
            !done)
            return done;
        std::vector<training::LossPoint> points;
        for (uint32_t i = 0; i < run_.loss_bits.size(); ++i)
            points.push_back({i + 1, std::bit_cast<float>(run_.loss_bits[i])});
        for (const auto& [name, text] :
             {std::pair("/loss.svg", training::loss_svg(points, "Training loss")),
              std::pair("/loss.csv", training::loss_csv(points))})
            if (auto done = wallet::write_text(args_.out + name, text); !done)
                return unexpected(done.error().text);
        wallet::remove_file(checkpoint_path());
        print(origin);
        return Done{};
    }

    void print(const ModelOrigin& origin) const {
        const auto root = to_hex0x(training::state_root(run_.state, id_).bytes);
        const uint64_t peak = own_memory("VmHWM:");
        if (out_.json)
            out_.line(
                json::serialize(json::object{{"stateRoot", root},
                                             {"loss", origin.train_loss},
                                             {"heldOutLoss", held_out_json(origin.held_out_loss)},
                                             {"peakBytes", peak},
                                             {"forecastBytes", forecast_},
                                             {"out", args_.out}}));
        else
            out_.line("state root " + root + "\nloss " + std::to_string(origin.train_loss) +
                      held_out_words(origin.held_out_loss) + "\nmemory " +
                      std::to_string(peak / kMiB) + " MiB, forecast " +
                      std::to_string(forecast_ / kMiB) + " MiB\nwrote " + args_.out);
    }

    Output out_;
    const TrainArgs& args_;
    blobs::File folder_;  ///< --out, held
    const MakeBackend make_backend_;
    const std::unique_ptr<training::Crew> crew_;  ///< nullptr: one process alone
    Bytes data_;
    training::Program program_;
    Hash id_, seed_;
    training::Plan plan_;
    uint64_t forecast_ = 0;
    std::unique_ptr<training::Backend> backend_;
    std::unique_ptr<training::Crew> linked_;  ///< crew_ with its devices, where they can be linked
    bool alone_ = false;  ///< what failed concerns this process only, as far as it knows
    std::unique_ptr<training::Engine> engine_;
    training::Checkpoint run_;
};

}  // namespace

int run_training(const Output& out, const TrainArgs& args, TrainParts parts) {
    return TrainRun(out, args, std::move(parts)).run();
}

}  // namespace trainyard::node::cli
