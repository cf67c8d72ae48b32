// SPDX-License-Identifier: Apache-2.0
// The pool on a chain: what gossip may bring again, and delegated accounts.
#include "node/mempool/mempool.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "core/rlp.hpp"
#include "tests/node/chain/small_chain.hpp"

namespace trainyard::node::mempool {
namespace {

using chain::account_of;
using chain::key_of;

constexpr uint64_t kGwei = 1'000'000'000;

Tx payment(uint8_t from, uint64_t nonce, uint8_t to = 9, uint64_t value = 1) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 7777;
    tx.nonce = nonce;
    tx.max_fee_per_gas = Uint256(10 * kGwei);
    tx.max_priority_fee_per_gas = Uint256(kGwei);
    tx.gas_limit = 21'000;
    tx.to = account_of(to);
    tx.value = Uint256(value);
    sign_tx(tx, key_of(from));
    return tx;
}

/// Lets `authority` delegate its account to contract 1.
Authorization authorization_of(uint8_t authority, uint64_t nonce, uint64_t chain_id = 7777) {
    Authorization out;
    out.chain_id = Uint256(chain_id);
    out.address = chain::contract_of(1);
    out.nonce = nonce;
    // What is signed is the hash that recover_authority computes: keccak(05 | rlp(...)).
    rlp::Writer body;
    body.begin_list().number(out.chain_id).fixed(out.address).number(out.nonce).end_list();
    Bytes message{0x05};
    append(message, body.take());
    const auto signature = sign(key_of(authority), keccak256(message));
    out.r = from_be(BytesView(signature.rs.bytes).first(32));
    out.s = from_be(BytesView(signature.rs.bytes).subspan(32));
    out.y_parity = signature.y_parity;
    EXPECT_EQ(recover_authority(out), account_of(authority));
    return out;
}

Tx delegation(uint8_t from, uint64_t nonce, uint8_t authority, uint64_t authority_nonce) {
    Tx tx = payment(from, nonce);
    tx.type = TxType::set_code;
    tx.gas_limit = 100'000;
    tx.authorizations = {authorization_of(authority, authority_nonce)};
    sign_tx(tx, key_of(from));
    return tx;
}

struct Pool {
    chain::SmallChain small;
    Mempool pool;

