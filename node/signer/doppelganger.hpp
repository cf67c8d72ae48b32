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

/// A machine without clock or network. Silence counts as far as validators of weight >= Q, this one
/// among them, have each been in contact without a break: before that no vote of ours decides
/// anything. A vote of the key that is newer than all its database knows is a doppelganger's, then
/// or at any later time. A copy that has the P2P key too takes the original's connections, and the
/// original takes them back: who loses one that way is in contention, and has to keep them for as
/// long as the other needs to dial again.
class Doppelganger {
public:
    enum class State : uint8_t { connecting, listening, clear, found };
    struct Options {
        consensus::bft::ChainIdentity chain;
        PublicKey key;  ///< consensus key of this validator
        uint64_t listen_ms = 4000;
        uint64_t contention_ms = 40'000;  ///< in place of listen_ms once in contention
        /// Nothing was ever signed or finalized here: if all who are heard say the same of the
        /// chain, there is nothing to listen for.
        bool is_new = false;
        /// The operator vouches that no other machine has the key: votes of it are older ones, and
        /// only where the others stand matters.
        bool is_vouched_for = false;
        /// The newest position that the signing database knows.
        std::function<std::optional<Position>()> newest;
    };
    /// When, and in which epoch: votes of it and of the next are looked at. While more than F stand
    /// in later ones, this node cannot judge what it hears, and its time does not count.
    struct Moment {
        uint64_t now_ms = 0;
        Epoch epoch;
        consensus::SetPtr set, next;  ///< of the epoch and of the next
    };
    static constexpr size_t kPeersMax = 1024;

    explicit Doppelganger(Options options)
        : options_(std::move(options)), chain_is_new_(options_.is_new) {}

    /// A connection came up; peers are P2P keys.
    void meet(const PublicKey& peer, const Moment& moment);
    /// It ended; `to_another`: in favour of one that shows our key and is not ours.
    void lose(const PublicKey& peer, bool to_another);
    void hear(const PublicKey& from, const consensus::bft::Message& message, const Moment& moment);
    /// Where the check stands at this time.
    State update(const Moment& moment);
    /// Another machine has connected with this node's P2P key.
    [[nodiscard]] bool is_in_contention() const { return in_contention_; }
    /// The vote that gave the doppelganger away.
    [[nodiscard]] const std::optional<consensus::bft::Vote>& evidence() const { return evidence_; }
    /// Nobody who was heard has a final block, and neither has this node.
    [[nodiscard]] bool is_chain_new() const { return chain_is_new_; }
    /// No vote of this key, had it been cast before it was lost sight of, lies at or above it: its
    /// machine left a view only with a quorum, and F + 1 of that are honest and have been heard.
    [[nodiscard]] Position beyond_old_votes(const consensus::ValidatorSet& set) const;

private:
    struct Peer {
        Position at;
        bool has_told = false;             ///< sent its STATUS
        bool was_met = false;              ///< else it speaks through a sentry
        bool speaks = false;               ///< was heard since it was last lost
        std::optional<uint64_t> since_ms;  ///< in contact
    };
    [[nodiscard]] Peer* room_for(const PublicKey& peer);
    void note_peer(const PublicKey& from, const consensus::bft::Message& message,
                   const Moment& moment);
    [[nodiscard]] State judge(const Moment& moment);
    [[nodiscard]] bool is_behind(const Moment& moment) const;
    [[nodiscard]] bool is_anothers(const consensus::bft::Vote& vote) const;
    /// Weight of this validator and of those that are so.
    [[nodiscard]] uint64_t weight(const consensus::ValidatorSet& set,
                                  const std::function<bool(const Peer&)>& is_so) const;

    const Options options_;
    std::map<PublicKey, Peer> peers_;
    bool chain_is_new_;
    bool in_contention_ = false;
    uint64_t deaf_until_ms_ = 0;  ///< the start, or when it was last behind
    bool has_started_ = false;
    State state_ = State::connecting;
    std::optional<consensus::bft::Vote> evidence_;
};

}  // namespace trainyard::node::signer
