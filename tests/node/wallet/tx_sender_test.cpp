// SPDX-License-Identifier: Apache-2.0
// What becomes of transactions when gas gets dearer, pools forget and processes end.
#include "node/wallet/tx_sender.hpp"

#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/node/wallet/fake_tx_chain.hpp"
#include "tests/state/temporary_folder.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr uint32_t kLong = 20'000, kShort = 60;  // ms

Uint256 gwei(uint64_t n) {
    return FakeTxChain::gwei(n);
}

TEST(fees, leave_room_for_a_base_fee_that_doubles_below_the_bound) {
    EXPECT_EQ(first_fees(gwei(10), gwei(1000)), (Fees{gwei(1), gwei(21)}));
    EXPECT_EQ(first_fees(gwei(10), gwei(15)), (Fees{gwei(1), gwei(15)}));
    EXPECT_EQ(first_fees(gwei(10), gwei(22)), (Fees{gwei(1), gwei(22)}))
        << "21 could not be raised by a tenth any more";
    EXPECT_EQ(first_fees(gwei(10), gwei(11)), (Fees{gwei(1), gwei(11)}));
    EXPECT_EQ(first_fees(Uint256(7), gwei(1)), (Fees{gwei(1) - Uint256(7), gwei(1)}));
    EXPECT_FALSE(first_fees(gwei(10), gwei(10)));
}

TEST(fees, rise_by_what_pools_ask_for_and_to_the_bound_at_last) {
    const auto is_bumped = [](const Fees& a, const Fees& b) {
        return b.fee_max * Uint256(10) >= a.fee_max * Uint256(11) &&
               b.tip_max * Uint256(10) >= a.tip_max * Uint256(11);
    };
    Fees now = *first_fees(gwei(10), gwei(1000));
    const auto dear = raised_fees(now, gwei(100), gwei(1000));
    ASSERT_TRUE(dear);
    EXPECT_GT(dear->fee_max, gwei(200)) << "room for the new base fee";
    int steps = 0;
    for (auto next = raised_fees(now, gwei(10), gwei(1000)); next; ++steps) {
        EXPECT_TRUE(is_bumped(now, *next));
        EXPECT_LE(next->fee_max, gwei(1000));
        now = *next;
        next = raised_fees(now, gwei(10), gwei(1000));
    }
    EXPECT_EQ(now.fee_max, gwei(1000));
    EXPECT_LT(steps, 40);
    EXPECT_FALSE(raised_fees({Uint256(1), Uint256(1)}, gwei(1), Uint256(1)));
}

class tx_sender : public ::testing::Test {
protected:
    void SetUp() override {
        key_.bytes[31] = 5;
        options_.poll_ms = 0;
        options_.say = [this](const std::string& text) { said_.push_back(text); };
    }

    std::unique_ptr<TxSender> make() { return std::make_unique<TxSender>(chain_, key_, options_); }
    static SendRequest request(uint8_t n) {
        Address to;
        to.bytes[0] = 0xaa;
        return {to, Uint256(n), Bytes{n}};
    }
    std::vector<uint8_t> effects() const {
        std::vector<uint8_t> out;
        for (const Tx& tx : chain_.included)
            if (!tx.data.empty()) out.push_back(tx.data[0]);
        return out;
    }
    bool has_said(std::string_view words) const {
        for (const auto& text : said_)
            if (text.find(words) != std::string::npos) return true;
        return false;
    }

    FakeTxChain chain_;
    SecretKey key_;
    SenderOptions options_;
    state::TemporaryFolder temporary_;
    std::string folder_ = temporary_.path() + "/outbox";  ///< not there yet
    std::vector<std::string> said_;
};

TEST_F(tx_sender, sends_once_where_gas_stays_as_it_is) {
    auto sender = make();
    ASSERT_TRUE(sender->send(request(1), kLong));
    ASSERT_TRUE(sender->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1, 2}));
    EXPECT_EQ(chain_.taken.size(), 2u);
    EXPECT_EQ(sender->status().raised, 0u);
    EXPECT_TRUE(said_.empty());
}

