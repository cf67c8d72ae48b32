// SPDX-License-Identifier: Apache-2.0
// The training loop of a provider.
#include "node/provider/trainer.hpp"

#include <algorithm>
#include <thread>

#include "node/provider/gradient_file.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/step_name.hpp"
#include "training/live_state.hpp"
#include "training/repeat.hpp"

namespace trainyard::node::provider {

using training::EngineError;
using training::SegmentRecord;

namespace {

constexpr const char* kSecondRun =
    "a second run, so that one of them is wrong: test this machine with `trainyard verifier`";

std::string text_of(EngineError error) {
    return std::string(training::to_text(error));
}

}  // namespace

Result<training::ModelState, std::string> state_before(const TrainerOptions& job, uint32_t seg) {
    if (seg == 0) return training::make_initial_state(job.program, job.run_seed, job.data);
    auto kept = JobFolder(job.folder, job.program).load_state(seg);
    if (!kept) return unexpected("the state before segment " + std::to_string(seg) + " is lost");
    return std::move(*kept);
}

struct Trainer::Shared {
    TrainerOptions options;
    std::mutex mutex;
    std::map<uint32_t, SegmentRecord> finished;
    bool at_work = false;
    bool keeping = false;  ///< a trained segment is on its way to disk
    bool stopping = false;
    std::optional<Divergence> divergence;
    std::string failure;

    /// Why a segment has no record.
    struct Stop {
        std::string text;  ///< what, where and why
        std::optional<EngineError> error = std::nullopt;
        uint32_t seg = 0, t = 0;  ///< where: a step of the run
    };

    /// A stop in, or behind, step `t` of the run.
    [[nodiscard]] Stop stop_at(uint32_t seg, uint32_t t, EngineError error,
                               const std::string& what) const {
        return {what + " at " + name_of(seg, t), error, seg, t};
    }

    /// Trains a segment from the state at hand and logs its gradients.
    Result<SegmentRecord, Stop> train(training::Engine& engine, training::LiveState& state,
                                      training::GradientSaver& saver, uint32_t seg,
                                      const training::SegmentOptions& run) {
        if (auto made = wallet::make_folder(options.folder); !made)
            return unexpected(Stop{made.error().text});
        GradientWriter log(JobFolder(options.folder, options.program).begin_log(seg));
        saver.begin(log);
        auto record = training::run_segment(engine, state, options.data, run, saver);
        std::optional<EngineError> error;
        if (!record) error = record.error();
        if (auto stored = saver.finish(); !stored && !error) error = stored.error();
        if (!error) return record.value();
        const bool is_file = error == EngineError::bad_log && !log.failure().empty();
        const auto t = static_cast<uint32_t>(state.host().step);
        const std::string what = is_file ? log.failure() : text_of(*error);
        return unexpected(stop_at(seg, t, *error, what));
    }

    /// Of the step of the run in which a segment stopped; what fails behind the last one is its.
    std::string name_of(uint32_t seg, uint32_t t) const {
        const uint32_t steps = options.steps_per_segment;
        return wallet::step_name(std::min(t - seg * steps + 1, steps), steps, seg);
    }

    training::SegmentOptions segment_options() const {
        training::SegmentOptions run;
        run.steps = options.steps_per_segment;
        run.fault = options.fault;
        return run;
    }

    void stop_with(std::string why) {
        const std::lock_guard lock(mutex);
        if (failure.empty()) failure = std::move(why);
        at_work = false;
    }

    bool may_go_on(uint32_t seg) {
        const std::lock_guard lock(mutex);
        return !stopping && failure.empty() && seg < options.segments &&
               finished.size() + (keeping ? 1 : 0) < options.segments_ahead_max;
    }

    void begin_keeping() {
        const std::lock_guard lock(mutex);
        keeping = true;
    }

    bool is_stopping() {
        const std::lock_guard lock(mutex);
        return stopping;
    }

    /// Brings a trained segment to disk and tells of it; one that nobody waits for leaves nothing.
    void keep(uint32_t seg, SegmentRecord record, const training::ModelState& after) {
        JobFolder folder(options.folder, options.program);
        Result<Done, wallet::WalletError> kept = Done{};
        if (!is_stopping()) kept = folder.keep(seg, record, after);
        const std::lock_guard lock(mutex);
        keeping = false;
        if (!kept) {
            failure = kept.error().text;
        } else if (stopping) {
            wallet::remove_file(folder.log_path(seg));
        } else {
            finished[seg] = std::move(record);
        }
    }

