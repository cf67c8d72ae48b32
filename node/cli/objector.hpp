// SPDX-License-Identifier: Apache-2.0
// What `trainyard verify` does about a segment that it finds wrong: says what is at stake, asks,
// puts up the bond, plays before the referee, and tells the end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/output.hpp"
#include "node/verify/dispute_player.hpp"
#include "node/verify/job_watch.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::cli {

class Objector {
public:
    /// `verifier` computes our moves, `bonds_path` names the file of what we put up. What is passed
    /// by reference must outlive it.
    Objector(const Output& out, const VerifyArgs& args, verify::Court court,
             wallet::MarketApi& market, verify::JobWatch& watch, ProgressLine& bar,
             verify::Verifier& verifier, std::string bonds_path);

    void contest(const verify::Contest& claim);
    /// A move, where it is our turn.
    void play(uint32_t seg, const wallet::Segment& segment);
    void tell(const verify::Tell& end);
    /// Takes back what was put up, by earlier runs and at other jobs too, where a segment fell with
    /// an earlier one.
    void take_back(uint64_t head);

private:
    /// What is sent with an objection, and what it may bring.
    struct Stakes {
        Uint256 bond_wei, bounty_wei, balance_wei;
        uint8_t number = 0;  ///< objections to this claim before
    };
    struct Game {
        uint32_t seg = 0, attempt = 0;
        verify::DisputePlayer player;
        bool is_lost = false;  ///< we have nothing to point at
    };
    [[nodiscard]] bool is_game() const { return court_ == verify::Court::referee; }
    [[nodiscard]] wallet::Answer<Stakes> stakes_of(uint32_t seg);
    [[nodiscard]] wallet::Answer<uint8_t> number_of(uint32_t seg);
    [[nodiscard]] std::string gain_words(const Stakes& stakes) const;
    [[nodiscard]] bool agree(uint32_t seg, const Stakes& stakes);
    [[nodiscard]] std::string why_not(const Stakes& stakes) const;
    [[nodiscard]] bool may_go_unasked(const Stakes& stakes) const;
    void refused(uint32_t seg, const wallet::WalletError& error);
    void move(uint32_t number);
    [[nodiscard]] std::string collect(const verify::Tell& end, boost::json::object& fields);
    void event(const char* kind, uint32_t seg, const std::string& words,
               boost::json::object fields);
    void report(const char* kind, uint64_t job, uint32_t seg, const std::string& words,
                boost::json::object fields);

    const Output& out_;
    const VerifyArgs& args_;
    const verify::Court court_;
    wallet::MarketApi& market_;
    verify::JobWatch& watch_;
    ProgressLine& bar_;
    verify::Verifier& verifier_;
    wallet::Dues dues_;
    uint64_t id_;
    std::map<std::pair<uint32_t, uint32_t>, uint8_t> tried_;  ///< segment, attempt -> objections
    std::optional<Game> game_;                                ///< before the referee
    Uint256 credit_before_, bond_wei_;                        ///< of the last objection
};

/// The node may be back soon.
[[nodiscard]] bool is_passing(const wallet::WalletError& error);
/// Shows the text for a moment.
void pause(ProgressLine& bar, const std::string& text);
[[nodiscard]] std::string name_of(uint64_t job, uint32_t seg);

}  // namespace trainyard::node::cli
