// SPDX-License-Identifier: Apache-2.0
// What is known about each view that is not final yet: votes, certificates, proposals, offenders.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "consensus/bft/bft.hpp"

namespace trainyard::consensus::bft {

enum class Body : uint8_t {
    here,
    coming,   ///< its shards are on their way to here
    refused,  ///< what its leader sent as the body is none, or another's
};

/// A proposal that waits for its ancestors or its body, or was looked at already.
struct PendingProposal {
    BlockPtr block;  ///< without its body unless that is here
    ValidatorIndex leader = 0;
    Body body = Body::here;
    Seal seal;
    bool examined = false;  ///< leader, beacon and rules are right
};

struct ViewRecord {
    std::array<std::map<ValidatorIndex, Vote>, 3> votes;  ///< by kind; the first of each signer
    std::array<CertPtr, 3> certificates;                  ///< by kind
    std::map<ValidatorIndex, PendingProposal> proposals;  ///< by proposer
    std::map<ValidatorIndex, Hash> reproposals;           ///< by proposer: the epoch's last block
    std::set<std::pair<ValidatorIndex, Offence>> offenders;

    [[nodiscard]] const Vote* vote(VoteKind kind, ValidatorIndex signer) const;
    [[nodiscard]] const CertPtr& certificate(VoteKind kind) const {
        return certificates[static_cast<size_t>(kind) - 1];
    }
    /// The certificate that shows this view's block to be notarized: NOTARIZATION, else
    /// FINALIZATION.
    [[nodiscard]] CertPtr block_certificate() const;
};

/// The records of all views above the final one. The owner bounds which views it opens.
class ViewBook {
public:
    /// `set` outlives the book.
    explicit ViewBook(const ValidatorSet& set) : set_(set) {}

    [[nodiscard]] ViewRecord& open(View view) { return views_[view]; }
    [[nodiscard]] const ViewRecord* find(View view) const;
    [[nodiscard]] ViewRecord* find(View view);
    [[nodiscard]] const std::map<View, ViewRecord>& all() const { return views_; }
    /// The proposal of a block, if one is kept.
    [[nodiscard]] const PendingProposal* find_proposal(const Hash& block) const;
    void forget_below(View view) { views_.erase(views_.begin(), views_.lower_bound(view)); }
    void drop_proposals_below(View view);

    /// This very vote, signature included.
    [[nodiscard]] bool holds(const Vote& vote) const;
    /// It says nothing new, whatever its signature: its signer has said so before, or said two
    /// other things and is convicted. One key can sign one vote in as many ways as it likes.
    [[nodiscard]] bool is_stale(const Vote& vote) const;
    [[nodiscard]] bool has_nullification(View view) const;
    /// The first view of (above, below) without a nullification, if there is one.
    [[nodiscard]] std::optional<View> first_gap(View above, View below) const;

    struct Recorded {
        bool is_new = false;
        std::vector<Evidence> evidence;  ///< what the vote proves together with older ones
    };
    /// Takes a vote whose signature is right.
    [[nodiscard]] Recorded record(const Vote& vote);

    /// A certificate from the votes held, if they weigh a quorum and there is none yet.
    [[nodiscard]] CertPtr form_certificate(VoteKind kind, View view, const Hash& block) const;

private:
    const ValidatorSet& set_;
    std::map<View, ViewRecord> views_;
    View proposals_from_;  ///< no proposals are held for views below this
};

/// The votes inside a certificate.
[[nodiscard]] std::vector<Vote> votes_of(const Certificate& certificate);
/// Right size, set and padding, and signers of weight >= Q. Signatures are not looked at.
[[nodiscard]] bool is_well_formed(const Certificate& certificate, const ValidatorSet& set);

}  // namespace trainyard::consensus::bft
