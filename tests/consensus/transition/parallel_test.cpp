// SPDX-License-Identifier: Apache-2.0
// Blocks whose transactions run beside each other give what they give one after the other.
#include "consensus/transition/parallel.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

class Threads final : public Executor {
public:
    explicit Threads(int count) : count_(count) {}
    void run(const std::function<void()>& work) override {
        std::vector<std::thread> threads;
        for (int i = 0; i < count_; ++i) threads.emplace_back(work);
        for (auto& thread : threads) thread.join();
    }

private:
    int count_;
};

constexpr uint8_t kSenders = 12;

/// Counts up the slot named by the first byte of the input; if the second byte is not zero, keeps
/// the beneficiary's balance in slot 9.
constexpr const char* kCounter =
    "5f3560f81c8054600101905560013560f81c60165700"
    "5b413160095500";
/// Creates a contract that returns two bytes of code, and calls what was created.
constexpr const char* kMaker =
    "7f6160006000526002601ef3000000000000000000000000000000000000"
    "0000005f52600b5f5ff05f5f5f5f5f855af100";
/// Destroys itself in favour of the caller.
constexpr const char* kDestroyer = "33ff";

/// Code that counts up slot 0, or destroys itself if it gets any input; its init code; and a
/// contract that creates it at an address that is always the same.
constexpr const char* kPhoenixInit = "6e36600c575f546001015f55005b33ff5f52600f6011f3";
constexpr const char* kPhoenixMaker =
    "766e36600c575f546001015f55005b33ff5f52600f6011f35f525f601760095ff500";

TestWorld make_world() {
    TestWorld world;
    state::StateDiff rich;
    for (uint8_t n = 1; n <= kSenders; ++n)
        rich.accounts[account_number(n)].emplace().balance =
            Uint256(1'000'000'000) * Uint256(1'000'000'000'000);
    world.apply(rich);
    world.deploy(address_number(1), kCounter);
    world.deploy(address_number(2), kMaker);
    world.deploy(address_number(3), kDestroyer);
    world.deploy(address_number(4), kPhoenixMaker);
    return world;
}

/// A block of transactions that are valid one after the other.
BuiltBlock build(const TestWorld& world, const std::vector<Tx>& txs, const Address& beneficiary) {
    size_t next = 0;
    const BuildInput input{world.parent,
                           make_header(world.parent, {beneficiary, 0, {}, {}}, world.config),
                           {},
                           world.config,
                           [&]() -> std::optional<Candidate> {
                               if (next == txs.size()) return std::nullopt;
                               const Tx& tx = txs[next++];
                               return Candidate{tx, *recover_sender(tx)};
                           },
                           {}};
    auto built = build_block(world.view(), input);
    EXPECT_TRUE(built.has_value());
    EXPECT_EQ(built->block.txs.size(), txs.size());
    return std::move(*built);
}

void expect_same(const TestWorld& world, const Block& block, int threads) {
    Threads executor(threads);
    const auto view = world.view();
    const auto serial = apply_block(view, world.parent, block, {}, world.config);
    const auto parallel =
        apply_block(view, world.parent, block, {{}, {}, {}, &executor}, world.config);
    ASSERT_EQ(serial.has_value(), parallel.has_value());
    if (!serial) {
        EXPECT_EQ(serial.error(), parallel.error());
        return;
    }
    EXPECT_EQ(serial->diff, parallel->diff);
    EXPECT_EQ(serial->receipts, parallel->receipts);
    EXPECT_EQ(serial->senders, parallel->senders);
    EXPECT_EQ(serial->gas_used, parallel->gas_used);
    EXPECT_EQ(serial->bloom, parallel->bloom);
}

void run_block(const std::vector<Tx>& txs, const Address& beneficiary = address_number(99),
               vm::Revision revision = vm::Revision::osaka) {
    TestWorld world = make_world();
    world.config.forks = {{revision, 0, 0, {}}};
    const auto built = build(world, txs, beneficiary);
    for (const int threads : {1, 2, 5}) expect_same(world, built.block, threads);
}

TEST(parallel, transfers_that_have_nothing_in_common) {
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; ++n)
        txs.push_back(TestWorld::make_tx(n, address_number(100 + n)));
    run_block(txs);
}

TEST(parallel, one_sender_many_nonces) {
    std::vector<Tx> txs;
    for (uint64_t nonce = 0; nonce < 40; ++nonce)
        txs.push_back(TestWorld::make_tx(1, address_number(1), {1, 0}, nonce));
    run_block(txs);
}

TEST(parallel, all_write_one_slot) {
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; ++n)
        txs.push_back(TestWorld::make_tx(n, address_number(1), {5, 0}));
    run_block(txs);
}

