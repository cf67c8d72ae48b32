// SPDX-License-Identifier: Apache-2.0
// The rules of the transaction pool, one by one.
#include "node/mempool/pool_state.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace trainyard::node::mempool {
namespace {

using consensus::TxInvalid;

constexpr uint64_t kGwei = 1'000'000'000;

SecretKey key_of(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}

consensus::ChainConfig test_config() {
    consensus::ChainConfig config;
    config.chain_id = 7777;
    return config;
}

struct Pool {
    consensus::ChainConfig config = test_config();
    std::map<Address, HeadAccount> accounts;
    Uint256 base_fee = Uint256(kGwei);
    uint64_t gas_limit = 30'000'000;
    PoolState state;

    explicit Pool(const Limits& limits = {}) : state(config, limits) {
        for (uint8_t n = 1; n < 50; ++n) accounts[who(n)].balance = Uint256(kGwei) * Uint256(kGwei);
        head();
    }
    static Address who(uint8_t n) { return *address_of(key_of(n)); }

    std::vector<PooledPtr> head() {
        return state.on_head(
            {config.fork_at(1, 1), base_fee, gas_limit},
            [this](const Address& a) { return accounts[a]; }, nullptr);
    }
    static Tx tx(uint8_t from, uint64_t nonce, uint64_t tip_gwei = 1, uint64_t cap_gwei = 10) {
        Tx out;
        out.type = TxType::dynamic_fee;
        out.chain_id = 7777;
        out.nonce = nonce;
        out.gas_limit = 21'000;
        out.max_priority_fee_per_gas = Uint256(tip_gwei) * Uint256(kGwei);
        out.max_fee_per_gas = Uint256(cap_gwei) * Uint256(kGwei);
        out.to = Address{};
        sign_tx(out, key_of(from));
        return out;
    }
    Result<PoolState::Added, PoolRefusal> add(const Tx& t, uint8_t from) {
        return state.add({t, hash_tx(t), who(from)}, accounts[who(from)]);
    }
    Result<PoolState::Added, PoolRefusal> add(uint8_t from, uint64_t nonce, uint64_t tip_gwei = 1,
                                              uint64_t cap_gwei = 10) {
        return add(tx(from, nonce, tip_gwei, cap_gwei), from);
    }
    std::string refusal(const Tx& t, uint8_t from) {
        const auto added = add(t, from);
        return added ? "taken" : to_text(added.error());
    }
    /// "sender:nonce" of the best transactions.
    std::vector<std::string> best() {
        std::vector<std::string> out;
        for (const auto& t : state.best(base_fee))
            for (uint8_t n = 1; n < 50; ++n)
                if (t->sender == who(n))
                    out.push_back(std::to_string(n) + ":" + std::to_string(t->tx.nonce));
        return out;
    }
};

using Order = std::vector<std::string>;

TEST(pool_state, gives_the_best_tip_first_and_each_sender_in_nonce_order) {
    Pool pool;
    ASSERT_TRUE(pool.add(1, 0, 1));
    ASSERT_TRUE(pool.add(1, 1, 9));
    ASSERT_TRUE(pool.add(2, 0, 5));
    ASSERT_TRUE(pool.add(3, 0, 5));
    EXPECT_EQ(pool.best(), (Order{"2:0", "3:0", "1:0", "1:1"}));
}

TEST(pool_state, leaves_out_what_cannot_pay_the_base_fee) {
    Pool pool;
    ASSERT_TRUE(pool.add(1, 0, 1, 3));
    ASSERT_TRUE(pool.add(1, 1, 1, 10));
    ASSERT_TRUE(pool.add(2, 0, 1, 10));
    pool.base_fee = Uint256(4 * kGwei);
    EXPECT_EQ(pool.best(), (Order{"2:0"}));
}

TEST(pool_state, orders_by_what_is_left_of_the_tip) {
    Pool pool;
    ASSERT_TRUE(pool.add(1, 0, 9, 9));  // 9 - 8 = 1 gwei of tip
    ASSERT_TRUE(pool.add(2, 0, 2, 10));
    pool.base_fee = Uint256(8 * kGwei);
    EXPECT_EQ(pool.best(), (Order{"2:0", "1:0"}));
}

TEST(pool_state, offers_also_what_comes_after_many_that_say_to_use_much_gas) {
    Pool pool;
    for (uint8_t n = 1; n < 30; ++n) {
        Tx greedy = Pool::tx(n, 0, 5);
        greedy.gas_limit = 16'000'000;
        sign_tx(greedy, key_of(n));
        ASSERT_TRUE(pool.add(greedy, n));
    }
    ASSERT_TRUE(pool.add(30, 0, 1));
    EXPECT_EQ(pool.best().back(), "30:0");
}

TEST(pool_state, keeps_a_gap_queued_until_it_closes) {
    Pool pool;
    const auto late = pool.add(1, 1);
    ASSERT_TRUE(late);
    EXPECT_TRUE(late->now_pending.empty());
    EXPECT_EQ(pool.state.pending_count(), 0u);
    EXPECT_EQ(pool.state.pending_nonce(Pool::who(1)), 0u);
    const auto first = pool.add(1, 0);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->now_pending.size(), 2u);
    EXPECT_EQ(pool.state.pending_count(), 2u);
    EXPECT_EQ(pool.state.pending_nonce(Pool::who(1)), 2u);
    EXPECT_EQ(pool.best(), (Order{"1:0", "1:1"}));
}

