// SPDX-License-Identifier: Apache-2.0
// A running node in words and numbers: what consensus waits for, and its metrics.
#pragma once

#include <string>

#include "consensus/bft/bft.hpp"
#include "node/blobs/store.hpp"
#include "node/bft/bft_node.hpp"
#include "node/chain/chain.hpp"
#include "node/cli/node_state.hpp"
#include "node/cli/node_voting.hpp"
#include "node/http/http_server.hpp"
#include "node/mempool/mempool.hpp"
#include "node/metrics/exposition.hpp"
#include "node/p2p/network.hpp"
#include "node/verify/audit_service.hpp"
#include "node/verify/slash_reporter.hpp"
#include "node/wallet/staking.hpp"
#include "rpc/backend.hpp"

namespace trainyard::node::cli {

/// "votes for the block of view 7: 20 of the 27 coins of stake it takes, missing 0x1234…".
[[nodiscard]] std::string words_of(const consensus::bft::Waiting& waiting,
                                   const consensus::bft::Standing& standing,
                                   const consensus::ValidatorSet& validators);

/// The node for `systemctl status`: "block 812 final, 7 peers, validator".
[[nodiscard]] std::string one_line(const rpc::NodeStatus& status, uint64_t final_height,
                                   size_t peers);

/// Blocks until auditors have room, if nobody else takes it (docs/spec/audits.md, section 3).
struct AuditQueue {
    uint64_t audits = 0, replays = 0;
    bool operator==(const AuditQueue&) const = default;
};
/// As the market has it at the latest block; nullopt: there is none.
[[nodiscard]] std::optional<AuditQueue> audit_queue_of(const rpc::Backend& backend);

/// What metrics are read from; pointers may be null.
struct ReportParts {
    const bft::BftNode& bft;
    const chain::Chain& chain;
    const mempool::Mempool& pool;
    const p2p::Network& network;
    const blobs::BlobStore& blobs;
    const verify::AuditService* audits;
    const NodeVoting* voting;
    const verify::SlashReporter* reporter;
    const sync::SnapshotShelf* shelf;
    const sync::StateSync* state_sync;
    uint64_t gossip_dropped;  ///< transactions of peers that found the queue full
    size_t http_connections;
    http::HttpServer::Refused http_refused;
    std::string datadir;
    uint64_t wall_ms;
    uint64_t uptime_ms;
    std::optional<wallet::Candidate> stake;  ///< of the validator, at the latest block
    std::optional<AuditQueue> queue;         ///< at the latest block
};
/// What Staking says of a validator at the latest block; nullopt: nothing.
[[nodiscard]] std::optional<wallet::Candidate> stake_of(const rpc::Backend& backend,
                                                        const Address& who);
[[nodiscard]] metrics::Metrics metrics_of(const ReportParts& parts);
void add_queue(metrics::Metrics& to, const AuditQueue& queue);

}  // namespace trainyard::node::cli
