// SPDX-License-Identifier: Apache-2.0
// A chain of one validator in memory, for tests of what stands on a chain.
#pragma once

#include <gtest/gtest.h>

#include "consensus/bft/seal.hpp"
#include "node/chain/chain.hpp"
#include "state/kv.hpp"
#include "tests/node/chain/quick_genesis.hpp"

namespace trainyard::node::chain {

inline SecretKey key_of(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}
inline Address account_of(uint8_t n) {
    return *address_of(key_of(n));
}
inline Address contract_of(uint8_t n) {
    Address address;
    address[0] = 0xcc;
    address[19] = n;
    return address;
}

class SmallChain {
public:
    /// Accounts 1 to 9 have 10^18 wei each; `change` adds to that.
    explicit SmallChain(const std::function<void(config::Genesis&)>& change = {}) {
        std::vector<consensus::Validator> validators(1);
        auto& v = validators[0];
        v.address = account_of(101);
        v.consensus_key = *public_key(key_of(102));
        v.vrf_key = *public_key(key_of(103));
        v.p2p_key = *public_key(key_of(104));
        v.stake_gwei = 32'000'000'000;
        config::Genesis genesis = quick_genesis();
        genesis.validators.push_back({v.address, v.consensus_key, v.vrf_key, v.p2p_key,
                                      Uint256(v.stake_gwei) * Uint256(1'000'000'000), ""});
        for (uint8_t n = 1; n < 10; ++n)
            genesis.alloc[account_of(n)].balance = Uint256(1'000'000'000'000'000'000);
        if (change) change(genesis);
        consensus::ChainConfig config;
        config.chain_id = genesis.chain_id;
        auto opened =
            Chain::open(*kv_, {config, genesis, *consensus::ValidatorSet::make(validators)});
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().what);
        chain_ = std::move(*opened);
    }
    [[nodiscard]] Chain& chain() { return *chain_; }
    [[nodiscard]] ChainBlockPtr head() const { return chain_->latest(); }

    /// A block with these transactions becomes the latest.
    ChainBlockPtr add_block(const std::vector<Tx>& txs) { return add_block(txs, head()); }
    ChainBlockPtr add_block(const std::vector<Tx>& txs, const ChainBlockPtr& parent) {
        consensus::bft::Seal seal;
        seal.view = View{parent->height() + 1};
        seal.parent_view = View{parent->height()};
        BuildRequest request;
        request.parent = parent->block.header;
        request.parent_hash = parent->hash;
        request.extra_data = consensus::bft::encode_seal(seal);
        request.prev_randao = keccak256(parent->hash.bytes);
        request.beneficiary = account_of(101);
        request.now_s = parent->block.header.timestamp + 1;
        size_t next = 0;
        const auto block = chain_->build(request, [&]() -> std::optional<consensus::Candidate> {
            if (next == txs.size()) return std::nullopt;
            const Tx& tx = txs[next++];
            return consensus::Candidate{tx, *recover_sender(tx)};
        });
        chain_->certify(block->hash);
        EXPECT_EQ(head()->block.txs.size(), txs.size());
        return head();
    }

private:
    std::unique_ptr<state::Kv> kv_ = state::make_memory_kv();
    std::unique_ptr<Chain> chain_;
};

}  // namespace trainyard::node::chain
