// SPDX-License-Identifier: Apache-2.0
// The job in hand: private to the provider's worker.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <utility>

#include "node/provider/worker.hpp"

namespace trainyard::node::provider {

/// Read by the training thread for its reports.
struct Counts {
    std::atomic<uint32_t> committed{0}, accepted{0};
};

/// A segment of ours that is called wrong.
struct ProviderWorker::Trial {
    wallet::SegmentState state = wallet::SegmentState::none;  ///< seen last
    uint8_t lost = 0;                                         ///< disputes of it before this one
    uint32_t tries = 0;        ///< how often what is due was computed again after a failure
    uint64_t wait_until = 0;   ///< block in which to go on
    uint64_t last_call = 0;    ///< block from which an appeal waits for nothing
    bool is_given_up = false;  ///< it is wrong
    std::string told;          ///< the warning told last
};

struct ProviderWorker::Work {
    uint64_t id = 0;
    wallet::JobSpec spec;
    Hash run_seed;
    uint32_t attempt = 0;
    uint32_t accepted = 0;   ///< segments whose acceptance was told
    bool is_left = false;    ///< not ours any more, but segments of ours are under audit
    uint32_t trials = 0;     ///< how often training was begun again after a failure
    uint64_t failed_at = 0;  ///< block; 0 while it runs
    uint64_t macs_per_step = 0, tokens_per_step = 0;
    training::Program program;
    std::unique_ptr<JobFolder> folder;
    std::unique_ptr<Trainer> trainer;
    std::shared_ptr<Counts> counts = std::make_shared<Counts>();
    std::map<uint32_t, training::SegmentRecord> waiting;  ///< trained, not committed
    std::map<std::pair<uint32_t, wallet::MarketApi::Nudge>, uint64_t> nudge_at;  ///< -> block
    std::unique_ptr<Defence> defence;
    std::map<uint32_t, Trial> accused;  ///< by segment

    /// What is kept of segments before these is of no use any more.
    void forget_before(uint32_t committed, uint32_t final_segments) {
        waiting.erase(waiting.begin(), waiting.lower_bound(committed));
        nudge_at.erase(nudge_at.begin(), nudge_at.lower_bound({final_segments, {}}));
        folder->forget_before(final_segments);
    }

    /// The first segment that is neither committed nor waiting.
    [[nodiscard]] uint32_t next_segment(uint32_t tip) const {
        while (waiting.contains(tip)) ++tip;
        return tip;
    }

    [[nodiscard]] Event event(Event::Kind kind, uint32_t seg) const {
        Event out;
        out.kind = kind;
        out.job = id;
        out.seg = seg;
        out.segments = spec.segments;
        out.committed = counts->committed;
        out.accepted = counts->accepted;
        return out;
    }
};

}  // namespace trainyard::node::provider
