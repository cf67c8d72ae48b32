// SPDX-License-Identifier: Apache-2.0
// Validators that do not follow the rules: an honest machine behind a mouth that lies.
#pragma once

#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "tests/sim/random.hpp"

namespace trainyard::sim {

enum class Behaviour : uint8_t {
    honest,
    silent,        ///< hears everything, says nothing
    nuller,        ///< nullifies each view that it hears of, and finalizes in it as well
    equivocator,   ///< two blocks in one view, one for each half of the others
    double_voter,  ///< notarizes, finalizes and nullifies everything proposed
    withholder,    ///< its proposals reach one node only
    hoarder,       ///< passes no shards on, and gives no block to anybody
    bad_encoder,   ///< its shards come from no body, for everybody or for some
    bad_blocks,    ///< proposes blocks whose state root is wrong
    forger,        ///< answers each proposal with certificates that it signed alone
    jumper,  ///< votes in epochs to come, proposes any block again, says it is in another epoch
    twin,    ///< follows the rules, but twice at a time
};
inline constexpr unsigned kBehaviours = 11;  ///< that are drawn: a twin needs its other half

/// Whom a message goes to; the index of the receiver.
using Outgoing = std::vector<std::pair<unsigned, consensus::bft::Message>>;

/// Where a validator sits in one epoch.
struct Seat {
    Epoch epoch;
    consensus::ValidatorIndex index = 0;
    consensus::SetPtr set;
};

struct Liar {
    Behaviour behaviour = Behaviour::honest;
    unsigned owner = 0;  ///< of its keys
    unsigned nodes = 0;
    Seat seat;  ///< in the epoch in which it is asked to lie
    consensus::bft::ChainIdentity chain;
    consensus::bft::Signer* signer = nullptr;

    /// What really leaves when the machine wants `message` sent to `to`.
    [[nodiscard]] Outgoing speak(const std::vector<unsigned>& to,
                                 const consensus::bft::Message& message, Random& random) const;
    /// What it says of its own accord on hearing `message`.
    [[nodiscard]] Outgoing react(const consensus::bft::Message& message);

private:
    [[nodiscard]] Outgoing react_with_forgeries(const consensus::bft::Message& message) const;
    [[nodiscard]] Outgoing react_from_other_epochs(const consensus::bft::Message& message);
    /// `ahead`: in an epoch so far after the one of the seat.
    [[nodiscard]] consensus::bft::Vote vote(consensus::bft::VoteKind kind, View view,
                                            const Hash& block, uint64_t ahead = 0) const;
    [[nodiscard]] Outgoing speak_shards(const std::vector<unsigned>& to,
                                        const consensus::bft::Scatter& part, Random& random) const;
    [[nodiscard]] consensus::bft::Scatter spoiled(consensus::bft::Scatter part,
                                                  Random& random) const;
    [[nodiscard]] consensus::bft::Scatter without_body(consensus::bft::Scatter part) const;
    [[nodiscard]] consensus::bft::Scatter other_block(consensus::bft::Scatter part) const;
    [[nodiscard]] consensus::bft::Propose other_block(const consensus::bft::Propose& proposal,
                                                      bool wrong_state) const;
    /// A certificate of everybody in which every signature is this liar's.
    [[nodiscard]] consensus::bft::Cert forge(consensus::bft::VoteKind kind, View view,
                                             const Hash& block) const;
    /// Once only for each vote: two liars must not echo each other for ever.
    void say(Outgoing& out, const consensus::bft::Vote& vote);

    std::set<std::tuple<consensus::bft::VoteKind, Epoch, View, Hash>> said_;
};

}  // namespace trainyard::sim
