// SPDX-License-Identifier: Apache-2.0
// Blocks for tests of the store, which asks no more of one than that it follows the head.
#pragma once

#include "state/world.hpp"

namespace trainyard::state {

inline Address address_at(uint8_t i) {
    Address address;
    address.bytes.fill(i);
    return address;
}

/// A legacy transaction that no other block has.
inline Tx tx_of_block(uint64_t number) {
    Tx tx;
    tx.nonce = number;
    tx.r = tx.s = 1;
    return tx;
}

/// Follows the head, with one transaction; its state root is still to be set.
inline Block next_block(const World& world) {
    const auto head = world.head();
    Block block;
    Header& header = block.header;
    header.number = head ? head->header.number + 1 : 0;
    header.parent_hash = head ? head->hash : Hash{};
    header.withdrawals_root = kEmptyTrieRoot;
    header.base_fee_per_gas = 7;
    block.withdrawals.emplace();
    block.txs.push_back(tx_of_block(header.number));
    return block;
}

/// The state root of the head; that of the empty state before genesis.
inline Hash head_root(const World& world) {
    const auto head = world.head();
    return head ? head->header.state_root : kEmptyTrieRoot;
}

}  // namespace trainyard::state
