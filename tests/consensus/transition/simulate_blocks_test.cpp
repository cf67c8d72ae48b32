// SPDX-License-Identifier: Apache-2.0
// Simulated blocks: what carries over from one to the next, and what is refused.
#include "consensus/transition/simulate_blocks.hpp"

#include <gtest/gtest.h>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

using Kind = SimulateError::Kind;
using Blocks = std::vector<SimulatedBlock>;

constexpr uint64_t kGasMax = 50'000'000;

/// A base block whose state root is that of the world, so that roots can be computed.
struct Base {
    TestWorld world;
    SimulateRequest request;
    uint64_t gas_max = kGasMax;
    std::function<bool()> is_time_up;
    state::StateDiff base_diff;

    BlockCalls& block() { return request.blocks.emplace_back(); }

    Result<Blocks, SimulateError> run() {
        for (uint8_t n = 1; n <= 3; ++n)
            base_diff.accounts[account_number(n)].emplace().balance =
                Uint256(1'000'000'000) * Uint256(1'000'000'000'000);
        const auto update = state::state_root(kEmptyTrieRoot, base_diff, state::NoNodes{});
        const state::NoNodes none;
        const state::LayeredNodes nodes(none, update->new_nodes);
        world.parent.state_root = update->root;
        const state::TrieView view(nodes, update->root);
        const auto hashes = [](uint64_t number) { return to_hash(Uint256(1000 + number)); };
        return simulate_blocks(
            {view, nodes, world.parent, hashes, world.config, gas_max, is_time_up}, request);
    }
    SimulateError error() {
        auto done = run();
        EXPECT_FALSE(done);
        return done ? SimulateError{} : done.error();
    }
    Blocks blocks() {
        auto done = run();
        EXPECT_TRUE(done) << static_cast<int>(done ? Kind{} : done.error().kind);
        return done ? std::move(*done) : Blocks{};
    }
};

CallArgs call_of(const Address& from, std::optional<Address> to, std::string_view data = "") {
    CallArgs call;
    call.from = from;
    call.to = to;
    call.data = *from_hex(data);
    return call;
}

CallArgs transfer(uint8_t from, const Address& to, const Uint256& value) {
    CallArgs call = call_of(account_number(from), to);
    call.value = value;
    return call;
}

void put_code(BlockCalls& block, const Address& address, std::string_view code) {
    block.accounts[address].code = *from_hex(code);
}

TEST(simulate_blocks, fill_gaps_and_chain_hashes_numbers_and_times) {
    Base base;
    base.block();
    base.block().block.number = base.world.parent.number + 4;
    base.request.blocks.back().block.time = base.world.parent.timestamp + 100;
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 4u);
    Hash parent = to_hash(Uint256(1000 + base.world.parent.number));
    for (size_t i = 0; i < 4; ++i) {
        const Header& header = blocks[i].block.header;
        EXPECT_EQ(header.number, base.world.parent.number + 1 + i);
        EXPECT_EQ(header.parent_hash, parent);
        parent = hash_header(header);
    }
    EXPECT_EQ(blocks[2].block.header.timestamp,
              base.world.parent.timestamp + 3 * kSimulatedBlockSeconds);
    EXPECT_EQ(blocks[3].block.header.timestamp, base.world.parent.timestamp + 100);
}

TEST(simulate_blocks, see_the_changes_of_the_blocks_before) {
    Base base;
    put_code(base.block(), address_number(1), "5f546001015f5500");  // slot 0 += 1
    base.request.blocks[0].calls = {call_of(account_number(1), address_number(1))};
    base.block().calls = {call_of(account_number(2), address_number(1))};
    put_code(base.block(), address_number(1), "5f545f5260205ff3");
    base.request.blocks[2].calls = {call_of(account_number(1), address_number(1))};
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 3u);
    EXPECT_EQ(from_be(blocks[2].calls[0].output), Uint256(2));
    EXPECT_EQ(blocks[2].block.txs[0].nonce, 1u);
    EXPECT_NE(blocks[0].block.header.state_root, blocks[1].block.header.state_root);
}

TEST(simulate_blocks, have_the_state_root_of_their_changes) {
    Base base;
    base.block().calls = {transfer(1, account_number(2), 7)};
    base.request.blocks[0].accounts[address_number(5)].balance = Uint256(3);
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 1u);
    auto& accounts = base.base_diff.accounts;
    accounts[account_number(1)]->balance -= Uint256(7);
    accounts[account_number(1)]->nonce = 1;
    accounts[account_number(2)]->balance += Uint256(7);
    accounts[address_number(5)].emplace().balance = Uint256(3);
    const auto expected = state::state_root(kEmptyTrieRoot, base.base_diff, state::NoNodes{});
    EXPECT_EQ(blocks[0].block.header.state_root, expected->root);
}