    void end_with(const Divergence& found) {
        const std::lock_guard lock(mutex);
        divergence = found;
        at_work = false;
    }

    void run(uint32_t seg) {
        auto state = state_before(options, seg);
        if (!state) return stop_with(state.error());
        if (const auto known = known_divergence(seg, *state)) return end_with(*known);
        const auto stop = train_ahead(seg, std::move(*state));
        if (!stop) return;
        if (stop->error != EngineError::diverged) return stop_with(stop->text);
        const auto found = confirm(*stop);
        if (!found) return stop_with(stop->text + ", but " + found.error());
        end_with(*found);
    }

    /// What a process before this one has found out of this attempt.
    std::optional<Divergence> known_divergence(uint32_t seg,
                                               const training::ModelState& first) const {
        auto known = JobFolder(options.folder, options.program).load_divergence(seg);
        if (!known || known->attempt != options.attempt) return std::nullopt;
        const bool is_from_here = known->first_root == root_of(first);
        return is_from_here ? known : std::nullopt;
    }

    Hash root_of(const training::ModelState& state) const {
        return training::state_root(state, training::program_id(options.program));
    }

    /// A claim that is wrong is fined, and a device or memory may err: what one run gives another
    /// one must give, too. The error says what it gives instead.
    Result<Divergence, std::string> confirm(const Stop& stop) const {
        auto state = state_before(options, stop.seg);
        if (!state) return unexpected(state.error());
        const uint32_t before = stop.t - static_cast<uint32_t>(state->step);
        const Divergence found{stop.seg, before + 1, options.attempt, root_of(*state)};
        JobFolder folder(options.folder, options.program);
        folder.forget_log(stop.seg);
        if (options.fault == training::Fault::diverge) return found;
        if (auto why = why_not_again(std::move(*state), before); !why.empty())
            return unexpected(std::move(why));
        (void)folder.keep_divergence(found);  // found out again otherwise
        return found;
    }

    /// The steps before it anew where this machine trains, the step itself on the host. Empty if it
    /// diverges there.
    std::string why_not_again(training::ModelState state, uint32_t steps_before) const {
        if (steps_before > 0) {
            const auto backend = options.make_backend();
            auto engine = training::Engine::make(options.program, *backend, options.data);
            if (!engine) return text_of(engine.error());
            const auto replay =
                training::replay_segment(*engine, options.data, state, steps_before);
            if (!replay) return text_of(replay.error());
            if (replay->diverges_at)
                return "at " +
                       wallet::step_name_in_run(*replay->diverges_at, options.steps_per_segment) +
                       " in " + kSecondRun;
        }
        const auto host = options.make_host_backend();
        auto engine = training::Engine::make(options.program, *host, options.data);
        if (!engine) return text_of(engine.error());
        auto live = training::LiveState::load(*host, options.program, state);
        if (!live) return text_of(live.error());
        const auto step = training::run_step(*engine, *live, options.data);
        if (step) return std::string("not in ") + kSecondRun;
        return step.error() == EngineError::diverged ? "" : text_of(step.error());
    }

    /// What `work` gives of segments from `seg` on, given the state before it. Where memory has
    /// changed a state, of which nothing is kept, it is called again with the segment's first one.
    template <class Work>
    std::optional<Stop> repeat_segments(uint32_t seg, training::ModelState state,
                                        const Work& work) {
        for (int attempt = 1;; ++attempt) {
            auto stop = work(seg, std::move(state));
            if (!stop || stop->error != EngineError::state_changed) return stop;
            if (stop->seg != seg) attempt = 1;
            if (attempt == training::kAttemptsMax) return stop;
            seg = stop->seg;
            if (options.on_note)
                options.on_note(stop->text + "; nothing of it was committed, and segment " +
                                std::to_string(seg) + " is trained again from its start; " +
                                std::string(training::kStateChangedAdvice));
            auto first = state_before(options, seg);
            if (!first) return Stop{first.error()};
            state = std::move(*first);
        }
    }