TEST(pool_state, replaces_only_for_ten_percent_more_in_both_fees) {
    Pool pool;
    auto old = Pool::tx(1, 0, 10, 100);
    ASSERT_TRUE(pool.add(old, 1));
    EXPECT_EQ(pool.refusal(old, 1), "already known");
    EXPECT_EQ(pool.refusal(Pool::tx(1, 0, 11, 109), 1), "replacement transaction underpriced");
    EXPECT_EQ(pool.refusal(Pool::tx(1, 0, 10, 110), 1), "replacement transaction underpriced");
    EXPECT_EQ(pool.refusal(Pool::tx(1, 0, 11, 110), 1), "taken");
    EXPECT_EQ(pool.state.size(), 1u);
    EXPECT_FALSE(pool.state.find(hash_tx(old)));
}

TEST(pool_state, a_replacement_frees_the_funds_of_the_old) {
    Pool pool;
    pool.accounts[Pool::who(1)].balance = Uint256(21'000) * Uint256(25 * kGwei);
    ASSERT_TRUE(pool.add(1, 0, 1, 20));
    EXPECT_EQ(pool.refusal(Pool::tx(1, 0, 2, 25), 1), "taken");
}

TEST(pool_state, rejects_in_the_words_of_geth) {
    Pool pool;
    pool.accounts[Pool::who(1)].nonce = 5;
    EXPECT_EQ(pool.refusal(Pool::tx(1, 4), 1), "nonce too low: next nonce 5, tx nonce 4");
    EXPECT_EQ(pool.refusal(Pool::tx(1, 5 + 1025), 1).substr(0, 14), "nonce too high");
    auto change = Pool::tx(1, 5);
    change.chain_id = 1;
    EXPECT_EQ(pool.refusal(change, 1).substr(0, 16), "invalid chain id");
    change = Pool::tx(1, 5);
    change.gas_limit = 20'999;
    EXPECT_EQ(pool.refusal(change, 1).substr(0, 21), "intrinsic gas too low");
    change = Pool::tx(1, 5, 2, 1);
    EXPECT_EQ(pool.refusal(change, 1).substr(0, 56),
              "max priority fee per gas higher than max fee per gas");
    change = Pool::tx(1, 5);
    change.value = Uint256::max();
    EXPECT_EQ(pool.refusal(change, 1).substr(0, 43), "insufficient funds for gas * price + value:");
    EXPECT_EQ(pool.refusal(Pool::tx(1, 5, 0), 1).substr(0, 23), "transaction underpriced");
    change = Pool::tx(1, 5);
    change.type = TxType::blob;
    change.blob_hashes = {Hash{}};
    EXPECT_EQ(pool.refusal(change, 1), "transaction type not supported");
    pool.accounts[Pool::who(1)].has_code = true;
    EXPECT_EQ(pool.refusal(Pool::tx(1, 5), 1).substr(0, 17), "sender not an eoa");
}

TEST(pool_state, rejects_gas_above_the_block_and_data_above_the_limit) {
    Limits limits;
    limits.tx_size_bytes_max = 1000;
    Pool pool(limits);
    pool.gas_limit = 50'000;
    EXPECT_TRUE(pool.head().empty());
    auto big = Pool::tx(1, 0);
    big.gas_limit = 60'000;
    EXPECT_EQ(pool.refusal(big, 1), "exceeds block gas limit");
    big.gas_limit = 50'000;
    big.data.resize(1000);
    EXPECT_EQ(pool.refusal(big, 1).substr(0, 14), "oversized data");
}

TEST(pool_state, rejects_a_sender_that_queues_beyond_its_funds_or_share) {
    Limits limits;
    limits.txs_per_sender_max = 3;
    Pool pool(limits);
    pool.accounts[Pool::who(1)].balance = Uint256(21'000) * Uint256(25 * kGwei);
    ASSERT_TRUE(pool.add(1, 0));
    ASSERT_TRUE(pool.add(1, 1));
    EXPECT_EQ(pool.refusal(Pool::tx(1, 2), 1).substr(0, 42),
              "insufficient funds for gas * price + value");
    for (uint64_t nonce = 0; nonce < 3; ++nonce) ASSERT_TRUE(pool.add(2, nonce));
    EXPECT_EQ(pool.refusal(Pool::tx(2, 3), 2).substr(0, 22), "account limit exceeded");
}

TEST(pool_state, judges_what_it_holds_before_authorities_are_recovered) {
    Limits limits;
    limits.txs_max = 3;
    limits.txs_per_sender_max = 2;
    Pool p(limits);
    const auto judge = [&](const Tx& tx, uint8_t from) {
        const auto done = p.state.check(tx, Pool::who(from), p.accounts[Pool::who(from)]);
        return done ? "fine" : to_text(done.error());
    };
    ASSERT_TRUE(p.add(1, 0, 5) && p.add(1, 1, 5));
    EXPECT_EQ(judge(Pool::tx(1, 0, 5), 1), "replacement transaction underpriced");
    EXPECT_EQ(judge(Pool::tx(1, 2, 9), 1).substr(0, 22), "account limit exceeded");
    ASSERT_TRUE(p.add(2, 0, 5));
    EXPECT_EQ(judge(Pool::tx(3, 0, 5), 3), "transaction underpriced");
    EXPECT_EQ(judge(Pool::tx(3, 1, 9), 3), "txpool is full");
    EXPECT_EQ(judge(Pool::tx(3, 0, 6), 3), "fine");
    EXPECT_EQ(judge(Pool::tx(1, 0, 6, 11), 1), "fine");
    EXPECT_EQ(p.state.size(), 3u) << "nothing was dropped";
}

TEST(pool_state, evicts_the_cheapest_when_full_but_no_nonce_before_another) {
    Limits limits;
    limits.txs_max = 3;
    Pool pool(limits);
    ASSERT_TRUE(pool.add(1, 0, 1));
    ASSERT_TRUE(pool.add(1, 1, 8));
    ASSERT_TRUE(pool.add(2, 0, 5));
    EXPECT_EQ(pool.refusal(Pool::tx(3, 0, 1), 3), "transaction underpriced");
    ASSERT_TRUE(pool.add(3, 0, 6));
    EXPECT_EQ(pool.best(), (Order{"3:0", "2:0", "1:0"}));  // 1:1 waited behind the cheapest
    EXPECT_EQ(pool.refusal(Pool::tx(3, 1, 1), 3), "transaction underpriced");
    Limits one;
    one.txs_max = 1;
    Pool small(one);
    ASSERT_TRUE(small.add(1, 0));
    EXPECT_EQ(small.refusal(Pool::tx(1, 1, 9), 1), "txpool is full");
}

TEST(pool_state, what_waits_behind_a_gap_holds_no_place_against_what_can_run) {
    Limits limits;
    limits.txs_max = 4;
    Pool pool(limits);
    ASSERT_TRUE(pool.add(1, 1, 9));
    ASSERT_TRUE(pool.add(1, 2, 9));
    ASSERT_TRUE(pool.add(2, 5, 8));
    ASSERT_TRUE(pool.add(3, 0, 1));
    ASSERT_TRUE(pool.add(4, 0, 1)) << "the cheapest that cannot run goes, at any price";
    EXPECT_EQ(pool.state.pending_nonce(Pool::who(2)), std::nullopt);
    ASSERT_TRUE(pool.add(5, 0, 1));
    EXPECT_EQ(pool.refusal(Pool::tx(6, 3, 9), 6), "txpool is full") << "no better than the rest";
    ASSERT_TRUE(pool.add(6, 3, 10)) << "but than the cheapest of its kind";
    ASSERT_TRUE(pool.add(7, 0, 1));
    EXPECT_EQ(pool.refusal(Pool::tx(8, 3, 10), 8), "txpool is full");
    EXPECT_EQ(pool.refusal(Pool::tx(8, 0, 1), 8), "transaction underpriced");
    EXPECT_EQ(pool.state.pending_count(), 4U);
}

TEST(pool_state, a_replacement_cannot_outgrow_the_pool) {
    Limits limits;
    limits.bytes_max = 1000;
    Pool pool(limits);
    ASSERT_TRUE(pool.add(1, 0, 1));
    Tx larger = Pool::tx(1, 0, 2, 20);
    larger.data = Bytes(1000);
    larger.gas_limit = 100'000;
    sign_tx(larger, key_of(1));
    EXPECT_EQ(pool.refusal(larger, 1), "txpool is full");
    EXPECT_EQ(pool.best(), (Order{"1:0"}));
    ASSERT_TRUE(pool.add(1, 0, 2, 20));
    EXPECT_LE(pool.state.bytes(), limits.bytes_max);
}

TEST(pool_state, forgets_what_a_new_head_made_useless) {
    Pool pool;
    for (uint64_t nonce = 0; nonce < 3; ++nonce) ASSERT_TRUE(pool.add(1, nonce));
    ASSERT_TRUE(pool.add(2, 0));
    pool.accounts[Pool::who(1)].nonce = 2;
    pool.accounts[Pool::who(2)].balance = Uint256(0);
    EXPECT_TRUE(pool.head().empty());
    EXPECT_EQ(pool.best(), (Order{"1:2"}));
    EXPECT_EQ(pool.state.size(), 1u);
}

TEST(pool_state, tells_what_a_new_head_set_free) {
    Pool pool;
    ASSERT_TRUE(pool.add(1, 1));
    pool.accounts[Pool::who(1)].nonce = 1;
    const auto free = pool.head();
    ASSERT_EQ(free.size(), 1u);
    EXPECT_EQ(free[0]->tx.nonce, 1u);
}

TEST(pool_state, looks_only_at_touched_accounts_if_told_so) {
    Pool pool;
    ASSERT_TRUE(pool.add(1, 0));
    ASSERT_TRUE(pool.add(2, 0));
    pool.accounts[Pool::who(1)].nonce = 1;
    pool.accounts[Pool::who(2)].nonce = 1;
    const std::vector<Address> touched{Pool::who(1), Pool::who(9)};
    const auto free = pool.state.on_head(
        {pool.config.fork_at(1, 1), pool.base_fee, 30'000'000},
        [&](const Address& a) { return pool.accounts[a]; }, &touched);
    EXPECT_TRUE(free.empty());
    EXPECT_EQ(pool.best(), (Order{"2:0"}));
}

/// Random operations against the invariants that the header states; the seed is in the message.
TEST(pool_state, keeps_its_invariants_under_random_operations) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937 random(seed);
        Limits limits;
        limits.txs_max = 24;
        limits.txs_per_sender_max = 8;
        Pool pool(limits);
        pool.accounts[Pool::who(6)].is_delegated = true;
        for (int i = 0; i < 300; ++i) {
            const auto from = static_cast<uint8_t>(1 + random() % 6);
            if (random() % 8 == 0) {
                pool.accounts[Pool::who(from)].nonce += random() % 3;
                pool.head();
                continue;
            }
            const uint64_t nonce = pool.accounts[Pool::who(from)].nonce + random() % 6;
            const uint64_t tip = 1 + random() % 20;
            const Tx tx = Pool::tx(from, nonce, tip, tip + random() % 20);
            std::vector<Address> authorities;
            if (random() % 8 == 0)
                authorities.push_back(Pool::who(static_cast<uint8_t>(1 + random() % 6)));
            static_cast<void>(
                pool.state.add({tx, hash_tx(tx), Pool::who(from), std::move(authorities)},
                               pool.accounts[Pool::who(from)]));
            size_t seen = 0, bytes = 0, pending = 0, of_delegated = 0;
            std::set<std::pair<Address, uint64_t>> places;
            std::map<Address, uint64_t> next;
            pool.state.visit([&](const Pooled& t, bool is_pending) {
                ++seen;
                bytes += t.size_bytes;
                pending += is_pending;
                of_delegated += t.sender == Pool::who(6);
                EXPECT_TRUE(places.insert({t.sender, t.tx.nonce}).second);
                EXPECT_GE(t.tx.nonce, pool.accounts[t.sender].nonce);
                auto [it, fresh] = next.try_emplace(t.sender, pool.accounts[t.sender].nonce);
                EXPECT_EQ(is_pending, t.tx.nonce == it->second);
                if (is_pending) ++it->second;
                EXPECT_EQ(pool.state.find(t.hash)->tx, t.tx);
            });
            EXPECT_EQ(seen, pool.state.size());
            EXPECT_EQ(bytes, pool.state.bytes());
            EXPECT_EQ(pending, pool.state.pending_count());
            EXPECT_LE(seen, limits.txs_max);
            EXPECT_LE(of_delegated, 1u);
            if (::testing::Test::HasFailure()) return;
        }
    }
}

}  // namespace
}  // namespace trainyard::node::mempool
