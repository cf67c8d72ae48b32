// SPDX-License-Identifier: Apache-2.0
// One epoch's instance of the vote machine: its state and its inner steps. bft.hpp is the public
// face, instances.hpp leads from one epoch to the next.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "consensus/bft/block_tree.hpp"
#include "consensus/bft/view_book.hpp"

namespace trainyard::consensus::bft {

inline constexpr uint64_t kViewsAheadMax = 32;     ///< votes further ahead are dropped
inline constexpr size_t kProposalsPerViewMax = 3;  ///< the expected leader's has its place besides
inline constexpr uint64_t kProposalViewsKept = 4;  ///< before and after the current view
inline constexpr uint64_t kWalkBackMax = 64;       ///< blocks fetched one by one before Behind
inline constexpr size_t kOrphansMax = 4 * kWalkBackMax;
inline constexpr unsigned kAnswersPerRepairMax = 32;  ///< repair requests answered to one peer

/// What an epoch begins with.
struct Beginning {
    Epoch epoch;
    SetPtr set;
    SetPtr previous;             ///< of the epoch before: its members are answered too
    FinalPoint root;             ///< the boundary of the epoch before, or a final block of this one
    std::set<PublicKey> silent;  ///< consensus keys that had long been silent before
};

/// The rules of docs/spec/consensus.md within one epoch. Each input changes what is known; settle()
/// then draws every conclusion that has become possible, in a fixed order, until there is none.
class Machine {
public:
    /// `records` may be of other epochs as well; those are skipped.
    Machine(const Params& params, Beginning beginning, const std::vector<Message>& records,
            Signer* signer, const Checks& checks);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    [[nodiscard]] std::vector<Effect> step(const Input& input);
    /// Instead of Start, where this epoch follows one that ended while the node ran. With `paced`
    /// the leader of view 1 waits for its pace timer.
    [[nodiscard]] std::vector<Effect> begin(bool paced);
    /// The last block of the epoch is final; nothing more is done here.
    [[nodiscard]] bool is_finished() const { return finished_; }
    /// Where it stands finally: what the next epoch begins with.
    [[nodiscard]] FinalPoint final_point() const;
    [[nodiscard]] std::set<PublicKey> silent() const;
    /// The view whose leader still waits for its pace timer.
    [[nodiscard]] std::optional<View> paced_view() const { return paced_view_; }
    /// The seed of the next epoch's first leaders, once the last block of this one is certified.
    [[nodiscard]] std::optional<Hash> next_epochs_seed() const;
    /// Whether one more request of a peer is to be answered; counts it.
    [[nodiscard]] bool is_answered(const Peer& peer);
    [[nodiscard]] Status own_status() const;
    /// The leader of a view above the certified block.
    [[nodiscard]] const Peer& leader_of(View view) const {
        return peer_of(tree_.leader_above(tip(), view));
    }
    /// Whether a validator would lead a view above the block of that hash, as far as is known here.
    [[nodiscard]] bool is_leader(ValidatorIndex who, const Hash& parent, View view) const;
    /// The shards that a leader gave of its block of a view come from no body.
    [[nodiscard]] std::vector<Effect> refuse_body(View view, ValidatorIndex leader,
                                                  const Hash& block);

    [[nodiscard]] Standing standing() const;
    [[nodiscard]] Waiting waiting() const;
    [[nodiscard]] BlockPtr find_block(const Hash& hash) const;

private:
    // machine.cpp: inputs, views and timers
    void on(const Start& input);
    void on(const Received& input);
    void on(const PeerConnected& input);
    void on(const Timeout& input);
    void on(const BlockVerdict& input);
    void on(const Synced& input);
    void enter(View view, bool after_success);
    void arm_timers(bool after_success);
    [[nodiscard]] uint64_t scaled_delta_ms() const;
    [[nodiscard]] bool is_active(ValidatorIndex validator) const;
    [[nodiscard]] bool is_long_silent(ValidatorIndex leader) const;
    [[nodiscard]] const Peer& peer_of(ValidatorIndex validator) const;
    [[nodiscard]] ValidatorIndex current_leader() const;
    [[nodiscard]] const TreeBlock& tip() const;
    void settle();
    void emit(Effect effect) { out_.push_back(std::move(effect)); }
    void persist(View view, const Message& record, bool sync);