TEST(simulate_blocks, show_transfers_as_logs_unless_the_frame_failed) {
    Base base;
    base.request.trace_transfers = true;
    // Sends 1 to account 9, then calls the next contract with 2, which fails.
    put_code(base.block(), address_number(1),
             "5f5f5f5f600173" + to_hex(address_number(9).bytes) + "61fffff1505f5f5f5f600273" +
                 to_hex(address_number(2).bytes) + "61fffff1505f5fa000");
    put_code(base.request.blocks[0], address_number(2), "5f5fa05f5ffd");
    base.request.blocks[0].calls = {transfer(1, address_number(1), 5)};
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 1u);
    const auto& logs = blocks[0].calls[0].logs;
    ASSERT_EQ(logs.size(), 3u);
    EXPECT_EQ(logs[0].address, kTransferLogAddress);
    EXPECT_EQ(from_be(logs[0].data), Uint256(5));
    EXPECT_EQ(from_be(logs[1].data), Uint256(1));
    EXPECT_EQ(logs[2].address, address_number(1));
    EXPECT_EQ(blocks[0].receipts[0].logs.size(), 1u);  // the receipt has the real ones
}

TEST(simulate_blocks, charge_nothing_for_free_calls_but_show_the_base_fee) {
    Base base;
    base.block().block.base_fee_per_gas = Uint256(77);
    put_code(base.request.blocks[0], address_number(1), "485f5260205ff3");
    base.request.blocks[0].calls = {call_of(address_number(50), address_number(1))};
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 1u);
    EXPECT_EQ(from_be(blocks[0].calls[0].output), Uint256(77));
    EXPECT_EQ(blocks[0].block.header.base_fee_per_gas, Uint256(77));
}

