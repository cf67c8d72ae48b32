// SPDX-License-Identifier: Apache-2.0
// The challenger's side of a dispute, one step at a time: looks whose turn it is, works out what to
// point at, sends it.
#pragma once

#include <optional>
#include <string>

#include "node/verify/case_builder.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

/// All it must know stands on the chain, so it may be made anew in the middle of a dispute.
class DisputePlayer {
public:
    enum class Step {
        over,       ///< no dispute of this account is open
        waits,      ///< for the provider
        pointed,    ///< the move stands in a block
        no_move,    ///< all that was shown is right: what is left is to lose by the clock
        timed_out,  ///< the provider has not moved in time: the call that ends it is in a block
    };

    /// `request` names job, segment and what may be fetched; the segment itself is read anew in
    /// every step.
    DisputePlayer(wallet::MarketApi& market, Verifier& verifier, CaseRequest request);

    /// May take as long as a replay of the segment. A move that was worked out and could not be
    /// sent is sent again. Error: what is in the way; the next step may succeed.
    [[nodiscard]] Result<Step, std::string> step();

private:
    struct Turn {
        Hash state_hash;
        Bytes state;
        Pick pick;
        bool is_sent = false;
    };
    [[nodiscard]] Result<Turn, std::string> work_out(const wallet::Dispute& dispute);
    [[nodiscard]] Result<Step, std::string> end_by_the_clock(const wallet::Segment& segment);

    wallet::MarketApi& market_;
    Verifier& verifier_;
    CaseRequest request_;
    std::optional<Turn> turn_;   ///< of the last step that had one
    uint64_t timed_out_at_ = 0;  ///< block of the last call for the clock
};

/// Whether the turns of a dispute over the job fit into a verifier of that memory (0: no limit): a
/// bond for one that does not would be lost. Error: what is needed.
[[nodiscard]] Result<Done, std::string> dispute_fits(wallet::MarketApi& market,
                                                     const wallet::JobSpec& spec,
                                                     uint64_t memory_bytes_max);

/// Puts up the bond of a dispute over the segment, if that is at most `bond_wei_max` and the
/// account has it. What was put up, or why not.
[[nodiscard]] Result<Uint256, std::string> open_dispute(wallet::MarketApi& market, uint64_t job,
                                                        uint32_t seg, const Uint256& bond_wei_max);

}  // namespace trainyard::node::verify