    // machine_votes.cpp: votes and certificates
    void on_message(const Peer& from, const Vote& vote);
    void on_message(const Peer& from, const Cert& message);
    [[nodiscard]] bool may_vote() const { return signer_ != nullptr && self_.has_value(); }
    [[nodiscard]] const Vote* own_vote(VoteKind kind, View view) const;
    [[nodiscard]] bool has_cast(VoteKind kind, View view) const { return own_vote(kind, view); }
    [[nodiscard]] bool has_voted(View view) const;
    /// False, and not asked again before the next retry or view, if the signer does not sign.
    bool cast(VoteKind kind, View view, const Hash& block, bool tell);
    bool nullify(Cause cause);
    [[nodiscard]] bool is_withheld(VoteKind kind) const {
        return withheld_[static_cast<size_t>(kind) - 1];
    }
    void take_vote(const Vote& vote);
    void take_certificate(const Peer& from, const CertPtr& certificate);
    void act_on_certificate(const Peer& from, const CertPtr& certificate);
    /// What a vote or certificate signs; remembers the last one, since votes for one block follow
    /// each other.
    [[nodiscard]] const Hash& digest_of(VoteKind kind, View view, const Hash& block) const;
    [[nodiscard]] bool is_signed_right(const Vote& vote) const;
    [[nodiscard]] bool is_signed_right(const Certificate& certificate) const;
    void accuse(const Peer& from);
    void report(const std::vector<Evidence>& evidence);
    void note_activity(ValidatorIndex who, View view);

    // waiting.cpp
    [[nodiscard]] Waiting waiting_for_votes(Need need, VoteKind kind, View view,
                                            const Hash& block) const;

    // machine_blocks.cpp: proposals, execution, certifying, finality
    void on_message(const Peer& from, const Propose& message);
    /// A proposal whose body comes by shards: relay.hpp then gives it as a Propose, or refuses it.
    void on_message(const Peer& from, const Scatter& message);
    void on_message(const Peer&, const Shards&) {}  // relay.hpp gathers them
    void on_message(const Peer& from, const Repropose& message);
    void take_proposal(const Peer& from, PendingProposal proposal, const CompactSig& signature,
                       const std::vector<CertPtr>& justification);
    [[nodiscard]] bool is_whole_here(View view, ValidatorIndex leader, const Hash& block) const;
    void refuse(View view, ValidatorIndex leader, const Hash& block);
    [[nodiscard]] bool is_near(View view) const;
    [[nodiscard]] bool may_keep(ValidatorIndex proposer, View view, size_t kept) const;
    [[nodiscard]] bool has_place_for(const PendingProposal& proposal) const;
    [[nodiscard]] bool store_proposal(PendingProposal proposal);
    TreeBlock* add_block(const BlockPtr& block);
    [[nodiscard]] bool connect_voted();
    [[nodiscard]] bool connect_blocks();
    enum class Connecting { known, added, waiting, hopeless };
    [[nodiscard]] Connecting connect_block(const CertPtr& certificate);
    void start_executions();
    [[nodiscard]] bool certify_ready();
    void certified(View view, const Hash& hash);
    [[nodiscard]] bool finalize_ready();
    void forget_finalized();
    [[nodiscard]] bool notarize_ready();
    enum class Reading { wait, drop, invalid, good };
    [[nodiscard]] Reading read_proposal(PendingProposal& proposal);
    [[nodiscard]] Reading read_reproposal(ValidatorIndex leader, const Hash& hash);
    [[nodiscard]] Reading read_ancestry(const TreeBlock& parent, View view, ValidatorIndex leader);
    [[nodiscard]] bool is_news(const Certificate& certificate) const;
    [[nodiscard]] bool follows_rules(const PendingProposal& proposal,
                                     const TreeBlock& parent) const;
    bool notarize(const Hash& block);
    [[nodiscard]] BlockPtr find_body(const Hash& hash) const;

