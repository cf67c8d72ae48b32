// SPDX-License-Identifier: Apache-2.0
// Leads from one epoch to the next: a new instance of the vote machine on each final boundary.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "consensus/bft/machine.hpp"
#include "consensus/bft/relay.hpp"

namespace trainyard::consensus::bft {

inline constexpr size_t kEarlyVotesMax = 8;       ///< of one peer, for the next epoch
inline constexpr uint64_t kEarlyViewsMax = 4;     ///< of the next epoch, from its first on
inline constexpr size_t kEarlyProposalsMax = 4;   ///< for the next epoch, of all peers together
inline constexpr unsigned kAsksPerRepairMax = 4;  ///< peers of newer epochs told where we stand
inline constexpr unsigned kStrangersPerRepairMax = 64;  ///< nodes of no set that are answered

/// Rule 10 of docs/spec/consensus.md. Invariant: the machine is never a finished one.
class Instances {
public:
    Instances(const Params& params, const ValidatorSets& sets, Recovered recovered, Signer* signer,
              const Checks& checks);

    [[nodiscard]] std::vector<Effect> step(const Input& input);
    [[nodiscard]] const Machine& current() const { return *machine_; }

private:
    /// What one peer said about the next epoch before this one ended here.
    struct Early {
        std::vector<Vote> votes;
        std::optional<Message> proposal;  ///< PROPOSE or SCATTER
    };

    void on(const Received& input);
    void on(const Timeout& input);
    void on(const Synced& input);
    template <class Other>
    void on(const Other& input) {
        feed(input);
    }
    void feed(const Input& input);
    void emit_all(std::vector<Effect> effects);
    void take(const Received& input);
    void begin(FinalPoint root, std::set<PublicKey> silent);
    void go_on();
    void replay();
    void meet_older(const Received& input, Epoch epoch);
    void meet_newer(const Received& input, Epoch epoch);
    [[nodiscard]] Relay* relay_of(Epoch epoch);
    [[nodiscard]] View current_view(Epoch epoch) const;
    [[nodiscard]] bool is_leader(const Scatter& proposal, Epoch epoch);
    [[nodiscard]] bool leads_early(ValidatorIndex who, View view);
    void gather(const Peer& from, const Scatter& part);
    void gather(const Peer& from, const Shards& part);
    void act_on(const Relay& relay, const Peer& from, Relay::Outcome outcome);
    void scatter_large_proposals();
    void keep(const Peer& from, const Message& message);
    void keep_proposal(const Peer& from, const Message& message, Early& early);

    const Params params_;
    const ValidatorSets& sets_;
    Signer* const signer_;
    const Checks& checks_;
    std::vector<Message> records_;  ///< recovered, of epochs that did not begin yet

    Epoch epoch_;
    std::unique_ptr<Machine> machine_;
    std::optional<View> pace_;  ///< the timer of the last epoch that view 1 of this one waits for
    SetPtr next_;               ///< of the epoch after, once it was needed
    std::map<Epoch, Relay> relays_;  ///< of this epoch and the next, once they were needed
    std::map<Peer, Early> early_;
    size_t early_proposals_ = 0;
    unsigned asks_ = 0, strangers_ = 0;  ///< since the last repair
    std::vector<Effect> out_;
};

}  // namespace trainyard::consensus::bft
