// SPDX-License-Identifier: Apache-2.0
// The fork schedule as eth_config shows it.
#include <algorithm>

#include "consensus/rules/fork_id.hpp"
#include "consensus/transition/own_precompiles.hpp"
#include "node/backend/node_backend.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::node::backend {
namespace {

using consensus::ChainConfig;
using consensus::ForkAt;

/// In the order of their names.
std::vector<std::pair<std::string, Address>> system_contracts(const ChainConfig& config,
                                                              const ForkAt& fork) {
    namespace address = consensus::address;
    const auto& rules = vm::rules_of(fork.revision);
    std::vector<std::pair<std::string, Address>> found;
    // Our chains have no beacon chain beside them, but a contract that keeps the beacon's words.
    if (config.beacon_contract) found.emplace_back("BEACON_ADDRESS", address::kBeacon);
    if (rules.beacon_root_contract && !config.beacon_contract)
        found.emplace_back("BEACON_ROOTS_ADDRESS", address::kBeaconRoots);
    const bool has_requests = rules.requests && config.execution_requests;
    if (has_requests) {
        found.emplace_back("CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
                           address::kConsolidationRequests);
        found.emplace_back("DEPOSIT_CONTRACT_ADDRESS", config.deposit_contract);
    }
    if (rules.history_contract) found.emplace_back("HISTORY_STORAGE_ADDRESS", address::kHistory);
    if (config.staking_contract) found.emplace_back("STAKING_ADDRESS", address::kStaking);
    if (has_requests)
        found.emplace_back("WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", address::kWithdrawalRequests);
    return found;
}

rpc::ForkConfig config_of(const ChainConfig& config, const consensus::GenesisId& genesis,
                          const ForkAt& fork) {
    rpc::ForkConfig out;
    if (fork.timestamp > genesis.timestamp) out.activation_time = fork.timestamp;
    out.blob_target = fork.blobs.target;
    out.blob_max = fork.blobs.max;
    out.blob_update_fraction = fork.blobs.update_fraction;
    // All forks that come at a block lie behind those that come at a time (EIP-6122).
    out.fork_id.bytes = consensus::fork_id(config, genesis, ~uint64_t{0}, fork.timestamp).bytes;
    for (const auto& address : vm::precompiles_of(fork.revision))
        out.precompiles.emplace_back(vm::precompile_name(address, fork.revision), address);
    for (const auto& address : consensus::own_precompiles(config))
        out.precompiles.emplace_back(consensus::own_precompile_name(address, config), address);
    out.system_contracts = system_contracts(config, fork);
    return out;
}

}  // namespace

rpc::ForkConfigs NodeBackend::fork_configs() const {
    const auto& config = parts_.chain.config();
    const auto genesis = parts_.chain.by_number(0);
    const auto head = parts_.chain.latest();
    consensus::GenesisId id{parts_.chain.genesis_hash(), 0};
    if (genesis != nullptr) id.timestamp = genesis->block.header.timestamp;
    const auto& header = head->block.header;
    rpc::ForkConfigs out;
    out.current = config_of(config, id, config.fork_at(header.number, header.timestamp));
    const auto is_ahead = [&](const ForkAt& fork) { return fork.timestamp > header.timestamp; };
    const auto next = std::find_if(config.forks.begin(), config.forks.end(), is_ahead);
    if (next == config.forks.end()) return out;
    out.next = config_of(config, id, *next);
    out.last = config_of(config, id, config.forks.back());
    return out;
}

}  // namespace trainyard::node::backend
