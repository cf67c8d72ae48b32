// SPDX-License-Identifier: Apache-2.0
// What a provider computes to stand by its segments: moves of disputes, and whether a segment that
// was convicted is right.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "node/provider/trainer.hpp"

namespace trainyard::node::provider {

struct DefenceOptions {
    std::shared_ptr<const TrainerOptions> job;
    BackendMaker make_host_backend;  ///< runs single units of a dispute
    Background background;
};

/// Thread-safe. Computes one thing at a time, the most urgent first, and each once. What goes on in
/// the background holds what it needs, so the defence may go meanwhile.
class Defence {
public:
    struct Question {
        uint32_t seg = 0;
        uint64_t deadline = 0;  ///< block
        /// Of the referee's state in which a move is asked for; zero, and no state: what does
        /// replaying the segment give?
        Hash state_hash;
        Bytes state;
        Hash steps_root = {}, last_root = {};  ///< that were committed, for a replay
    };
    struct Answer {
        Bytes state, move;                             ///< of a dispute
        std::string phase;                             ///< what the move does: "show_tile"
        std::optional<training::ReplayResult> replay;  ///< of a conviction
        std::string failure;                           ///< why there is neither; else empty
    };

    explicit Defence(DefenceOptions options);
    ~Defence();  ///< what is being computed is finished and thrown away
    Defence(const Defence&) = delete;
    Defence& operator=(const Defence&) = delete;

    /// Takes the place of what was asked about this segment before.
    void ask(Question question);
    [[nodiscard]] bool is_asked(uint32_t seg, const Hash& state_hash) const;
    /// Nothing while it is being computed.
    [[nodiscard]] std::optional<Answer> answer(uint32_t seg, const Hash& state_hash) const;
    /// Forgets what is known of a segment, and frees its memory.
    void forget(uint32_t seg);

    struct Shared;

private:
    std::shared_ptr<Shared> shared_;
};

}  // namespace trainyard::node::provider
