// SPDX-License-Identifier: Apache-2.0
// Base fees and limits against the formulas of their EIPs, and headers with one field wrong.
#include "consensus/rules/block.hpp"

#include <gtest/gtest.h>

#include "consensus/transition/block.hpp"
#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

TEST(block_rules, a_time_ahead_of_the_clock_is_not_timely_unless_it_is_the_parents) {
    Header parent, header;
    parent.timestamp = 1000;
    const auto timely = [&](uint64_t time_s, uint64_t now_s) {
        header.timestamp = time_s;
        return is_timely(header, parent, now_s);
    };
    EXPECT_TRUE(timely(2000 + kAheadMax_s, 2000));
    EXPECT_FALSE(timely(2001 + kAheadMax_s, 2000));
    EXPECT_FALSE(timely(UINT64_MAX, 2000));
    EXPECT_TRUE(timely(1000, 3)) << "a chain whose time went ahead goes on";
    EXPECT_FALSE(timely(1001, 3));
}

TEST(block_rules, base_fee_moves_by_an_eighth_at_most) {  // EIP-1559
    const TestWorld world;
    Header parent = world.parent;
    const auto next = [&] { return next_base_fee(parent, parent.timestamp, world.config); };
    EXPECT_EQ(next(), Uint256(kGwei));
    parent.gas_used = parent.gas_limit;
    EXPECT_EQ(next(), Uint256(kGwei + kGwei / 8));
    parent.gas_used = 0;
    EXPECT_EQ(next(), Uint256(kGwei - kGwei / 8));
    parent.base_fee_per_gas = 1;
    parent.gas_used = parent.gas_limit;
    EXPECT_EQ(next(), Uint256(2));  // at least one wei more
}

TEST(block_rules, blob_fee_is_e_to_the_excess) {  // EIP-4844
    const BlobSchedule cancun = ethereum_blobs(vm::Revision::cancun);
    EXPECT_EQ(blob_base_fee(0, cancun), Uint256(1));
    EXPECT_EQ(blob_base_fee(2314057, cancun), Uint256(1));  // just below fraction * ln 2
    EXPECT_EQ(blob_base_fee(2314058, cancun), Uint256(2));
    EXPECT_EQ(blob_base_fee(10 * 1024 * 1024, cancun), Uint256(23));
    EXPECT_EQ(blob_base_fee(~0ull, cancun), Uint256::max());
}

TEST(block_rules, gas_limit_moves_by_less_than_a_1024th) {
    EXPECT_TRUE(is_gas_limit_allowed(1024000 + 999, 1024000));
    EXPECT_FALSE(is_gas_limit_allowed(1024000 + 1000, 1024000));
    EXPECT_FALSE(is_gas_limit_allowed(4999, 5000));
    EXPECT_EQ(next_gas_limit(1024000, 5'000'000), 1024999u);
    EXPECT_EQ(next_gas_limit(1024000, 1), 1023001u);
    EXPECT_EQ(next_gas_limit(1024000, 1024000), 1024000u);
}

std::optional<BlockFault> header_fault(const Header& header, const TestWorld& world) {
    const auto result = check_header(header, world.parent, world.config);
    return result ? std::nullopt : std::optional(result.error().fault);
}

Header good_header(const TestWorld& world) {
    Header header = make_header(world.parent, {{}, 0, {}, {}}, world.config);
    header.requests_hash = Hash{};
    return header;
}

TEST(block_rules, accept_a_header_in_the_same_second_on_our_chains_only) {
    TestWorld world;
    const Header header = good_header(world);
    EXPECT_EQ(header.timestamp, world.parent.timestamp);
    EXPECT_EQ(header_fault(header, world), std::nullopt);
    world.config.equal_timestamps = false;
    EXPECT_EQ(header_fault(header, world), BlockFault::bad_timestamp);
}

TEST(block_rules, rejects_headers_with_one_field_wrong) {
    const TestWorld world;
    const auto broken = [&](auto change) {
        Header header = good_header(world);
        change(header);
        return header_fault(header, world);
    };
    using enum BlockFault;
    EXPECT_EQ(broken([](Header& h) { h.parent_hash[0] ^= 1; }), wrong_parent);
    EXPECT_EQ(broken([](Header& h) { ++h.number; }), bad_number);
    EXPECT_EQ(broken([](Header& h) { --h.timestamp; }), bad_timestamp);
    EXPECT_EQ(broken([](Header& h) { h.gas_limit *= 2; }), bad_gas_limit);
    EXPECT_EQ(broken([](Header& h) { h.gas_used = h.gas_limit + 1; }), gas_used_above_limit);
    EXPECT_EQ(broken([](Header& h) { h.extra_data.resize(kExtraDataSizeMax + 1); }),
              extra_data_too_long);
    EXPECT_EQ(broken([](Header& h) { *h.base_fee_per_gas += 1; }), bad_base_fee);
    EXPECT_EQ(broken([](Header& h) { h.difficulty = 1; }), bad_difficulty);
    EXPECT_EQ(broken([](Header& h) { h.nonce[7] = 1; }), bad_difficulty);
    EXPECT_EQ(broken([](Header& h) { h.ommers_hash = Hash{}; }), bad_ommers);
    EXPECT_EQ(broken([](Header& h) { h.withdrawals_root.reset(); }), bad_fork_fields);
    EXPECT_EQ(broken([](Header& h) { h.requests_hash.reset(); }), bad_fork_fields);
    EXPECT_EQ(broken([](Header& h) { h.excess_blob_gas = 1; }), bad_excess_blob_gas);
    EXPECT_EQ(broken([](Header& h) { h.blob_gas_used = kBlobGas; }), bad_blob_gas);
}

TEST(block_rules, reject_a_beacon_root_on_our_chains_only) {
    TestWorld world;
    Header header = good_header(world);
    header.parent_beacon_block_root->bytes[31] = 1;
    EXPECT_EQ(header_fault(header, world), BlockFault::bad_beacon_root);
    world.config.beacon_roots = true;
    EXPECT_EQ(header_fault(header, world), std::nullopt);
}

}  // namespace
}  // namespace trainyard::consensus
