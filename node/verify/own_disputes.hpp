// SPDX-License-Identifier: Apache-2.0
// The disputes that a validator opens by itself, so that a provider that cheats does not get away
// with an appeal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/verify/case_builder.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

/// Runs a task somewhere else; who asks for it never waits. Tests run it at once.
using Background = std::function<void(std::function<void()>)>;

struct OwnDisputesOptions {
    Uint256 bond_wei_max;           ///< of one dispute; zero: none is opened
    uint64_t memory_bytes_max = 0;  ///< of the verifier; 0: no limit
    Background background;          ///< of one thread; a turn may take as long as a replay
    std::function<void(const std::string& text)> say;  ///< from any thread; may be empty
};

struct DisputeCounters {
    uint64_t opened = 0, moves = 0;
};

/// What a look at a dispute found.
struct DisputeLook {
    bool is_busy = false;            ///< to be looked at again in the next block
    bool wins_by_the_clock = false;  ///< this node does, once the segment's deadline is over
};

/// Of those whose answers convicted a segment one after the other has the right to put up the bond,
/// so that one does; near the end all have. Nobody opens a second one of a segment's attempt. Turns
/// are played in the background, each once, the one that is due first before the others. What is
/// open stands on the chain, so it may be made anew any time.
class OwnDisputes {
public:
    /// `dues` hears of each bond that is put up.
    OwnDisputes(wallet::MarketApi& market, Verifier& verifier, wallet::Dues& dues,
                OwnDisputesOptions options);

    /// Of a segment that is appealed, at block `head`. True: to be looked at again in the next one.
    [[nodiscard]] bool on_appealed(const CaseRequest& request, uint64_t head);
    /// Of a segment before the referee.
    [[nodiscard]] DisputeLook on_disputed(const CaseRequest& request);

    /// Of a segment that is not before the referee, or by somebody else.
    void on_elsewhere(const Seat& seat);
    /// Of the job's segments, those in [from, to) alone may be disputed.
    void keep_only(uint64_t job, uint32_t from, uint32_t to);
    /// Lets the verifier rest where no dispute is open any more.
    void free_memory();

    [[nodiscard]] DisputeCounters counters() const;
    [[nodiscard]] size_t remembered() const;  ///< segments

private:
    struct Shared;
    enum class Right { none, waits, now };
    [[nodiscard]] Right right_to_dispute(const CaseRequest& request, uint64_t head) const;
    /// A dispute of it; nullopt where the node does not answer.
    [[nodiscard]] std::optional<bool> has_tried(const Seat& key) const;
    [[nodiscard]] Result<Uint256, std::string> open(const CaseRequest& request) const;

    wallet::MarketApi& market_;
    Verifier& verifier_;
    wallet::Dues& dues_;
    OwnDisputesOptions options_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace trainyard::node::verify