TEST(simulate_blocks, follow_the_base_fee_rule_when_validated) {
    Base base;
    base.request.validation = true;
    base.block();
    EXPECT_EQ(base.blocks()[0].block.header.base_fee_per_gas, Uint256(kGwei));
    base.request.blocks[0].calls = {transfer(1, account_number(2), 1)};
    EXPECT_EQ(base.error().tx_error, TxInvalid::fee_cap_below_base_fee);
    base.request.blocks[0].calls[0].max_fee_per_gas = Uint256(kGwei);
    base.request.blocks[0].calls[0].nonce = 1;
    EXPECT_EQ(base.error().tx_error, TxInvalid::nonce_too_high);
    base.request.blocks[0].calls[0].nonce = 0;
    EXPECT_EQ(base.blocks()[0].calls[0].gas_used, 21'000u);
}

TEST(simulate_blocks, count_nonces_up_whatever_the_calls_say) {
    Base base;
    base.block().calls = {transfer(1, account_number(2), 1), transfer(1, account_number(2), 1)};
    base.request.blocks[0].calls[0].nonce = 40;
    const auto blocks = base.blocks();
    EXPECT_EQ(blocks[0].block.txs[0].nonce, 40u);
    EXPECT_EQ(blocks[0].block.txs[1].nonce, 1u);
}

TEST(simulate_blocks, share_one_allowance_of_gas) {
    Base base;
    base.gas_max = 50'000;
    base.block().calls = {transfer(1, account_number(2), 1), transfer(1, account_number(2), 1)};
    EXPECT_EQ(base.blocks()[0].block.txs[1].gas_limit, 29'000u);
    base.block().calls = {transfer(1, account_number(2), 1)};
    const auto error = base.error();
    EXPECT_EQ(error.kind, Kind::call_refused);
    EXPECT_EQ(error.tx_error, TxInvalid::intrinsic_gas_too_low);
    EXPECT_EQ(error.gas, 8000u);
}

TEST(simulate_blocks, rejects_blocks_out_of_order) {
    Base base;
    base.block().block.number = base.world.parent.number;
    EXPECT_EQ(base.error().kind, Kind::number_order);
    base.request.blocks[0].block.number = 0;
    EXPECT_EQ(base.error().kind, Kind::number_order);
    base.request.blocks[0].block.number = ~uint64_t{0};
    EXPECT_EQ(base.error().kind, Kind::too_many_blocks);
    base.request.blocks[0].block.number = base.world.parent.number + kSimulatedBlocksMax + 1;
    EXPECT_EQ(base.error().kind, Kind::too_many_blocks);
    base.request.blocks[0].block.number.reset();
    base.request.blocks[0].block.time = base.world.parent.timestamp;
    EXPECT_EQ(base.error().kind, Kind::timestamp_order);
    base.request.blocks[0].block.time = ~uint64_t{0};  // the next one would wrap around
    base.block();
    EXPECT_EQ(base.error().kind, Kind::timestamp_order);
}

TEST(simulate_blocks, rejects_calls_that_cannot_be) {
    Base base;
    base.block().calls = {transfer(77, account_number(2), 1)};
    EXPECT_EQ(base.error().tx_error, TxInvalid::insufficient_funds);
    auto& call = base.request.blocks[0].calls[0];
    call = transfer(1, account_number(2), 1);
    call.gas = base.world.parent.gas_limit + 1;
    EXPECT_EQ(base.error().kind, Kind::block_gas_reached);
    call.gas = ~uint64_t{0};
    EXPECT_EQ(base.error().kind, Kind::block_gas_reached);
    call.gas = 0;
    EXPECT_EQ(base.error().tx_error, TxInvalid::intrinsic_gas_too_low);
    call.gas.reset();
    call.max_priority_fee_per_gas = Uint256(5);
    call.max_fee_per_gas = Uint256(4);
    EXPECT_EQ(base.error().tx_error, TxInvalid::tip_above_fee_cap);
    call.max_fee_per_gas = ~Uint256();
    EXPECT_EQ(base.error().tx_error, TxInvalid::fee_overflow);
    call = call_of(account_number(1), std::nullopt);
    call.data.resize(vm::kInitCodeSizeMax + 1);
    EXPECT_EQ(base.error().tx_error, TxInvalid::init_code_too_large);
    call = transfer(1, account_number(2), 1);
    call.blob_hashes = {Hash{}};
    EXPECT_EQ(base.error().tx_error, TxInvalid::type_not_supported);  // on our chains
}

TEST(simulate_blocks, rejects_withdrawals_and_moves_that_cannot_be) {
    Base base;
    base.block().block.withdrawals = {{0, 0, address_number(1), 5}};
    EXPECT_EQ(base.error().kind, Kind::no_withdrawals);
    base.request.blocks[0].block.withdrawals.reset();
    base.request.blocks[0].accounts[address_number(1)].move_precompile_to = address_number(2);
    EXPECT_EQ(base.error().kind, Kind::bad_override);
}

TEST(simulate_blocks, keep_moved_precompiles_for_one_block) {
    Base base;
    Address identity;
    identity[19] = 4;
    base.block().accounts[identity].move_precompile_to = address_number(7);
    base.block();
    for (auto& block : base.request.blocks)
        block.calls = {call_of(account_number(1), address_number(7), "0102"),
                       call_of(account_number(1), identity, "0102")};
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 2u);
    EXPECT_EQ(blocks[0].calls[0].output, (Bytes{1, 2}));
    EXPECT_TRUE(blocks[0].calls[1].output.empty());
    EXPECT_TRUE(blocks[1].calls[0].output.empty());
    EXPECT_EQ(blocks[1].calls[1].output, (Bytes{1, 2}));
}

/// Blocks that nobody proposed have no seal to tell Staking about; it still gets the tips.
TEST(simulate_blocks, need_no_seal_and_pay_staking_unless_somebody_else_is_chosen) {
    Base base;
    base.world.config.staking_contract = true;
    put_code(base.block(), address::kStaking, "5f5ffd");  // refuses whoever calls it
    base.request.blocks[0].calls = {transfer(1, account_number(2), 1)};
    base.request.blocks[0].calls[0].max_fee_per_gas = Uint256(1);
    base.request.blocks[0].calls[0].max_priority_fee_per_gas = Uint256(1);
    base.block().block.fee_recipient = address_number(8);
    base.request.blocks[1].calls = base.request.blocks[0].calls;
    put_code(base.block(), address_number(1),
             "610b01315f5273" + to_hex(address_number(8).bytes) + "3160205260405ff3");
    base.request.blocks[2].calls = {call_of(account_number(1), address_number(1))};
    const auto blocks = base.blocks();
    ASSERT_EQ(blocks.size(), 3u);
    const BytesView balances = blocks[2].calls[0].output;
    ASSERT_EQ(balances.size(), 64u);
    EXPECT_EQ(from_be(balances.first(32)), Uint256(21'000));
    EXPECT_EQ(from_be(balances.subspan(32)), Uint256(21'000));
}

TEST(simulate_blocks, stop_in_the_midst_of_a_call_when_their_time_is_up) {
    Base base;
    base.gas_max = uint64_t{1} << 50;
    int asked = 0;
    base.is_time_up = [&] { return ++asked > 20; };
    put_code(base.block(), address_number(1), "5b5f56");
    base.request.blocks[0].block.gas_limit = base.gas_max;
    base.request.blocks[0].calls = {call_of(account_number(1), address_number(1))};
    EXPECT_EQ(base.error().kind, Kind::too_slow);
    EXPECT_EQ(asked, 21);
}

TEST(simulate_blocks, stops_when_its_time_is_up) {
    Base base;
    int asked = 0;
    base.is_time_up = [&] { return ++asked > 3; };
    base.block().block.number = base.world.parent.number + 100;
    EXPECT_EQ(base.error().kind, Kind::too_slow);
    EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace trainyard::consensus
