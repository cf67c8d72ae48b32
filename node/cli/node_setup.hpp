// SPDX-License-Identifier: Apache-2.0
// What a node reads before its parts can be built: genesis, keys, peers and the stores on disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "consensus/params.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/result.hpp"
#include "node/config/genesis.hpp"
#include "node/config/node_config.hpp"
#include "node/p2p/network.hpp"
#include "node/wallet/keyring.hpp"
#include "state/kv.hpp"

namespace trainyard::node::cli {

struct NodeSetup {
    config::Genesis genesis;
    Hash genesis_hash;
    consensus::ChainConfig chain;
    std::optional<consensus::ValidatorSet> validators;  ///< of genesis; there after read_setup
    std::optional<wallet::ValidatorKeys>
        keys;  ///< absent: follow without voting; consensus and VRF
               ///< key are zero where a signer process has them
    SecretKey p2p_key;
    std::vector<p2p::StaticPeer> peers, seeds, sentries;
    std::vector<p2p::PeerId> private_peers;
};

/// Errors say what is wrong, where, and what to do.
[[nodiscard]] Result<NodeSetup, std::string> read_setup(const config::NodeConfig& config);

/// Where the validators of a genesis are found; those that name no endpoint are left out. The error
/// names one that nobody could reach.
[[nodiscard]] Result<std::vector<p2p::StaticPeer>, std::string> validator_peers(
    const config::Genesis& genesis);

struct NodeStores {
    std::unique_ptr<state::Kv> chain;
    std::unique_ptr<state::Kv> votes;
};
/// Makes the data folder if need be. An open store elsewhere is refused: one process per folder.
[[nodiscard]] Result<NodeStores, std::string> open_stores(const config::NodeConfig& config);

}  // namespace trainyard::node::cli