    // machine_lead.cpp: building and proposing
    void on(const BuiltBlock& input);
    void start_pace(View view);
    [[nodiscard]] bool lead();
    bool propose();
    bool propose_built();
    bool propose_again(const TreeBlock& last);
    bool build_early();
    bool request_build(View view, const TreeBlock& parent);
    [[nodiscard]] bool is_as_requested(const BlockData& block) const;
    [[nodiscard]] std::vector<CertPtr> justify(const TreeBlock& parent, View view) const;

    // machine_repair.cpp: retries, catch-up, requests of others, recovery
    void on_message(const Peer& from, const GetCert& message);
    void on_message(const Peer& from, const GetBlock& message);
    void on_message(const Peer& from, const BlockMessage& message);
    void on_message(const Peer& from, const Status& message);
    void retry();
    void repair();
    void arm_repair();
    void resend_votes();
    void want(const Hash& hash, const Peer& from, const CertPtr& source);
    [[nodiscard]] Peer some_holder(const Hash& block, const Certificate& source) const;
    template <class Predicate>
    [[nodiscard]] Peer next_peer(uint64_t start, const Predicate& fits) const;
    void walk_back(const BlockPtr& orphan, const CertPtr& source);
    void request_views(View first, const Peer& peer);
    [[nodiscard]] bool is_peer(const Peer& peer) const;
    [[nodiscard]] Peer some_peer() const;
    [[nodiscard]] CertPtr entry_certificate() const;
    void help(const Peer& peer, const Status& theirs);
    void recover(const std::vector<Message>& records);
    void recover_votes_and_certificates(const std::vector<Message>& records);
    void recover_blocks(const std::vector<Message>& records);

    /// The last Build; its answer is there once it came, null where there is no block.
    struct Requested {
        View view;
        Hash parent;
        Bytes extra_data;
        Hash prev_randao;
        std::optional<BlockPtr> answer;
    };
    struct Wanted {
        CertPtr source;  ///< says that the block, or a child of it, is notarized
        bool is_due;     ///< asked for with the next repair; else after it, as shards may do
    };

    const Params params_;
    const Epoch epoch_;
    const Height last_;  ///< of this epoch
    const SetPtr set_ptr_, previous_;
    const ValidatorSet& set_;
    const std::optional<ValidatorIndex> self_;
    Signer* const signer_;
    const Checks& checks_;

    View view_{1};
    BlockTree tree_;
    ViewBook book_;
    Hash tip_;                            ///< certified block of the highest view, or the root
    std::map<View, CertPtr> open_;        ///< notarized or final, not certified here yet
    CertPtr final_target_;                ///< the highest FINALIZATION above the root
    View highest_certified_;              ///< for rule 12: certified here, or final
    std::optional<Requested> requested_;  ///< for this view, or for the next one
    std::optional<View> paced_view_;      ///< a leader of this view waits for its pace timer
    std::array<bool, 3> withheld_{};      ///< votes that the signer did not sign, by kind
    bool proof_withheld_ = false;         ///< the signer gave no VRF proof

    std::map<Hash, BlockPtr> orphans_;  ///< fetched, parent not in the tree yet
    std::map<Hash, Wanted> wanted_;
    std::vector<std::optional<View>> last_seen_;  ///< by validator; none: silent since before
    std::map<Peer, unsigned> answers_;            ///< since the last repair
    std::set<View> asked_views_;                  ///< GET_CERT sent since the last repair
    uint64_t rotation_ = 0;                       ///< which peer is asked next
    bool diverged_ = false, finished_ = false;
    View behind_view_;  ///< the FINALIZATION that Behind was last reported for

    struct Digest {
        VoteKind kind = VoteKind::notarize;
        View view;  ///< 0: none yet
        Hash block, digest;
    };
    mutable Digest digest_;

    std::vector<Effect> out_;
};

}  // namespace trainyard::consensus::bft
