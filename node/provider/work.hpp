// SPDX-License-Identifier: Apache-2.0
// The job in hand: private to the provider's worker.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "node/provider/trials.hpp"
#include "node/provider/worker.hpp"

namespace trainyard::node::provider {

/// Read by the training thread for its reports.
struct Counts {
    std::atomic<uint32_t> committed{0}, accepted{0};
};

struct ProviderWorker::Work {
    uint64_t id = 0;
    wallet::JobSpec spec;
    Hash run_seed;
    uint32_t attempt = 0;
    uint32_t accepted = 0;       ///< segments whose acceptance was told
    uint32_t waits_told = 0;     ///< segments of which it was told that auditors have no time yet
    bool is_left = false;        ///< not ours any more, but segments of ours are under audit
    uint32_t tries = 0;          ///< how often training was begun again after a failure
    uint64_t failed_at = 0;      ///< block; 0 while it runs
    uint64_t commits_at = 0;     ///< block from which a commitment that failed is tried again
    std::string commit_failure;  ///< of the last one; empty if it succeeded
    std::optional<std::pair<Hash, Hash>> kept;  ///< root of a state that the node has, and blob
    uint64_t macs_per_step = 0, tokens_per_step = 0;
    training::Program program;
    std::unique_ptr<JobFolder> folder;
    std::unique_ptr<Trainer> trainer;
    std::shared_ptr<Counts> counts = std::make_shared<Counts>();
    std::map<uint32_t, training::SegmentRecord> waiting;  ///< trained, not committed
    std::map<std::pair<uint32_t, wallet::MarketApi::Nudge>, uint64_t> nudge_at;  ///< -> block
    std::unique_ptr<Trials> trials;

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

    /// Says which job an event is of, and how far that is.
    [[nodiscard]] Event complete(Event event) const {
        event.job = id;
        event.segments = spec.segments;
        event.committed = counts->committed;
        event.accepted = counts->accepted;
        return event;
    }

    [[nodiscard]] Event event(Event::Kind kind, uint32_t seg) const {
        return complete(make_event(kind, seg));
    }
};

}  // namespace trainyard::node::provider
