// SPDX-License-Identifier: Apache-2.0
// Runs the vote machine: messages, timers and verdicts go in, effects are carried out in order.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "consensus/bft/bft.hpp"
#include "node/chain/chain.hpp"
#include "node/mempool/mempool.hpp"
#include "node/metrics/histogram.hpp"
#include "node/p2p/network.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"
#include "state/kv.hpp"

namespace trainyard::node::bft {

/// What happened since the start.
struct BftCounters {
    std::array<uint64_t, consensus::bft::kCauses> gave_up{};  ///< own NULLIFY votes, by cause
    uint64_t proposed = 0;  ///< blocks asked of this node as a leader
    uint64_t certified = 0, finalised = 0;
    uint64_t offences = 0;     ///< of validators, proven
    uint64_t dropped = 0;      ///< inputs while no machine ran, questions beyond the queue
    uint64_t waiting = 0;      ///< inputs in the queue now
    metrics::Durations fsync;  ///< of a vote, before it leaves
    metrics::Durations execution;
    metrics::Durations finality;  ///< from having a block to knowing it final
};

/// The machine lives on one strand. Blocks are built and executed on the pool.
class BftNode {
public:
    struct Parts {
        runtime::Runtime& runtime;
        p2p::Network& network;
        chain::Chain& chain;
        mempool::Mempool& pool;
        state::Kv& votes;  ///< a store of its own: nothing else delays a vote's fsync
        runtime::Logger log;
    };
    struct Options {
        consensus::bft::Params params;
        consensus::bft::Signer* signer = nullptr;  ///< null: follow without voting
        Address beneficiary;
        /// Every message of a peer, before the machine has it; on the node's strand.
        std::function<void(const p2p::PeerId&, const consensus::bft::Message&)> on_heard;
        /// Blocks of which this is false are neither voted for, executed nor taken as final: the
        /// node ends before them. Empty: there are none.
        std::function<bool(const Header&)> allows;
        /// Asks the node to sync final blocks up to a block that is final elsewhere.
        std::function<void(const consensus::bft::Behind&)> on_behind;
        /// A validator proved itself guilty: its account, and consensus/bft/evidence.hpp's bytes.
        std::function<void(const Address& who, Bytes votes)> on_evidence;
        /// The chain cannot go on here: a disk that refuses, or a divergence.
        std::function<void(const std::string& why)> on_halt;
    };

    BftNode(Parts parts, Options options);
    ~BftNode();
    BftNode(const BftNode&) = delete;
    BftNode& operator=(const BftNode&) = delete;

    /// Registers the handlers; before Network::start.
    void attach();
    /// Recovers the machine from the store and the journal and starts it; once.
    void start();
    /// The signer signs again: asks it for what it withheld. From any thread.
    void ask_signer_again();
    /// The chain was brought forward by sync; from any thread.
    void synced();
    /// The chain cannot go on here, as another part found; from any thread.
    void halt(const std::string& why);
    /// From any thread.
    [[nodiscard]] consensus::bft::Standing standing() const;
    /// Both of one moment: the indices of `waiting` belong to the set of the standing's epoch.
    struct Picture {
        consensus::bft::Standing standing;
        consensus::bft::Waiting waiting;
    };
    [[nodiscard]] Picture picture() const;
    [[nodiscard]] BftCounters counters() const;
    [[nodiscard]] std::string halted() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::node::bft
