// SPDX-License-Identifier: Apache-2.0
// Lookups in the fork schedule, and Ethereum's choice of the flags.
#include "consensus/params.hpp"

#include <utility>

namespace trainyard::consensus {

const ForkAt& ChainConfig::fork_at(uint64_t number, uint64_t timestamp) const {
    static const ForkAt kFirst;
    const ForkAt* found = &kFirst;
    for (const auto& fork : forks)
        if (number >= fork.number && timestamp >= fork.timestamp) found = &fork;
    return *found;
}

void ChainConfig::set_merge_block(uint64_t number) {
    for (auto& fork : forks)
        if (vm::is_at_least(fork.revision, vm::Revision::paris)) fork.number = number;
}

ChainConfig ethereum_config(uint64_t chain_id, std::vector<ForkAt> forks) {
    ChainConfig config;
    config.chain_id = chain_id;
    config.forks = std::move(forks);
    config.equal_timestamps = false;
    config.beacon_contract = false;
    config.staking_contract = false;
    config.beacon_roots = true;
    config.blob_txs = true;
    config.execution_requests = true;
    config.withdrawals = true;
    config.extra_data_size_max = 32;
    return config;
}

BlobSchedule ethereum_blobs(vm::Revision revision) {
    if (vm::is_at_least(revision, vm::Revision::prague)) return {6, 9, 5007716};
    if (revision == vm::Revision::cancun) return {3, 6, 3338477};
    return {};
}

}  // namespace trainyard::consensus
