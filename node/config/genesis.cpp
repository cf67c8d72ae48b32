// SPDX-License-Identifier: Apache-2.0
// From a genesis value to the first block, and its identity.
#include "node/config/genesis.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::node::config {

std::optional<Fork> first_unknown_fork(const Genesis& genesis) {
    // The rules of the first block are Osaka's; a later fork gets its name here with its rules.
    constexpr std::string_view known[] = {"osaka"};
    for (const auto& fork : genesis.forks)
        if (std::find(std::begin(known), std::end(known), fork.name) == std::end(known))
            return fork;
    return std::nullopt;
}

state::StateDiff genesis_state(const Genesis& genesis) {
    state::StateDiff diff;
    for (const auto& [address, account] : genesis.alloc) {
        state::AccountChange change;
        change.nonce = account.nonce;
        change.balance = account.balance;
        if (!account.code.empty()) {
            change.code_hash = keccak256(account.code);
            diff.codes[change.code_hash] = account.code;
        }
        for (const auto& [slot, value] : account.storage)
            if (!value.is_zero()) change.storage[slot] = value;
        diff.accounts[address] = std::move(change);
    }
    return diff;
}

Hash config_hash(const Genesis& genesis) {
    rlp::Writer writer;
    writer.begin_list()
        .number(genesis.chain_id)
        .number(genesis.mini_epoch_length)
        .number(genesis.epoch_length)
        .number(genesis.cutoff)
        .number(genesis.block_interval_ms)
        .number(genesis.delta_ms)
        .begin_list();
    for (const GenesisValidator& v : genesis.validators) {
        writer.begin_list()
            .fixed(v.address)
            .fixed(v.consensus_key)
            .fixed(v.vrf_key)
            .fixed(v.p2p_key)
            .number(v.stake_wei)
            .end_list();
    }
    writer.end_list().end_list();
    return keccak256(writer.take());
}

Block genesis_block(const Genesis& genesis) {
    const auto update = state::state_root(kEmptyTrieRoot, genesis_state(genesis), state::NoNodes{});
    ASSERT(update.has_value());  // nothing lies below the empty trie that could be missing
    Block block;
    Header& h = block.header;
    h.ommers_hash = kEmptyListHash;
    h.state_root = update->root;
    h.transactions_root = kEmptyTrieRoot;
    h.receipts_root = kEmptyTrieRoot;
    h.gas_limit = genesis.gas_limit;
    h.timestamp = genesis.timestamp;
    h.extra_data = genesis.extra_data;
    h.prev_randao = genesis.prev_randao;
    h.base_fee_per_gas = genesis.base_fee_wei;
    h.withdrawals_root = kEmptyTrieRoot;
    h.blob_gas_used = 0;
    h.excess_blob_gas = 0;
    h.parent_beacon_block_root = config_hash(genesis);
    h.requests_hash = sha256({});  // EIP-7685: no requests
    block.withdrawals.emplace();
    return block;
}

Result<Hash, ConfigError> check_genesis(const Genesis& genesis) {
    const Hash hash = hash_header(genesis_block(genesis).header);
    if (!genesis.block_hash.is_zero() && genesis.block_hash != hash)
        return unexpected(
            ConfigError{ConfigErrorCode::mismatch, "genesis.hash",
                        "the file names " + to_hex0x(genesis.block_hash.bytes) +
                            " but block 0 is " + to_hex0x(hash.bytes),
                        "the file was changed after it was built; take the original one"});
    return hash;
}

}  // namespace trainyard::node::config
