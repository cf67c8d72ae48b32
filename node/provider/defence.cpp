// SPDX-License-Identifier: Apache-2.0
// The queue, and what is computed: moves by a witness, replays by an engine.
#include "node/provider/defence.hpp"

#include "training/live_state.hpp"
#include "training/referee/players.hpp"

namespace trainyard::node::provider {
namespace {

namespace referee = training::referee;
using training::EngineError;
using training::ReplayResult;

/// A witness is some twenty times as large as the model. Two of them, so that two games whose moves
/// take turns do not begin the segment anew with each.
constexpr size_t kWitnessesMax = 2;

std::string text_of(EngineError error) {
    return std::string(training::to_text(error));
}

/// This side of one dispute, with what it has computed so far.
struct Player {
    std::shared_ptr<const TrainerOptions> job;  ///< its data is what the witness reads
    std::unique_ptr<training::Backend> host, device;
    referee::Witness witness;
};

Result<std::unique_ptr<Player>, std::string> make_player(const DefenceOptions& options,
                                                         uint32_t seg, bool on_device) {
    auto first = state_before(*options.job, seg);
    if (!first) return unexpected(first.error());
    auto host = options.make_host_backend();
    auto device = on_device ? options.job->make_backend() : nullptr;
    referee::Witness::Options run{std::move(*first), options.job->steps_per_segment};
    run.device = device.get();
    auto witness =
        referee::Witness::make(options.job->program, options.job->data, *host, std::move(run));
    if (!witness) return unexpected(text_of(witness.error()));
    return std::unique_ptr<Player>(
        new Player{options.job, std::move(host), std::move(device), std::move(*witness)});
}

/// A move that the referee takes. The error is why there is none.
Result<Bytes, std::string> move_of(Player& player, const referee::State& state) {
    auto move = referee::provider_move(player.witness, state);
    if (!move) return unexpected(text_of(move.error()));
    if (const auto played = referee::play(state, *move); !played)
        return unexpected("what this machine computes now does not stand (" +
                          std::string(referee::to_text(state.phase)) + ": " +
                          std::string(referee::to_text(played.error())) +
                          "); it computed something else the first time");
    return std::move(*move);
}

Result<ReplayResult, EngineError> replay_on(training::Backend& backend, const TrainerOptions& job,
                                            training::ModelState first) {
    auto engine = training::Engine::make(job.program, backend, job.data);
    if (!engine) return unexpected(engine.error());
    return training::replay_segment(*engine, job.data, first, job.steps_per_segment);
}

}  // namespace

struct Defence::Shared {
    /// What is known of one segment.
    struct Entry {
        Question question;
        std::optional<Answer> answer;
        std::unique_ptr<Player> player;
        uint64_t used = 0;  ///< number of the use of its player
    };
    struct Task {
        Question question;
        std::unique_ptr<Player> player;
    };

    DefenceOptions options;
    std::mutex mutex;
    std::map<uint32_t, Entry> entries;
    bool at_work = false;
    bool stopping = false;
    uint64_t uses = 0;

    /// As many players are kept as leave room for one that is at work.
    void make_room() {
        for (;;) {
            size_t kept = 0;
            Entry* oldest = nullptr;
            for (auto& [seg, entry] : entries) {
                if (!entry.player) continue;
                ++kept;
                if (oldest == nullptr || entry.used < oldest->used) oldest = &entry;
            }
            if (kept < kWitnessesMax) return;
            oldest->player.reset();
        }
    }

    std::optional<Task> take() {
        const std::lock_guard lock(mutex);
        Entry* first = nullptr;
        for (auto& [seg, entry] : entries)
            if (!entry.answer &&
                (first == nullptr || entry.question.deadline < first->question.deadline))
                first = &entry;
        if (first == nullptr || stopping) {
            at_work = false;
            return std::nullopt;
        }
        Task out{first->question, std::move(first->player)};
        make_room();
        return out;
    }

    void put_back(Task task, Answer answer) {
        const std::lock_guard lock(mutex);
        const auto found = entries.find(task.question.seg);
        if (found == entries.end()) return;  // nobody asks any more
        Entry& entry = found->second;
        entry.player = std::move(task.player);
        entry.used = ++uses;
        if (entry.question.state_hash == task.question.state_hash) entry.answer = std::move(answer);
    }

    /// Where the machine trains; if that fails or gives what does not stand, on the host.
    [[nodiscard]] Answer find_move(Task& task) const {
        Answer out;
        const auto state = referee::decode_state(task.question.state);
        if (!state || referee::turn_of(state->phase) != referee::Turn::provider)
            return out.failure = "the chain's state of the game asks us for no move", out;
        out.phase = referee::to_text(state->phase);
        for (const bool on_device : {true, false}) {
            if (!task.player) {
                auto made = make_player(options, task.question.seg, on_device);
                if (!made) {
                    out.failure = made.error();
                    continue;
                }
                task.player = std::move(*made);
            }
            auto move = move_of(*task.player, *state);
            if (move) {
                out.failure.clear();
                out.state = task.question.state;
                out.move = std::move(*move);
                return out;
            }
            out.failure = move.error();
            task.player.reset();
        }
        return out;
    }

    /// Where the machine trains; on the host if that fails or gives something else than before.
    [[nodiscard]] Answer replay(const Question& asked) const {
        Answer out;
        for (const auto* make : {&options.job->make_backend, &options.make_host_backend}) {
            auto first = state_before(*options.job, asked.seg);
            if (!first) return out.failure = first.error(), out;
            auto replayed = replay_on(*(*make)(), *options.job, std::move(*first));
            if (!replayed) {
                out.failure = text_of(replayed.error());
                continue;
            }
            out.failure.clear();
            out.replay = *replayed;
            if (out.replay->steps_root == asked.steps_root &&
                out.replay->last_root == asked.last_root)
                return out;
        }
        return out;
    }

    void run() {
        while (auto task = take()) {
            const bool is_replay = task->question.state_hash.is_zero();
            Answer answer = is_replay ? replay(task->question) : find_move(*task);
            put_back(std::move(*task), std::move(answer));
        }
    }
};

Defence::Defence(DefenceOptions options) : shared_(std::make_shared<Shared>()) {
    shared_->options = std::move(options);
}

Defence::~Defence() {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->entries.clear();
}

void Defence::ask(Question question) {
    {
        const std::lock_guard lock(shared_->mutex);
        auto& entry = shared_->entries[question.seg];
        entry.question = std::move(question);
        entry.answer.reset();
        if (shared_->at_work) return;
        shared_->at_work = true;
    }
    shared_->options.background([shared = shared_] { shared->run(); });
}

bool Defence::is_asked(uint32_t seg, const Hash& state_hash) const {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->entries.find(seg);
    return found != shared_->entries.end() && found->second.question.state_hash == state_hash;
}

std::optional<Defence::Answer> Defence::answer(uint32_t seg, const Hash& state_hash) const {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->entries.find(seg);
    if (found == shared_->entries.end() || found->second.question.state_hash != state_hash)
        return std::nullopt;
    return found->second.answer;
}

void Defence::forget(uint32_t seg) {
    const std::lock_guard lock(shared_->mutex);
    shared_->entries.erase(seg);
}

}  // namespace trainyard::node::provider
