// SPDX-License-Identifier: Apache-2.0
// The ABI coder against the examples of the Solidity documentation, and against damaged input.
#include "node/wallet/abi.hpp"

#include <gtest/gtest.h>

#include "node/wallet/market_abi.hpp"

namespace trainyard::node::wallet {
namespace {

AbiType type_of(std::string_view text) {
    auto type = parse_abi_type(text);
    EXPECT_TRUE(type) << text;
    return type ? *type : AbiType{};
}

std::string encoded(std::string_view type, const AbiValue& value) {
    const auto out = abi_encode(type_of(type), value);
    return out ? to_hex(*out) : "error";
}

std::string word(std::string_view digits) {
    return std::string(64 - digits.size(), '0') + std::string(digits);
}
std::string right(std::string_view digits) {
    return std::string(digits) + std::string(64 - digits.size(), '0');
}

// Values of the Solidity documentation, "Contract ABI Specification", Examples:
// sam(bytes,bool,uint256[]) with "dave", true and [1,2,3].
TEST(abi, static_and_dynamic_members_mix_as_documented) {
    const auto value =
        AbiValue::of_items({AbiValue::of("dave"), AbiValue::of(Uint256(1)),
                            AbiValue::of_items({AbiValue::of(Uint256(1)), AbiValue::of(Uint256(2)),
                                                AbiValue::of(Uint256(3))})});
    const std::string expected = word("60") + word("1") + word("a0") + word("4") +
                                 right("64617665") + word("3") + word("1") + word("2") + word("3");
    EXPECT_EQ(encoded("(bytes,bool,uint256[])", value), expected);
    const auto decoded = abi_decode(type_of("(bytes,bool,uint256[])"), *from_hex(expected));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, value);
}

// Same document: g(uint256[][],string[]) with [[1,2],[3]] and ["one","two","three"].
TEST(abi, nested_lists_match_the_documented_bytes) {
    const auto number = [](uint64_t n) { return AbiValue::of(Uint256(n)); };
    const auto value = AbiValue::of_items(
        {AbiValue::of_items(
             {AbiValue::of_items({number(1), number(2)}), AbiValue::of_items({number(3)})}),
         AbiValue::of_items({AbiValue::of("one"), AbiValue::of("two"), AbiValue::of("three")})});
    const std::string expected =
        word("40") + word("140") + word("2") + word("40") + word("a0") + word("2") + word("1") +
        word("2") + word("1") + word("3") + word("3") + word("60") + word("a0") + word("e0") +
        word("3") + right("6f6e65") + word("3") + right("74776f") + word("5") + right("7468726565");
    EXPECT_EQ(encoded("(uint256[][],string[])", value), expected);
    EXPECT_EQ(*abi_decode(type_of("(uint256[][],string[])"), *from_hex(expected)), value);
}

TEST(abi, selectors_match_known_functions) {
    EXPECT_EQ(to_hex(abi_selector("transfer(address,uint256)").bytes), "a9059cbb");
    EXPECT_EQ(to_hex(abi_selector("sam(bytes,bool,uint256[])").bytes), "a5643bf2");
}

TEST(abi, type_text_round_trips) {
    for (const auto* text :
         {"uint256", "int8", "bytes32[3]", "(address,(bool,string)[])[2][]", "()"})
        EXPECT_EQ(type_of(text).text(), text);
}

TEST(abi, rejects_types_that_do_not_exist) {
    for (const auto* text :
         {"", "uint7", "uint264", "uint08", "bytes33", "bytes0", "float", "(uint8", "uint8)",
          "uint8[", "uint8[0]", "(uint8,)", "address payable"})
        EXPECT_FALSE(parse_abi_type(text)) << text;
    EXPECT_FALSE(parse_abi_type(std::string(40, '(') + std::string(40, ')')));
    std::string deep = "uint8";
    for (int i = 0; i < 20; ++i) deep += "[]";
    EXPECT_FALSE(parse_abi_type(deep));
}

TEST(abi, rejects_values_that_do_not_fit) {
    EXPECT_EQ(encoded("(uint8)", AbiValue::of_items({AbiValue::of(Uint256(256))})), "error");
    EXPECT_EQ(encoded("(bool)", AbiValue::of_items({AbiValue::of(Uint256(2))})), "error");
    EXPECT_EQ(encoded("(bytes4)", AbiValue::of_items({AbiValue::of("abc")})), "error");
    EXPECT_EQ(encoded("(uint8,uint8)", AbiValue::of_items({AbiValue::of(Uint256(1))})), "error");
}

AbiError decode_error(std::string_view type, const std::string& hex) {
    const auto value = abi_decode(type_of(type), *from_hex(hex));
    EXPECT_FALSE(value) << type;
    return value ? AbiError::bad_type : value.error();
}

TEST(abi, rejects_unclean_and_short_data) {
    EXPECT_EQ(decode_error("(uint8)", word("100")), AbiError::out_of_range);
    EXPECT_EQ(decode_error("(bool)", word("2")), AbiError::out_of_range);
    EXPECT_EQ(decode_error("(address)", right("1")), AbiError::out_of_range);
    EXPECT_EQ(decode_error("(bytes4)", right("1122334455")), AbiError::not_padded);
    EXPECT_EQ(decode_error("(bytes)", word("20") + word("1") + right("1122")),
              AbiError::not_padded);
    EXPECT_EQ(decode_error("(uint8)", ""), AbiError::truncated);
    EXPECT_EQ(decode_error("(uint8[])", word("20") + word("2") + word("1")), AbiError::truncated);
    EXPECT_EQ(decode_error("(bytes)", word("20") + std::string(64, 'f')), AbiError::truncated);
    EXPECT_EQ(decode_error("(bytes)", std::string(64, 'f')), AbiError::truncated);
}

TEST(abi, rejects_offsets_that_multiply_the_input) {
    // 64 lists that all point to one list of 64 lists that all point to one list, and so on.
    std::string hex = word("20");
    const size_t width = 64;
    for (int level = 0; level < 5; ++level) {
        hex += word("40");
        for (size_t i = 0; i < width; ++i) hex += word("800");
    }
    hex += word("40");
    for (size_t i = 0; i < width; ++i) hex += word("1");
    const auto value = abi_decode(type_of("(uint8[][][][][][])"), *from_hex(hex));
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error(), AbiError::too_large);
}

TEST(market_abi, limits_of_audits_are_read_from_the_fields_of_the_parameters) {
    std::vector<AbiValue> values;  // of IMarketTypes.Params: each its own number
    for (uint64_t i = 0; i < 26; ++i) values.push_back(AbiValue::of(Uint256(100 + i)));
    const auto wrapped = AbiValue::of_items({AbiValue::of_items(values)});
    EXPECT_NE(encoded("(" + std::string(kParamsType) + ")", wrapped), "error") << "26 fields";
    const training::AuditLimits limits = audit_limits_from(AbiValue::of_items(values));
    EXPECT_EQ(limits.units, 103u);
    EXPECT_EQ(limits.tiles, 104u);
    EXPECT_EQ(limits.audit_blocks, 115u) << "commitBlocks";
    EXPECT_EQ(limits.replay_blocks, 116u) << "commitBlocksL1";
    EXPECT_EQ(limits.work_per_block, 123u);
    EXPECT_EQ(limits.memory_bytes_max, 124u);
}

}  // namespace
}  // namespace trainyard::node::wallet