TEST_F(tx_sender, raises_fees_under_the_same_nonce_when_the_base_fee_outgrows_them) {
    chain_.before_block = [this] { chain_.base_gwei += 20; };  // 21 Gwei are too little at once
    chain_.base_gwei = 10;
    auto sender = make();
    const auto sent = sender->send(request(1), kLong);
    ASSERT_TRUE(sent) << sent.error().text;
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
    EXPECT_GE(sender->status().raised, 1u);
    EXPECT_FALSE(sender->status().is_stuck);
    for (const Tx& tx : chain_.taken) EXPECT_EQ(tx.nonce, 7u);
    EXPECT_TRUE(has_said("in place of one that waited"));
}

TEST_F(tx_sender, raises_the_tip_late_where_blocks_are_full) {
    auto sender = make();
    chain_.tip_least_wei = gwei(1) + Uint256(1);
    ASSERT_TRUE(sender->send(request(1), kLong));
    EXPECT_EQ(sender->status().raised, 1u);
    EXPECT_GE(chain_.number, 100u + 4 * options_.patience_blocks);
    EXPECT_LT(chain_.included[0].max_priority_fee_per_gas, gwei(2));
}

TEST_F(tx_sender, stops_at_the_bound_says_so_once_and_goes_on_when_gas_is_cheaper) {
    options_.fee_max_wei = gwei(50);
    auto sender = make();
    chain_.before_block = [this] { chain_.base_gwei = 100; };
    const auto sent = sender->send(request(1), kShort);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, WalletErrorCode::timeout);
    EXPECT_TRUE(sender->status().is_stuck);
    EXPECT_TRUE(has_said("50 Gwei for a gas, which is all that the bound allows"));
    const size_t lines = said_.size();
    EXPECT_EQ(sender->send(request(2), kShort).error().code, WalletErrorCode::timeout);
    EXPECT_EQ(said_.size(), lines);
    for (const Tx& tx : chain_.taken) {
        EXPECT_EQ(tx.nonce, 7u) << "nothing is sent behind one that waits";
        EXPECT_LE(tx.max_fee_per_gas, gwei(50));
    }
    chain_.before_block = [this] { chain_.base_gwei = 10; };
    ASSERT_TRUE(sender->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1, 2}));
    EXPECT_FALSE(sender->status().is_stuck);
}

TEST_F(tx_sender, sends_nothing_that_could_only_wait) {
    options_.fee_max_wei = gwei(5);
    auto sender = make();
    EXPECT_EQ(sender->send(request(1), kLong).error().code, WalletErrorCode::too_dear);
    EXPECT_TRUE(has_said("gas costs 10 Gwei, the bound is 5 Gwei"));
    EXPECT_TRUE(chain_.taken.empty());
    EXPECT_TRUE(sender->status().is_stuck);
    chain_.base_gwei = 2;
    EXPECT_TRUE(sender->send(request(1), kLong));
    EXPECT_FALSE(sender->status().is_stuck);
}

TEST_F(tx_sender, does_not_send_a_request_twice_that_is_on_its_way) {
    auto sender = make();
    options_.fee_max_wei = gwei(1000);
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(sender->send(request(1), kShort));
    chain_.before_block = [this] { chain_.base_gwei = 1; };
    ASSERT_TRUE(sender->send(request(1), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
}

TEST_F(tx_sender, follows_after_a_restart_what_was_on_its_way) {
    options_.folder = folder_;
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    EXPECT_FALSE(make()->send(request(1), kShort));
    EXPECT_FALSE(make()->send(request(1), kShort)) << "the same request again";
    chain_.pool.clear();  // the node was started again, too
    chain_.before_block = [this] { chain_.base_gwei = 100; };
    ASSERT_TRUE(make()->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1, 2}));
    EXPECT_TRUE(has_said("on its way at the last end"));
    EXPECT_TRUE(list_folder(folder_).empty());
}