TEST(parallel, whoever_looks_at_the_beneficiary_sees_all_tips_before) {
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; ++n)
        txs.push_back(TestWorld::make_tx(n, address_number(1), {n, static_cast<uint8_t>(n % 3)}));
    run_block(txs);
    run_block(txs, account_number(4));  // who also sends
    run_block(txs, address_number(1));  // whose slots are written
    run_block(txs, address_number(3));
}

TEST(parallel, contracts_that_come_and_go) {
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; ++n)
        txs.push_back(TestWorld::make_tx(n, address_number(2 + n % 2)));
    run_block(txs);
    run_block(txs, address_number(3));
}

TEST(parallel, slots_of_a_destroyed_contract_are_empty_when_it_comes_back) {
    const Address phoenix = create2_address(address_number(4), Hash{}, *from_hex(kPhoenixInit));
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; n += 4) {
        txs.push_back(TestWorld::make_tx(n, address_number(4)));
        txs.push_back(TestWorld::make_tx(n + 1, phoenix));
        txs.push_back(TestWorld::make_tx(n + 2, phoenix));
        txs.push_back(TestWorld::make_tx(n + 3, phoenix, {1}));
    }
    txs.pop_back();  // the last one lives on, with two in its slot
    run_block(txs, address_number(99), vm::Revision::shanghai);
    run_block(txs, phoenix, vm::Revision::shanghai);
}

TEST(parallel, rejects_the_first_invalid_transaction_as_serial_execution_does) {
    const TestWorld world = make_world();
    std::vector<Tx> txs;
    for (uint8_t n = 1; n <= kSenders; ++n)
        txs.push_back(TestWorld::make_tx(n, address_number(1), {n, 0}));
    auto block = build(world, txs, address_number(99)).block;
    block.txs[7] = TestWorld::make_tx(8, address_number(1), {8, 0}, 3);   // a nonce too high
    block.txs[9] = TestWorld::make_tx(1, address_number(1), {10, 0}, 0);  // and one too low
    block.header.transactions_root = transactions_root(block.txs);
    expect_same(world, block, 4);
    block.txs[3].s = Uint256::max();
    block.header.transactions_root = transactions_root(block.txs);
    expect_same(world, block, 4);
}

/// Transfers, whose body is checked and whose roots are made beside them.
TEST(parallel, finds_what_is_wrong_with_a_block_of_transfers_as_serial_execution_does) {
    const TestWorld world = make_world();
    std::vector<Tx> txs;
    for (uint64_t i = 0; i < 96; ++i)
        txs.push_back(TestWorld::make_tx(static_cast<uint8_t>(1 + i % kSenders),
                                         address_number(static_cast<uint8_t>(100 + i)), {},
                                         i / kSenders));
    const Block block = build(world, txs, address_number(99)).block;
    expect_same(world, block, 3);
    const auto expect_fault = [&](BlockFault fault, auto change) {
        Block changed = block;
        change(changed);
        const auto error = apply_block(world.view(), world.parent, changed, {}, world.config);
        ASSERT_FALSE(error);
        EXPECT_EQ(error.error().fault, fault);
        for (const int threads : {1, 3}) expect_same(world, changed, threads);
    };
    using enum BlockFault;
    expect_fault(bad_gas_used, [](Block& b) { b.header.gas_used -= 1; });
    expect_fault(bad_receipts_root, [](Block& b) { b.header.receipts_root[0] ^= 1; });
    expect_fault(bad_transactions_root, [](Block& b) { b.header.transactions_root[0] ^= 1; });
    expect_fault(bad_ommers, [](Block& b) { b.ommers.emplace_back(); });
    expect_fault(bad_withdrawals, [](Block& b) { b.withdrawals.reset(); });
    // The body is wrong and so is a transaction: the body comes first.
    expect_fault(bad_transactions_root, [](Block& b) { b.txs[5].s = Uint256::max(); });
    expect_fault(bad_transactions_root, [](Block& b) { std::swap(b.txs[0], b.txs[12]); });
    expect_fault(bad_transaction, [](Block& b) {
        std::swap(b.txs[0], b.txs[12]);
        b.header.transactions_root = transactions_root(b.txs);
    });
}

TEST(parallel, random_blocks) {
    for (uint32_t seed = 1; seed <= 30; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&](uint32_t n) { return static_cast<uint8_t>(random() % n); };
        std::map<uint8_t, uint64_t> nonces;
        std::vector<Tx> txs;
        for (int i = 0; i < 60; ++i) {
            const auto from = static_cast<uint8_t>(1 + below(kSenders));
            const Address to =
                below(4) == 0 ? account_number(1 + below(kSenders)) : address_number(1 + below(3));
            txs.push_back(TestWorld::make_tx(
                from, to, {below(6), static_cast<uint8_t>(below(8) == 0)}, nonces[from]++));
        }
        SCOPED_TRACE("seed " + std::to_string(seed));
        run_block(txs, below(2) == 0 ? address_number(99) : account_number(1 + below(kSenders)));
    }
}

}  // namespace
}  // namespace trainyard::consensus
