// SPDX-License-Identifier: Apache-2.0
// Listens for votes of this validator's key that this machine did not cast.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "consensus/bft/messages.hpp"
#include "node/signer/history.hpp"

namespace trainyard::node::signer {

/// The votes of one signer of one epoch inside a message: votes, a leader's NOTARIZE, shares of
/// certificates.
[[nodiscard]] std::vector<consensus::bft::Vote> votes_in(const consensus::bft::Message& message,
                                                         Epoch epoch,
                                                         consensus::ValidatorIndex signer);

/// A machine without clock or network. Listening begins when validators of weight >= Q, this one
/// among them, have been heard: before that no vote of ours decides anything. A vote of the key
/// that is newer than all its database knows is a doppelganger's, then or at any later time.
class Doppelganger {
public:
    enum class State : uint8_t { connecting, listening, clear, found };
    struct Options {
        consensus::bft::ChainIdentity chain;
        PublicKey key;  ///< consensus key of this validator
        uint64_t listen_ms = 4000;
        /// Nothing was ever signed or finalized here: if all who are heard say the same of the
        /// chain, there is nothing to listen for.
        bool is_new = false;
        /// The operator vouches that no other machine has the key: votes of it are older ones, and
        /// only where the others stand matters.
        bool is_vouched_for = false;
        /// The newest position that the signing database knows.
        std::function<std::optional<Position>()> newest;
    };
    /// When, and in which epoch: votes of others are not looked at.
    struct Moment {
        uint64_t now_ms = 0;
        Epoch epoch;
        consensus::SetPtr set;  ///< of the epoch
    };
    static constexpr size_t kPeersMax = 1024;

    explicit Doppelganger(Options options)
        : options_(std::move(options)), chain_is_new_(options_.is_new) {}

    /// `from` is a P2P key.
    void hear(const PublicKey& from, const consensus::bft::Message& message, const Moment& moment);
    /// Where the check stands at this time.
    State update(const Moment& moment);
    /// The vote that gave the doppelganger away.
    [[nodiscard]] const std::optional<consensus::bft::Vote>& evidence() const { return evidence_; }
    /// Nobody who was heard has a final block, and neither has this node.
    [[nodiscard]] bool is_chain_new() const { return chain_is_new_; }
    /// No vote of this key, had it been cast before it was lost sight of, lies at or above it: its
    /// machine left a view only with a quorum, and F + 1 of that are honest and have been heard.
    [[nodiscard]] Position beyond_old_votes(const consensus::ValidatorSet& set) const;

private:
    struct Heard {
        Position at;
        bool has_told = false;  ///< sent its STATUS
    };
    void note_peer(const PublicKey& from, const consensus::bft::Message& message,
                   const consensus::ValidatorSet& set);
    [[nodiscard]] bool is_anothers(const consensus::bft::Vote& vote) const;
    /// Weight of this validator and of those heard, or of those that told where they stand.
    [[nodiscard]] uint64_t weight(const consensus::ValidatorSet& set, bool told) const;

    const Options options_;
    std::map<PublicKey, Heard> heard_;
    bool chain_is_new_;
    std::optional<uint64_t> listening_since_ms_;
    State state_ = State::connecting;
    std::optional<consensus::bft::Vote> evidence_;
};

}  // namespace trainyard::node::signer
