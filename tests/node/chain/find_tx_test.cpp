// SPDX-License-Identifier: Apache-2.0
// Where a transaction is, also while branches come and go.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/node/chain/small_chain.hpp"

namespace trainyard::node::chain {
namespace {

Tx payment_of(uint8_t who, uint64_t nonce = 0) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 7777;
    tx.nonce = nonce;
    tx.max_fee_per_gas = Uint256(10'000'000'000);
    tx.gas_limit = 21'000;
    tx.to = account_of(9);
    sign_tx(tx, key_of(who));
    return tx;
}

/// The hash of the block and the place in it; nothing where it is not found.
using Found = std::optional<std::pair<Hash, size_t>>;
Found find(SmallChain& small, const Tx& tx) {
    const auto place = small.chain().find_tx(hash_tx(tx));
    if (!place) return std::nullopt;
    return std::pair(place->block->hash, place->index);
}

void finalise(SmallChain& small, const ChainBlockPtr& block) {
    consensus::bft::Certificate certificate;
    certificate.block = block->hash;
    EXPECT_TRUE(small.chain().finalise(block->hash, certificate));
}

TEST(find_tx, follows_the_branch_of_the_latest_block) {
    SmallChain small;
    const auto root = small.head();
    const Tx one = payment_of(1), two = payment_of(2), three = payment_of(3);
    const auto a1 = small.add_block({one, two}, root);
    const auto a2 = small.add_block({three}, a1);
    const Found in_a[] = {{{a1->hash, 0}}, {{a1->hash, 1}}, {{a2->hash, 0}}};
    EXPECT_EQ(find(small, one), in_a[0]);
    EXPECT_EQ(find(small, two), in_a[1]);
    EXPECT_EQ(find(small, three), in_a[2]);

    const auto b1 = small.add_block({three, two}, root);
    EXPECT_EQ(find(small, one), std::nullopt);
    EXPECT_EQ(find(small, two), Found({b1->hash, 1}));
    EXPECT_EQ(find(small, three), Found({b1->hash, 0}));

    small.chain().certify(a2->hash);
    EXPECT_EQ(find(small, one), in_a[0]);
    EXPECT_EQ(find(small, two), in_a[1]);
    EXPECT_EQ(find(small, three), in_a[2]);
    small.chain().certify(a1->hash);
    EXPECT_EQ(find(small, three), std::nullopt);

    finalise(small, b1);
    EXPECT_EQ(find(small, one), std::nullopt);
    EXPECT_EQ(find(small, two), Found({b1->hash, 1}));
    EXPECT_EQ(find(small, three), Found({b1->hash, 0}));
}

/// Of use with ThreadSanitizer above all; a block's transactions are hashed by whoever asks first.
TEST(find_tx, answers_many_threads_while_blocks_come_and_become_final) {
    constexpr uint64_t kBlocks = 40;
    SmallChain small;
    std::vector<Tx> txs;
    for (uint64_t n = 0; n < kBlocks; ++n) txs.push_back(payment_of(1, n));
    std::atomic<uint64_t> added{0};
    std::vector<std::thread> readers;
    for (size_t r = 0; r < 3; ++r)
        readers.emplace_back([&] {
            for (uint64_t height = 0; height < kBlocks;) {
                height = added;
                for (uint64_t n = 0; n < height; ++n) {
                    const auto place = small.chain().find_tx(hash_tx(txs[n]));
                    if (!place || place->block->height() != n + 1) {
                        ADD_FAILURE() << "transaction " << n << " of " << height;
                        return;
                    }
                }
            }
        });
    for (uint64_t n = 0; n < kBlocks; ++n) {
        const auto block = small.add_block({txs[n]});
        added = n + 1;
        if (n % 3 == 2) finalise(small, block);
    }
    for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace trainyard::node::chain
