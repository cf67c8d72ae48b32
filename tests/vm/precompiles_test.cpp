// SPDX-License-Identifier: Apache-2.0
// Precompiles on examples from their EIPs, and on input that must fail.
#include "vm/precompiles.hpp"

#include <gtest/gtest.h>

#include "core/uint256.hpp"

namespace trainyard::vm {
namespace {

Address at(uint16_t number) {
    Address a;
    a[18] = static_cast<uint8_t>(number >> 8);
    a[19] = static_cast<uint8_t>(number);
    return a;
}

CallResult run(uint16_t number, std::string_view input_hex, int64_t gas = 1'000'000,
               Revision revision = Revision::osaka) {
    return run_precompile(at(number), revision, from_hex(input_hex).value(), gas);
}

std::string word(int value) {
    return to_hex(to_hash(Uint256(static_cast<uint64_t>(value))).bytes);
}

TEST(precompiles, have_the_names_of_eip_7910) {
    EXPECT_EQ(precompile_name(at(1), Revision::frontier), "ECREC");
    EXPECT_EQ(precompile_name(at(0x100), Revision::osaka), "P256VERIFY");
    EXPECT_EQ(precompile_name(at(0x100), Revision::prague), "");
}

TEST(precompiles, exist_only_where_the_table_says) {
    EXPECT_TRUE(is_precompile(at(1), Revision::frontier));
    EXPECT_FALSE(is_precompile(at(5), Revision::homestead));
    EXPECT_TRUE(is_precompile(at(0x100), Revision::osaka));
    EXPECT_FALSE(is_precompile(at(0x100), Revision::prague));
    EXPECT_FALSE(is_precompile(at(0), Revision::osaka));
}

TEST(precompiles, identity_costs_15_and_3_a_word) {
    const auto result = run(4, "0102", 18);
    EXPECT_EQ(result.gas_left, 0);
    EXPECT_EQ(to_hex(result.output), "0102");
    EXPECT_EQ(run(4, "0102", 17).status, Status::out_of_gas);
}

TEST(precompiles, modexp_computes_three_to_the_five_mod_seven) {
    const auto input = word(1) + word(1) + word(1) + "030507";
    const auto result = run(5, input);
    EXPECT_EQ(to_hex(result.output), "05");
    EXPECT_EQ(result.gas_left, 1'000'000 - 500);                  // EIP-7883
    EXPECT_EQ(run(5, input, 200, Revision::prague).gas_left, 0);  // EIP-2565
}

TEST(precompiles, modexp_by_zero_or_one_gives_zero) {
    EXPECT_EQ(to_hex(run(5, word(1) + word(1) + word(2) + "03050000").output), "0000");
    EXPECT_EQ(to_hex(run(5, word(1) + word(0) + word(1) + "0301").output), "00");
}

TEST(precompiles, rejects_modexp_longer_than_1024_bytes) {  // EIP-7823
    EXPECT_EQ(run(5, word(1025) + word(0) + word(1), 1'000'000'000).status,
              Status::precompile_failure);
    EXPECT_EQ(run(5, word(1025) + word(0) + word(1), 1'000'000'000, Revision::prague).status,
              Status::success);
}

TEST(precompiles, rejects_modexp_lengths_that_no_gas_can_pay) {
    const std::string huge(64, 'f');
    EXPECT_EQ(run(5, huge + huge + huge, INT64_MAX - 1).status, Status::out_of_gas);
    EXPECT_EQ(run(5, huge + huge + huge, INT64_MAX - 1, Revision::prague).status,
              Status::out_of_gas);
}

TEST(precompiles,
     blake2f_matches_the_example_of_its_eip) {  // EIP-152, test vector 5: BLAKE2b("abc")
    const std::string input =
        "0000000c"
        "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
        "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b"
        "6162630000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000"
        "0300000000000000000000000000000001";
    const auto result = run(9, input, 12);
    EXPECT_EQ(result.gas_left, 0);
    EXPECT_EQ(to_hex(result.output),
              "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
              "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST(precompiles, rejects_blake2f_input_of_another_length_or_flag) {
    EXPECT_EQ(run(9, "").status, Status::precompile_failure);
    EXPECT_EQ(run(9, std::string(424, '0') + "02").status, Status::precompile_failure);
    EXPECT_EQ(run(9, std::string(424, '0') + "01").status, Status::success);
}

TEST(precompiles, ecrecover_answers_nothing_to_a_bad_signature) {
    const auto result = run(1, word(1) + word(27) + word(0) + word(1), 3000);
    EXPECT_EQ(result.status, Status::success);
    EXPECT_TRUE(result.output.empty());
    EXPECT_EQ(result.gas_left, 0);
}

TEST(precompiles, p256_answers_nothing_to_points_off_the_curve_and_short_input) {
    EXPECT_TRUE(run(0x100, word(1) + word(1) + word(1) + word(1) + word(1)).output.empty());
    EXPECT_TRUE(run(0x100, word(1) + word(1) + word(1) + word(0) + word(0)).output.empty());
    EXPECT_TRUE(run(0x100, "00").output.empty());
}

}  // namespace
}  // namespace trainyard::vm