    std::optional<Stop> train_ahead(uint32_t first, training::ModelState state) {
        const auto backend = options.make_backend();
        auto engine = training::Engine::make(options.program, *backend, options.data);
        if (!engine) return Stop{text_of(engine.error())};
        return repeat_segments(first, std::move(state), [&](uint32_t seg, auto from) {
            return train_from(*engine, seg, std::move(from));
        });
    }

    /// Why it stopped; nothing where it was told to, or is far enough ahead.
    std::optional<Stop> train_from(training::Engine& engine, uint32_t seg,
                                   training::ModelState state) {
        auto live = training::LiveState::load(engine.backend(), options.program, state);
        if (!live) return Stop{text_of(live.error())};
        JobFolder folder(options.folder, options.program);
        training::SegmentOptions run = segment_options();
        run.on_step = [&](uint64_t done, const training::StepResult& step) {
            folder.log_loss(static_cast<uint32_t>(done - 1), step.loss_bits);
            if (options.on_step)
                options.on_step({static_cast<uint32_t>(done), step.loss_bits, step.wrong_products});
        };
        training::GradientSaver saver(engine);
        training::ModelState after;  // the segment before, until the keeper has done with it
        std::thread keeper;
        for (; may_go_on(seg); ++seg) {
            auto record = train(engine, *live, saver, seg, run);
            if (keeper.joinable()) keeper.join();
            if (!record) return record.error();
            if (auto saved = live->save_to(after); !saved)
                return stop_at(seg, static_cast<uint32_t>(state.step), saved.error(),
                               text_of(saved.error()));
            run.first_root = record->states.last;
            begin_keeping();
            keeper = std::thread([this, seg, r = std::move(*record), &after]() mutable {
                keep(seg, std::move(r), after);
            });
        }
        if (keeper.joinable()) keeper.join();
        const std::lock_guard lock(mutex);
        at_work = false;
        return std::nullopt;
    }
};

Trainer::Trainer(TrainerOptions options) : shared_(std::make_shared<Shared>()) {
    shared_->options = std::move(options);
}

Trainer::~Trainer() {
    stop();
}

void Trainer::stop() {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
}

void Trainer::try_again() {
    const std::lock_guard lock(shared_->mutex);
    shared_->failure.clear();
}

void Trainer::go_on(uint32_t seg) {
    {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->at_work || shared_->divergence || !shared_->failure.empty()) return;
        auto& finished = shared_->finished;
        finished.erase(finished.begin(), finished.lower_bound(seg));
        while (finished.contains(seg)) ++seg;
        if (seg >= shared_->options.segments ||
            finished.size() >= shared_->options.segments_ahead_max)
            return;
        shared_->at_work = true;
    }
    shared_->options.background([shared = shared_, seg] { shared->run(seg); });
}

std::optional<SegmentRecord> Trainer::take(uint32_t seg) {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->finished.find(seg);
    if (found == shared_->finished.end()) return std::nullopt;
    auto out = std::move(found->second);
    shared_->finished.erase(found);
    return out;
}

std::optional<Divergence> Trainer::divergence() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->divergence;
}

std::string Trainer::failure() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->failure;
}

std::shared_ptr<const TrainerOptions> Trainer::job() const {
    return {shared_, &shared_->options};
}

Result<Done, std::string> Trainer::rebuild(uint32_t seg) {
    const auto& options = shared_->options;
    auto state = state_before(options, seg);
    if (!state) return unexpected(state.error());
    const auto backend = options.make_backend();
    auto engine = training::Engine::make(options.program, *backend, options.data);
    if (!engine) return unexpected(text_of(engine.error()));
    using Stop = Shared::Stop;
    const auto once = [&](uint32_t, training::ModelState from) -> std::optional<Stop> {
        auto live = training::LiveState::load(*backend, options.program, from);
        if (!live) return Stop{text_of(live.error())};
        training::GradientSaver saver(*engine);
        auto record = shared_->train(*engine, *live, saver, seg, shared_->segment_options());
        return record ? std::nullopt : std::optional(record.error());
    };
    const auto stop = shared_->repeat_segments(seg, std::move(*state), once);
    if (stop) return unexpected(stop->text);
    return Done{};
}

}  // namespace trainyard::node::provider