TEST_F(tx_sender, learns_after_a_restart_what_happened_meanwhile) {
    options_.folder = folder_;
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    EXPECT_FALSE(make()->send(request(1), kShort));
    chain_.before_block = [this] { chain_.base_gwei = 1; };
    chain_.mine();
    ASSERT_EQ(effects(), (std::vector<uint8_t>{1}));
    EXPECT_TRUE(make()->send(request(1), kLong)) << "its receipt";
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
}

TEST_F(tx_sender, leaves_alone_what_was_sent_on_another_chain) {
    options_.folder = folder_;
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    EXPECT_FALSE(make()->send(request(1), kShort));
    chain_ = {};
    chain_.genesis.bytes[0] = 1;
    chain_.used = 0;
    ASSERT_TRUE(make()->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{2}));
}

TEST_F(tx_sender, works_at_a_node_that_has_forgotten_block_zero) {
    options_.folder = folder_;
    chain_.is_pruned = true;
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    EXPECT_FALSE(make()->send(request(1), kShort));
    chain_.before_block = [this] { chain_.base_gwei = 1; };
    ASSERT_TRUE(make()->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1, 2}));
}

TEST_F(tx_sender, a_damaged_file_is_no_concern) {
    options_.folder = folder_;
    chain_.before_block = [this] { chain_.base_gwei = 5000; };
    EXPECT_FALSE(make()->send(request(1), kShort));
    const auto names = list_folder(folder_);
    ASSERT_EQ(names.size(), 1u);
    auto content = *read_file(folder_ + "/" + names[0], 1 << 20);
    content[content.size() / 2] ^= 0x10;
    ASSERT_TRUE(write_file(folder_ + "/" + names[0], content));
    chain_ = {};
    EXPECT_TRUE(make()->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{2}));
}

TEST_F(tx_sender, a_broken_connection_does_not_make_a_second_transaction) {
    auto sender = make();
    chain_.loses_answers = true;
    ASSERT_TRUE(sender->send(request(1), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
    EXPECT_EQ(chain_.taken.size(), 1u);
}

TEST_F(tx_sender, a_refused_transaction_is_not_followed) {
    options_.folder = folder_;
    auto sender = make();
    chain_.refusal = "insufficient funds for gas * price + value";
    EXPECT_EQ(sender->send(request(1), kLong).error().code, WalletErrorCode::rpc);
    EXPECT_TRUE(list_folder(folder_).empty());
    chain_.refusal.clear();
    EXPECT_TRUE(sender->send(request(2), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{2}));
}

TEST_F(tx_sender, says_that_another_machine_used_the_nonce) {
    auto sender = make();
    chain_.before_block = [this] {
        if (!chain_.pool.empty()) ++chain_.used;
        chain_.pool.clear();
    };
    const auto sent = sender->send(request(1), kLong);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, WalletErrorCode::too_late);
    chain_.before_block = {};
    EXPECT_TRUE(sender->send(request(1), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
}

TEST_F(tx_sender, fills_a_nonce_before_its_own_that_the_pool_forgot) {
    Tx stranger;
    stranger.type = TxType::dynamic_fee;
    stranger.chain_id = 747271;
    stranger.nonce = 7;
    chain_.pool[7] = stranger;  // of the same account, without fees
    auto sender = make();
    int blocks = 0;
    chain_.before_block = [&] {
        if (++blocks == 3) chain_.pool.erase(7);
    };
    ASSERT_TRUE(sender->send(request(1), kLong));
    EXPECT_EQ(effects(), (std::vector<uint8_t>{1}));
    ASSERT_EQ(chain_.included.size(), 2u);
    EXPECT_EQ(chain_.included[0].to, sender->address());
    EXPECT_TRUE(chain_.included[0].value.is_zero());
}

}  // namespace
}  // namespace trainyard::node::wallet
