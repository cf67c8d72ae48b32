// SPDX-License-Identifier: Apache-2.0
// A validator's signer with all that guards it: signing database, signer process, doppelgangers.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "node/cli/node_setup.hpp"
#include "node/metrics/exposition.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"
#include "node/signer/doppelganger.hpp"
#include "node/signer/gate.hpp"
#include "node/signer/guarded_signer.hpp"
#include "node/signer/remote_signer.hpp"

namespace trainyard::node::cli {

/// Thread-safe after `watch`, which comes before the network starts.
class NodeVoting {
public:
    struct Parts {
        const NodeSetup& setup;
        const config::NodeConfig& config;
        state::Kv& votes;  ///< outlives this; holds the signing database of local keys
        runtime::Runtime& runtime;
        runtime::Logger log;
    };
    /// Opens the signing database, or connects to the signer process. Precondition: `setup.keys`.
    [[nodiscard]] static Result<std::unique_ptr<NodeVoting>, std::string> open(Parts parts);
    ~NodeVoting();

    [[nodiscard]] const PublicKey& consensus_key() const { return consensus_key_; }
    [[nodiscard]] consensus::bft::Signer& signer() { return *gate_; }

    struct Watch {
        uint64_t final_height = 0;
        const consensus::ValidatorSets& sets;
        p2p::Network& network;
        /// The epoch and view where the vote machine stands.
        std::function<signer::Position()> where;
        /// Votes may be signed from now on.
        std::function<void()> on_open;
    };
    /// Keeps the gate shut until it is sure that no other machine votes with the key.
    void watch(Watch watch);
    void hear(const p2p::PeerId& from, const consensus::bft::Message& message);

    /// Empty while votes are signed.
    [[nodiscard]] std::string why_not_voting() const;
    void add_metrics(metrics::Metrics& out) const;

private:
    explicit NodeVoting(Parts parts);
    [[nodiscard]] Result<Done, std::string> open_local();
    [[nodiscard]] Result<Done, std::string> open_remote();
    [[nodiscard]] std::optional<signer::Position> newest();
    /// Who has no history of the key has to hear where the others stand, whatever the operator
    /// vouches for: the key may have voted before in views that this node has not seen.
    [[nodiscard]] bool listens() const {
        return parts_.config.doppelganger_check || knows_nothing_;
    }
    [[nodiscard]] signer::Doppelganger::Moment moment() const;
    void tick();
    void on_peer(const p2p::PeerEvent& event);
    void settle(signer::Doppelganger::State state);
    void tell_of_contention(const p2p::PeerEvent& event);
    void found_another();
    void let_vote();

    const Parts parts_;
    PublicKey consensus_key_;
    std::unique_ptr<signer::SigningDb> db_;
    std::unique_ptr<signer::GuardedSigner> local_;
    std::unique_ptr<signer::RemoteSigner> remote_;
    std::unique_ptr<signer::Gate> gate_;
    bool knows_nothing_ = false;  ///< of the key, when the node started

    runtime::Strand strand_;
    runtime::Timer timer_;
    mutable std::mutex mutex_;
    std::optional<Watch> watch_;
    std::optional<signer::Doppelganger> check_;
    signer::Doppelganger::State state_ = signer::Doppelganger::State::connecting;
    uint64_t contentions_ = 0;  ///< connections lost to another machine with the P2P key
    std::optional<uint64_t> told_of_contention_ms_;
};

}  // namespace trainyard::node::cli
