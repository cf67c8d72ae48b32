// SPDX-License-Identifier: Apache-2.0
// Which segments of a job one watcher replays, when it objects, when it is done. Knows neither
// chain nor replays: it is told what they said.
#pragma once

#include <map>
#include <variant>
#include <vector>

#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

/// Before whom the watch takes what it finds wrong: a fresh committee, by a challenge, or the
/// referee, by a dispute.
enum class Court : uint8_t { none, committee, referee };

struct WatchRules {
    uint32_t from = 0, to = UINT32_MAX;  ///< segments [from, to)
    bool final_too = false;              ///< also those that are paid when the watch begins
    bool follows = false;                ///< until the job is closed
    Court court = Court::none;
};

/// What a replay on this machine said of a claim. `unjudged` is not the provider's fault for all
/// that we know: never a reason to object.
enum class Finding : uint8_t { match, mismatch, unjudged };

/// What became of a mismatch that a watch waited for.
enum class Ending : uint8_t {
    fell,         ///< the segment is void
    dismissed,    ///< the court has decided against us
    appealed,     ///< convicted as we said; only the referee can still prove it
    paid,         ///< final, and nobody proved it wrong
    window_over,  ///< accepted, and too late to object
    too_early,    ///< still under audit, and the watch does not follow
    no_game,      ///< it claims no end that the referee could compare; a committee can judge it
};

/// The job at one block, with the segments that `JobWatch::wanted` named.
struct WatchView {
    uint64_t head = 0;
    wallet::Job job;
    std::map<uint32_t, wallet::Segment> segments;
};

/// What to do now. After any of them but `Play`, `Wait` and `Stop`, `step` may be asked again at
/// once.
struct Replay {
    uint32_t seg = 0;
    bool operator==(const Replay&) const = default;
};
struct Contest {
    uint32_t seg = 0, attempt = 0;
    bool operator==(const Contest&) const = default;
};
/// The segment is before the referee: if it is our turn there, move; else wait.
struct Play {
    uint32_t seg = 0;
    bool operator==(const Play&) const = default;
};
struct Tell {
    uint32_t seg = 0, attempt = 0;
    bool was_contested = false;  ///< by us
    Ending ending = Ending::fell;
    bool operator==(const Tell&) const = default;
};
struct Wait {
    bool operator==(const Wait&) const = default;
};
struct Stop {
    bool operator==(const Stop&) const = default;
};
using WatchTask = std::variant<Replay, Contest, Play, Tell, Wait, Stop>;

struct WatchCounts {
    uint32_t matches = 0, mismatches = 0, unjudged = 0;
    bool operator==(const WatchCounts&) const = default;
};

/// Segments that can still be contested come before those that are paid. While a mismatch may be
/// contested, later segments wait: they fall with it, and a replay of them could outlast its
/// window. A claim is its segment's number and attempt; each is contested once at most. Remembers
/// claims that are not final, and those that are while earlier ones wait.
class JobWatch {
public:
    explicit JobWatch(const WatchRules& rules) : rules_(rules) {}
    /// A few segments: those on whose state the next step depends.
    [[nodiscard]] std::vector<uint32_t> wanted(uint64_t head, const wallet::Job& job);
    [[nodiscard]] WatchTask step(const WatchView& view);

    /// The answers to Replay and Contest. `head`: a block that has seen it.
    void on_replayed(uint32_t seg, uint32_t attempt, Finding finding, uint64_t head);
    void on_contested(uint32_t seg, uint64_t head);
    void on_not_contested(uint32_t seg);  ///< and it is not tried again

    [[nodiscard]] WatchCounts counts() const;
    [[nodiscard]] size_t remembered() const { return claims_.size(); }

private:
    enum class Stage : uint8_t { open, contested, over };
    struct Claim {
        uint32_t attempt = 0;
        Finding finding = Finding::unjudged;
        Stage stage = Stage::over;  ///< of a mismatch
        uint64_t at = 0;            ///< block of the replay, or of our objection
        [[nodiscard]] bool is_pending() const { return stage != Stage::over; }
    };
    using Claims = std::map<uint32_t, Claim>;  ///< by segment

    void begin(const wallet::Job& job);
    void forget_void(const WatchView& view);
    void forget_paid(const wallet::Job& job);
    [[nodiscard]] std::vector<uint32_t> candidates(uint64_t head, const wallet::Job& job) const;
    [[nodiscard]] WatchTask look_at_pending(const WatchView& view);
    [[nodiscard]] WatchTask look_at(const WatchView& view, Claims::iterator at);

    WatchRules rules_;
    bool has_begun_ = false;
    uint32_t attempt_ = 0;  ///< of the job: what was claimed in an earlier one may be void
    uint32_t done_ = 0;     ///< below it nothing is left to do, and all is final
    Claims claims_;
    WatchCounts counts_;  ///< of claims; `unjudged` of those that are forgotten
};

}  // namespace trainyard::node::verify
