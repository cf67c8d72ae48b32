// SPDX-License-Identifier: Apache-2.0
// A validator's part in audits: sees when it is drawn, judges, commits, reveals, moves phases on,
// and disputes what it has convicted.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/verify/answer_book.hpp"
#include "node/verify/case_builder.hpp"
#include "node/verify/own_disputes.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/job_agenda.hpp"
#include "node/wallet/kept_blobs.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

struct AuditWorkerOptions {
    std::string folder;  ///< of answers, and lists of our bonds and what the node keeps for us
    size_t rank = 0;  ///< our number among those that move phases on, so that one sends at a time
    size_t ranks = 1;
    uint64_t blob_bytes_max = 4ull << 30;
    uint64_t memory_bytes_max = 0;    ///< of a verifier; 0: no limit
    Background background;            ///< of level 0
    Background replay_background;     ///< of level 1, whose cases may take hours
    Background move_background;       ///< of disputes, whose clock does not wait for the others
    Uint256 dispute_bond_wei_max;     ///< put up at once, by itself; zero: never
    MapBlob map_blob;                 ///< of the node's own store; may be empty
    std::function<uint64_t()> now_s;  ///< unix time
    std::function<void(const std::string& text)> say;  ///< log lines; may be empty
};

struct AuditCounters {
    uint64_t drawn = 0, answered = 0, revealed = 0, mismatches = 0, nudges = 0, errors = 0;
    uint64_t late = 0;     ///< no longer worth judging when their turn came
    uint64_t waiting = 0;  ///< now
    uint64_t disputes = 0, dispute_moves = 0;
};

/// `tick` looks at the chain once and does what is due; call it after every new block or so. It
/// looks at the jobs that events name, at those whose deadlines come, and at a few others in
/// rotation, at a bounded number in all. What it must remember stands on the chain or in the answer
/// book, so it may be rebuilt any time; what it remembers besides, of jobs that are not closed and
/// segments that are not final.
class AuditWorker {
public:
    /// The verifiers of level 0, of level 1 and of disputes may be one where all run on one thread.
    AuditWorker(wallet::MarketApi& market, Verifier& verifier, Verifier& replayer, Verifier& mover,
                AuditWorkerOptions options);
    ~AuditWorker();
    void tick();
    [[nodiscard]] AuditCounters counters() const;
    [[nodiscard]] size_t remembered()
        const;  ///< jobs, seats, nudges and bonds, for those who watch memory

private:
    using Nudge = wallet::MarketApi::Nudge;
    struct Memory {
        std::optional<wallet::JobSpec> spec;
        std::set<Seat> seen;
        std::map<std::pair<uint32_t, Nudge>, uint64_t> nudged_at;  ///< segment, what -> block
    };
    /// Of a call that anyone may make: those of whom one is enough take turns, who wins by it does
    /// not wait for its own.
    enum class Caller : uint8_t { anyone, winner };
    struct Shared;
    struct View;

    [[nodiscard]] bool learn_limits();
    [[nodiscard]] bool notice_changes();
    void look_at_job(uint64_t id);
    [[nodiscard]] uint64_t look_at_view(const View& view);
    [[nodiscard]] uint64_t look_at_segment(const View& view, uint32_t seg);
    [[nodiscard]] uint64_t end_phase(Nudge what, const View& view, uint32_t seg,
                                     const wallet::Segment& segment,
                                     Caller caller = Caller::anyone);
    [[nodiscard]] CaseRequest case_of(const View& view, uint32_t seg,
                                      const wallet::Segment& segment) const;
    [[nodiscard]] bool take_part(const View& view, uint32_t seg, const wallet::Segment& segment);
    void forget_before(Memory& memory, uint32_t seg);
    void release_blobs();
    void start_judging(const View& view, const Seat& seat, const wallet::Segment& segment);
    void judge_waiting();
    [[nodiscard]] std::function<void()> judging(bool replays);
    void forget_closed(uint64_t id);
    void reveal(const View& view, const Seat& seat);
    void nudge(Nudge what, const View& view, uint32_t seg, Caller caller = Caller::anyone);
    [[nodiscard]] bool my_turn(uint64_t id, uint32_t seg) const;
    void say(const std::string& text) const;

    wallet::MarketApi& market_;
    Verifier& verifier_;
    Verifier& replayer_;
    AuditWorkerOptions options_;
    AnswerBook book_;
    wallet::Dues dues_;
    OwnDisputes disputes_;
    std::shared_ptr<Shared> shared_;
    std::optional<training::AuditLimits> limits_;
    wallet::JobAgenda agenda_;
    uint64_t jobs_known_ = 0;            ///< of this many the agenda has been told
    uint64_t events_read_to_ = 0;        ///< block
    size_t segments_left_ = 0;           ///< that this tick may look at
    std::map<uint64_t, Memory> memory_;  ///< by job
    std::vector<CaseRequest> waiting_;   ///< found by the present pass
    uint64_t head_ = 0;
    uint64_t released_at_ = 0;  ///< block
};

}  // namespace trainyard::node::verify
