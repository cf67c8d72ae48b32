// SPDX-License-Identifier: Apache-2.0
// The training loop of a provider.
#include "node/provider/trainer.hpp"

namespace trainyard::node::provider {

struct Trainer::Shared {
    TrainerOptions options;
    std::mutex mutex;
    std::map<uint32_t, FinishedSegment> finished;
    bool at_work = false;
    bool stopping = false;
    std::string failure;

    std::optional<training::ModelState> state_before(uint32_t seg) {
        if (seg == 0)
            return training::make_initial_state(options.program, options.run_seed, options.data);
        return JobFolder(options.folder, options.program).load_state(seg);
    }

    Result<training::SegmentLog, std::string> train(training::Engine& engine,
                                                    training::ModelState& state, bool report,
                                                    std::optional<Hash> first_root = {}) {
        JobFolder folder(options.folder, options.program);
        training::SegmentOptions run;
        run.steps = options.steps_per_segment;
        run.fault = options.fault;
        run.first_root = first_root;
        if (report)
            run.on_step = [&](uint64_t done, const training::StepResult& step) {
                folder.log_loss(static_cast<uint32_t>(done - 1), step.loss_bits);
                if (options.on_step) options.on_step({static_cast<uint32_t>(done), step.loss_bits});
            };
        auto log = training::run_segment(engine, state, options.data, run);
        if (!log)
            return unexpected(std::string(training::to_text(log.error())) + " at step " +
                              std::to_string(state.step));
        return std::move(*log);
    }

    void stop_with(std::string why) {
        const std::lock_guard lock(mutex);
        failure = std::move(why);
        at_work = false;
    }

    bool may_go_on(uint32_t seg) {
        const std::lock_guard lock(mutex);
        const bool yes =
            !stopping && seg < options.segments && finished.size() < options.segments_ahead_max;
        at_work = yes;
        return yes;
    }

    void run(uint32_t seg) {
        auto state = state_before(seg);
        if (!state)
            return stop_with("the state before segment " + std::to_string(seg) + " is lost");
        const auto backend = options.make_backend();
        auto engine = training::Engine::make(options.program, *backend, options.data);
        if (!engine) return stop_with(std::string(training::to_text(engine.error())));
        JobFolder folder(options.folder, options.program);
        std::optional<Hash> root;  // of *state, once a segment ended there
        while (may_go_on(seg)) {
            auto log = train(*engine, *state, true, root);
            if (!log) return stop_with(log.error());
            root = log->record.states.last;
            auto kept = folder.keep(seg, log->record, *state);
            if (!kept) return stop_with(kept.error().text);
            const std::lock_guard lock(mutex);
            finished[seg++] = {std::make_shared<const training::SegmentLog>(std::move(*log)),
                               std::move(*kept)};
        }
    }
};

Trainer::Trainer(TrainerOptions options) : shared_(std::make_shared<Shared>()) {
    shared_->options = std::move(options);
}

Trainer::~Trainer() {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
}

void Trainer::go_on(uint32_t seg) {
    {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->at_work || !shared_->failure.empty()) return;
        while (shared_->finished.contains(seg)) ++seg;
        if (seg >= shared_->options.segments ||
            shared_->finished.size() >= shared_->options.segments_ahead_max)
            return;
        shared_->at_work = true;
    }
    shared_->options.background([shared = shared_, seg] { shared->run(seg); });
}

std::optional<FinishedSegment> Trainer::take(uint32_t seg) {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->finished.find(seg);
    if (found == shared_->finished.end()) return std::nullopt;
    auto out = std::move(found->second);
    shared_->finished.erase(found);
    return out;
}

std::string Trainer::failure() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->failure;
}

std::shared_ptr<const training::SegmentLog> Trainer::rebuild(uint32_t seg) {
    auto state = shared_->state_before(seg);
    if (!state) return nullptr;
    const auto backend = shared_->options.make_backend();
    auto engine = training::Engine::make(shared_->options.program, *backend, shared_->options.data);
    if (!engine) return nullptr;
    auto log = shared_->train(*engine, *state, false);
    if (!log) return nullptr;
    return std::make_shared<const training::SegmentLog>(std::move(*log));
}

}  // namespace trainyard::node::provider
