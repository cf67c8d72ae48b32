// SPDX-License-Identifier: Apache-2.0
// Who sits at a dispute: jobs, a provider, a challenger, and how they play it out.
#pragma once

#include <optional>

#include "core/blob.hpp"
#include "tests/training/fixture.hpp"
#include "tests/training/image_programs.hpp"
#include "training/referee/players.hpp"
#include "training/referee/size.hpp"

namespace trainyard::training::referee {

struct Job {
    Program program;
    Bytes data;
};

inline Job text_job() {
    GptOptions options = small_options();
    options.layers = 1, options.width = 12, options.sequence = 6, options.micro_batches = 2;
    Job job{small_program(options), make_text(4000)};
    job.program.data.root = blob::id(job.data);
    return job;
}

inline Job image_job(Program program) {
    Job job{std::move(program), shapes_data()};
    job.program.data.root = blob::id(job.data);
    return job;
}

inline std::vector<Job> all_jobs() {
    std::vector<Job> out{text_job()};
    for (Program& program : image_programs()) out.push_back(image_job(std::move(program)));
    return out;
}

inline constexpr uint32_t kSteps = 2;

/// One job, who challenges it and, game after game, who provides for it.
class Table {
public:
    explicit Table(Job j, uint32_t first_step = 0,
                   std::unique_ptr<Backend> host = make_cpu_backend({}))
        : job(std::move(j)), backend(std::move(host)), first_(state_after(first_step)) {}

    /// `device`: computes its steps.
    Witness witness(std::optional<Slip> slip, Backend* device = nullptr) const {
        auto out = Witness::make(job.program, job.data, *backend, {first_, kSteps, slip, device});
        EXPECT_TRUE(out.has_value());
        return std::move(*out);
    }
    Witness& challenger() {
        if (!challenger_) challenger_ = witness(std::nullopt);
        return *challenger_;
    }

    [[nodiscard]] const ModelState& first() const { return first_; }

    Job job;
    std::unique_ptr<Backend> backend;

private:
    ModelState state_after(uint32_t steps) const {
        ModelState state = make_initial_state(job.program, seed_of(3), job.data);
        auto engine = Engine::make(job.program, *backend, job.data);
        for (uint32_t t = 0; t < steps; ++t)
            EXPECT_TRUE(run_step(*engine, state, job.data).has_value());
        return state;
    }
    ModelState first_;
    std::optional<Witness> challenger_;
};

inline State start_of(Witness& provider) {
    State state;
    state.claim = *provider.claim();
    return state;
}

/// A move of the provider as a contract gets it; nothing if it has none that is taken.
inline std::optional<State> provider_plays(Witness& provider, const State& state) {
    const auto bytes = provider_move(provider, state);
    if (!bytes) return std::nullopt;
    EXPECT_LE(bytes->size(), largest_move_bytes(provider.program())) << to_text(state.phase);
    const auto next = play(state, *bytes);
    if (!next) return std::nullopt;
    EXPECT_EQ(decode_state(encode_state(*next)), *next);
    return *next;
}

struct End {
    Phase phase = Phase::show_steps;  ///< whoever is to move there, and cannot, has lost
    int moves = 0;
    SubjectKind subject = SubjectKind::none;
};

/// Both play until one has no move. `pick`: what the challenger points at, nothing if it gives up.
template <class Pick>
End play_out(Witness& provider, const Pick& pick, State state) {
    End end;
    for (; end.moves < 200; ++end.moves) {
        end.phase = state.phase;
        end.subject = state.subject.kind;
        std::optional<State> next;
        if (turn_of(state.phase) == Turn::provider) {
            next = provider_plays(provider, state);
        } else if (turn_of(state.phase) == Turn::challenger) {
            const std::optional<uint32_t> index = pick(state);
            if (!index) return end;
            const auto played = play(state, move::pick(*index));
            EXPECT_TRUE(played.has_value()) << to_text(state.phase) << " " << *index;
            if (played) next = *played;
        }
        if (!next) return end;
        state = std::move(*next);
    }
    ADD_FAILURE() << "no end";
    return end;
}

template <class Pick>
End play_out(Witness& provider, const Pick& pick) {
    return play_out(provider, pick, start_of(provider));
}

inline End play_slip(Table& table, const Slip& slip) {
    Witness provider = table.witness(slip);
    return play_out(provider, [&](const State& state) {
        const auto index = challenger_pick(table.challenger(), state);
        EXPECT_TRUE(index.has_value());
        return *index;
    });
}

/// What a challenger may pick; a pick behind the last one is refused.
inline uint32_t choices(const State& s) {
    const auto parameters = static_cast<uint32_t>(s.numbers.size());
    switch (s.phase) {
        case Phase::pick_step:
            return s.claim.segment.steps + (s.claim.segment.first_step == 0 ? 1 : 0);
        case Phase::pick_unit:
            return s.claim.micro_batches + 1;
        case Phase::pick_value:
            return static_cast<uint32_t>(s.hashes.size()) + 1;
        case Phase::pick_update:
            return 5 * parameters;
        case Phase::pick_element:
            return kTileElements;
        case Phase::pick_part:
            return parameters;
        default:
            return static_cast<uint32_t>(s.hashes.size());
    }
}

}  // namespace trainyard::training::referee