    explicit Pool(const Limits& limits = {}) : pool(small.chain(), {.limits = limits}) {}
    std::string submit(const Tx& tx) {
        const auto taken = pool.submit(tx);
        return taken ? "taken" : to_text(taken.error());
    }
    void add_block(const std::vector<Tx>& txs) {
        small.add_block(txs);
        pool.on_head();
    }
};

TEST(mempool, takes_from_gossip_later_what_it_refused_for_a_passing_reason) {
    Pool p;
    Tx early = payment(1, 1025), poor = payment(20, 0), foreign = payment(2, 0);
    foreign.chain_id = 1;
    sign_tx(foreign, key_of(2));
    EXPECT_EQ(p.submit(early).substr(0, 14), "nonce too high");
    EXPECT_EQ(p.submit(poor).substr(0, 18), "insufficient funds");
    EXPECT_EQ(p.submit(foreign).substr(0, 16), "invalid chain id");
    for (const auto* tx : {&early, &poor, &foreign})
        EXPECT_TRUE(p.pool.is_known(hash_tx(*tx))) << "at this head";
    p.add_block({payment(1, 0, 20, 400'000 * kGwei)});
    EXPECT_FALSE(p.pool.is_known(hash_tx(early)));
    EXPECT_FALSE(p.pool.is_known(hash_tx(poor)));
    EXPECT_TRUE(p.pool.is_known(hash_tx(foreign)));
    EXPECT_EQ(p.submit(early), "taken");
    EXPECT_EQ(p.submit(poor), "taken");
    EXPECT_TRUE(p.pool.is_known(hash_tx(poor)));
}

TEST(mempool, takes_back_from_gossip_what_had_to_make_room) {
    Limits limits;
    limits.txs_max = 1;
    Pool p(limits);
    const Tx cheap = payment(1, 0);
    Tx better = payment(2, 0);
    better.max_priority_fee_per_gas = Uint256(2 * kGwei);
    sign_tx(better, key_of(2));
    ASSERT_EQ(p.submit(cheap), "taken");
    ASSERT_EQ(p.submit(better), "taken");
    EXPECT_FALSE(p.pool.is_known(hash_tx(cheap)));
    EXPECT_EQ(p.submit(cheap), "transaction underpriced");
    EXPECT_TRUE(p.pool.is_known(hash_tx(cheap)));
    p.add_block({better});
    EXPECT_TRUE(p.pool.is_known(hash_tx(better))) << "mined";
    EXPECT_EQ(p.submit(cheap), "taken");
}

TEST(mempool, a_delegated_account_has_one_transaction_in_flight) {
    Pool p;
    p.add_block({delegation(1, 0, 2, 0)});  // the nonce of account 2 is 1 now
    EXPECT_EQ(p.submit(payment(2, 2)), "gapped-nonce tx from delegated accounts");
    EXPECT_EQ(p.submit(payment(2, 1)), "taken");
    EXPECT_EQ(p.submit(payment(2, 2)),
              "in-flight transaction limit reached for delegated accounts");
    Tx more = payment(2, 1);
    more.max_fee_per_gas = Uint256(20 * kGwei);
    more.max_priority_fee_per_gas = Uint256(2 * kGwei);
    sign_tx(more, key_of(2));
    EXPECT_EQ(p.submit(more), "taken") << "in place of the other";
    p.add_block({more});
    EXPECT_EQ(p.submit(payment(2, 2)), "taken");
}

TEST(mempool, so_does_one_that_is_about_to_be_delegated) {
    Pool p;
    ASSERT_EQ(p.submit(delegation(1, 0, 2, 0)), "taken");
    EXPECT_EQ(p.submit(payment(2, 1)), "gapped-nonce tx from delegated accounts");
    EXPECT_EQ(p.submit(payment(2, 0)), "taken");
    EXPECT_EQ(p.submit(payment(2, 1)),
              "in-flight transaction limit reached for delegated accounts");
    EXPECT_EQ(p.submit(payment(3, 0)), "taken");
    EXPECT_EQ(p.submit(payment(3, 1)), "taken");
    EXPECT_EQ(p.submit(delegation(4, 0, 3, 0)).substr(0, 26), "authority already reserved");
}

TEST(mempool, an_authorization_that_can_delegate_nobody_binds_nobody) {
    Pool p;
    p.add_block({payment(2, 0)});
    Tx foreign = payment(3, 0);
    foreign.type = TxType::set_code;
    foreign.gas_limit = 100'000;
    foreign.authorizations = {authorization_of(4, 0, 1)};
    sign_tx(foreign, key_of(3));
    ASSERT_EQ(p.submit(delegation(1, 0, 2, 0)), "taken") << "used up: anybody may copy it";
    ASSERT_EQ(p.submit(foreign), "taken");
    for (const uint64_t nonce : {0, 1, 5}) EXPECT_EQ(p.submit(payment(4, nonce)), "taken");
    for (const uint64_t nonce : {1, 2, 5}) EXPECT_EQ(p.submit(payment(2, nonce)), "taken");
}

TEST(mempool, takes_back_what_was_in_a_block_that_the_chain_left) {
    Pool p;
    std::vector<Hash> told;
    p.pool.on_pending([&](const PooledPtr& tx) { told.push_back(tx->hash); });
    const Tx first = payment(1, 0), second = payment(1, 1), other = payment(2, 0);
    for (const auto* tx : {&first, &second, &other}) ASSERT_EQ(p.submit(*tx), "taken");
    const auto parent = p.small.head();
    p.add_block({first, other});
    ASSERT_EQ(p.pool.find(hash_tx(first)), nullptr);
    told.clear();
    p.small.add_block({other}, parent);
    p.pool.on_head();
    EXPECT_NE(p.pool.find(hash_tx(first)), nullptr);
    EXPECT_EQ(p.pool.find(hash_tx(other)), nullptr) << "mined in both";
    EXPECT_EQ(p.pool.counts().pending, 2u);
    EXPECT_EQ(told, (std::vector<Hash>{hash_tx(first), hash_tx(second)}));
}

TEST(mempool, takes_back_what_was_in_blocks_that_the_chain_has_forgotten) {
    Pool p;
    const Tx first = payment(1, 0), second = payment(1, 1), other = payment(2, 0);
    const auto parent = p.small.head();
    p.add_block({first});
    p.add_block({second});
    const auto final_block = p.small.add_block({other}, parent);
    consensus::bft::Certificate certificate;
    certificate.block = final_block->hash;
    ASSERT_TRUE(p.small.chain().finalise(final_block->hash, certificate));
    p.pool.on_head();
    EXPECT_EQ(p.pool.counts().pending, 2u);
    EXPECT_NE(p.pool.find(hash_tx(first)), nullptr);
}

TEST(mempool, counts_nonces_of_a_block_that_it_has_not_followed_yet) {
    Pool p;
    p.small.add_block({payment(1, 0), payment(1, 1)});
    EXPECT_EQ(p.pool.pending_nonce(account_of(1)), 2u);
}

TEST(mempool, catches_up_over_blocks_that_it_was_not_told_of) {
    Pool p;
    const Tx mined = payment(1, 0);
    ASSERT_EQ(p.submit(mined), "taken");
    p.small.add_block({mined});
    p.small.add_block({payment(2, 0)});
    p.pool.on_head();
    EXPECT_EQ(p.pool.find(hash_tx(mined)), nullptr);
}

TEST(mempool, an_account_that_was_delegated_keeps_its_next_transaction) {
    Pool p;
    for (uint64_t nonce = 0; nonce < 5; ++nonce) ASSERT_EQ(p.submit(payment(2, nonce)), "taken");
    p.add_block({delegation(1, 0, 2, 0)});  // not by way of this pool
    EXPECT_EQ(p.pool.counts().pending, 1u);
    EXPECT_NE(p.pool.find(hash_tx(payment(2, 1))), nullptr);
    EXPECT_FALSE(p.pool.is_known(hash_tx(payment(2, 3))));
}

/// Of use with ThreadSanitizer, too.
TEST(mempool, loses_nothing_while_many_submit_and_read_and_blocks_come_and_go) {
    constexpr uint8_t kSenders = 3;
    constexpr uint64_t kTxs = 50;
    Pool p;
    std::atomic<size_t> told{0};
    p.pool.on_pending([&](const PooledPtr&) { ++told; });
    std::vector<std::vector<Tx>> txs(kSenders);
    for (uint8_t s = 0; s < kSenders; ++s)
        for (uint64_t nonce = 0; nonce < kTxs; ++nonce)
            txs[s].push_back(payment(static_cast<uint8_t>(s + 1), nonce));

    std::atomic<bool> is_over{false};
    std::vector<std::thread> submitters, others;
    for (const auto& of_sender : txs)
        submitters.emplace_back([&] {
            for (const Tx& tx : of_sender) (void)p.pool.submit(tx), (void)p.pool.submit(tx);
        });
    others.emplace_back([&] {
        while (!is_over) p.pool.on_head(), std::this_thread::yield();
    });
    others.emplace_back([&] {
        for (size_t i = 0; !is_over; ++i) {
            (void)p.pool.content();
            (void)p.pool.counts();
            (void)p.pool.pending_nonce(account_of(static_cast<uint8_t>(1 + i % kSenders)));
            (void)p.pool.is_known(hash_tx(txs[i % kSenders][i % kTxs]));
            std::this_thread::yield();
        }
    });
    for (int round = 0; round < 30; ++round) {
        p.pool.on_head();
        const auto head = p.small.head();
        const auto next = p.pool.best(head->hash);
        std::vector<Tx> best;
        for (int i = 0; i < 3; ++i)
            if (auto candidate = next()) best.push_back(candidate->tx);
        p.small.add_block(best);
        if (round % 3 == 1) p.small.add_block({}, head);  // in its place
        if (round % 5 != 4) continue;
        consensus::bft::Certificate certificate;
        certificate.block = p.small.head()->hash;
        ASSERT_TRUE(p.small.chain().finalise(certificate.block, certificate));
    }
    for (auto& submitter : submitters) submitter.join();
    is_over = true;
    for (auto& other : others) other.join();
    p.pool.on_head();

    const auto view = p.small.chain().view(p.small.head()->hash);
    uint64_t waiting = 0;
    for (uint8_t s = 0; s < kSenders; ++s) {
        const auto account = view->account(account_of(static_cast<uint8_t>(s + 1)));
        for (uint64_t nonce = 0; nonce < kTxs; ++nonce)
            EXPECT_EQ(p.pool.find(hash_tx(txs[s][nonce])) == nullptr, nonce < account->nonce)
                << "sender " << s + 1 << ", nonce " << nonce << " of " << account->nonce;
        waiting += kTxs - account->nonce;
    }
    EXPECT_EQ(p.pool.counts().pending, waiting);
    EXPECT_EQ(p.pool.counts().queued, 0u);
    EXPECT_GE(told, kSenders * kTxs);
}

}  // namespace
}  // namespace trainyard::node::mempool
