// SPDX-License-Identifier: Apache-2.0
// Large proposals as shards: the leader sends each validator its own, all pass theirs on.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "consensus/dispersal/code.hpp"

namespace trainyard::consensus::bft {

/// Shards of views so near to the current one are kept, and of so many blocks of one sender: one
/// for each such view, and some of leaders that made two.
inline constexpr uint64_t kRelayViewsKept = 4;
inline constexpr size_t kRelayBlocksPerSender = 12;

/// Shards of one epoch's proposals. It stands between the wire and the vote machine, which votes on
/// a header and needs the body later: nothing here bears on safety.
///
/// A body is rebuilt under the commitment that came from its leader. Whoever sends a shard must
/// hold it by the plan, and gives its shards of one block once: nobody can crowd out another's
/// shards, and what one sender can make this keep or pass on is bounded by the constants above.
class Relay {
public:
    Relay(Epoch epoch, const SetPtr& set, std::optional<ValidatorIndex> self, const Params& params);

    [[nodiscard]] const ValidatorSet& set() const { return *set_; }
    /// What to send instead of the whole proposal, by receiver; for kNoValidator, last, what
    /// followers get. Empty: send it whole.
    [[nodiscard]] std::vector<std::pair<ValidatorIndex, Scatter>> scatter(
        const Propose& proposal) const;

    struct Outcome {
        std::optional<Shards> forward;  ///< to all other nodes
        /// After that, for the vote machine: the leader's message, without the shards.
        std::optional<Scatter> head;
        std::optional<Propose> rebuilt;  ///< as the leader made it
        std::optional<Scatter> refused;  ///< the head of a block whose shards come from no body
        bool is_bad_gift = false;        ///< the sender's shards are not its own, or not good
    };
    /// `from` is the authenticated sender, `current` this node's view. What breaks a rule is
    /// dropped, and so is what is far from that view. Only a leader's first block of a view is
    /// passed on and spoken of, and only if `is_leader`: anybody can say that he leads.
    [[nodiscard]] Outcome on(ValidatorIndex from, const Scatter& message, View current,
                             bool is_leader);
    [[nodiscard]] Outcome on(ValidatorIndex from, const Shards& message, View current);

private:
    struct Gift {
        dispersal::Commitment commitment;
        std::vector<dispersal::Shard> shards;
    };
    struct Entry {
        std::optional<Scatter> head;  ///< without the shards
        /// By holder; once the head is here, of its commitment only.
        std::map<ValidatorIndex, Gift> gifts;
        bool is_done = false;
    };

    /// The view is what the sender says of it: a false one must not shut the true one out.
    using Key = std::pair<View, Hash>;

    [[nodiscard]] Entry* admit(ValidatorIndex from, View current, const Key& key);
    [[nodiscard]] bool is_gift_of(ValidatorIndex holder, const Gift& gift) const;
    void forget_before(View current);
    void try_rebuild(Entry& entry, Outcome& out) const;

    const Epoch epoch_;
    const SetPtr set_;
    const std::optional<ValidatorIndex> self_;
    const dispersal::ShardPlan plan_;
    const size_t whole_body_max_bytes_, set_min_;
    View oldest_;  ///< nothing is kept of views before this
    std::map<Key, Entry> entries_;
    std::map<ValidatorIndex, std::set<Key>> introduced_;   ///< what a sender spoke of
    std::set<std::pair<View, ValidatorIndex>> passed_on_;  ///< of which leader's block shards left
};

}  // namespace trainyard::consensus::bft
