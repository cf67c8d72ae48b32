// SPDX-License-Identifier: Apache-2.0
// Segments of the job in hand that are called wrong, and how their provider stands by them: moves
// in disputes, appeals against convictions.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "node/provider/defence.hpp"
#include "node/provider/event.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::provider {

struct TrialsOptions {
    uint64_t job = 0;
    DefenceOptions defence;
    std::function<void(Event)> on_event;  ///< its job and how far that is are not filled in
    /// Moves a segment on at once, or, where others may, too, after some blocks.
    std::function<void(wallet::MarketApi::Nudge, uint32_t seg, bool at_once)> nudge;
    /// Brings the state before a segment into the job's folder. Empty, or why it cannot be had.
    std::function<std::string(uint32_t seg, const Hash& root)> fetch_state;
    /// Money of ours is put up for this attempt, or will be at once.
    std::function<void(uint32_t seg, uint32_t attempt)> on_put_up;
};

/// Looked at once a block, and never waits: what is computed meanwhile is played a look later.
class Trials {
public:
    Trials(wallet::MarketApi& market, TrialsOptions options);

    /// Does what is due where a segment of ours is called wrong, and tells what became of that.
    /// False if it is not.
    [[nodiscard]] bool look_after(uint32_t seg, const wallet::Segment& segment, uint64_t head);
    /// Those of segments that are final, or fell.
    void end_settled(const wallet::Job& job);
    [[nodiscard]] size_t size() const { return trials_.size(); }

private:
    struct Trial {
        wallet::SegmentState state = wallet::SegmentState::none;  ///< seen last
        uint8_t lost = 0;          ///< disputes of it before this one
        uint32_t tries = 0;        ///< how often what is due was computed again after a failure
        uint64_t wait_until = 0;   ///< block in which to go on
        uint64_t last_call = 0;    ///< block from which an appeal waits for nothing
        bool is_given_up = false;  ///< it is wrong
        std::string told;          ///< the warning told last
    };

    void end(uint32_t seg, bool is_right);
    void note_dispute(uint32_t seg, const wallet::Segment& segment, const wallet::Dispute& dispute,
                      Trial& trial);
    void answer_dispute(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void ask_for_move(uint32_t seg, const wallet::Segment& segment, const wallet::Dispute& dispute,
                      Trial& trial);
    void bring_state(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void play(uint32_t seg, const wallet::Dispute& dispute, const Defence::Answer& answer,
              Trial& trial);
    void compute_again(uint32_t seg, Trial& trial, const std::string& why);
    void note_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void answer_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void appeal(uint32_t seg, const wallet::Segment& segment, const std::string& why, Trial& trial);
    void await_disputes(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void warn(uint32_t seg, Trial& trial, const std::string& text);

    wallet::MarketApi& market_;
    TrialsOptions options_;
    Defence defence_;
    std::map<uint32_t, Trial> trials_;  ///< by segment
    uint64_t head_ = 0;                 ///< of the look that goes on
};

}  // namespace trainyard::node::provider
