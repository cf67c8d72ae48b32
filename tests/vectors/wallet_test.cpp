// SPDX-License-Identifier: Apache-2.0
// The keystore and ABI vectors of ethereum/tests.
#include <gtest/gtest.h>

#include "node/wallet/abi.hpp"
#include "node/wallet/keystore.hpp"
#include "tests/vectors/vectors.hpp"

namespace trainyard {
namespace {

namespace json = boost::json;
using node::wallet::AbiType;
using node::wallet::AbiValue;

class vectors_abi : public vectors::VectorTest {};
class vectors_keystore : public vectors::VectorTest {};

TEST_F(vectors_keystore, all_cases) {
    const size_t count = vectors::for_each_case("keystore", [](const auto& name, const auto& c) {
        const std::string text = json::serialize(c.at("json"));
        const auto password = std::string_view(c.at("password").as_string());
        const auto key = node::wallet::open_keystore(text, password);
        // RFC 7914, section 2, wants n < 2^(16 r), and the library keeps to it; this one has r = 1.
        if (name == "basic_tests/test2") {
            ASSERT_FALSE(key);
            EXPECT_EQ(key.error().code, node::wallet::WalletErrorCode::unsupported);
            return;
        }
        ASSERT_TRUE(key) << name << ": " << key.error().text;
        EXPECT_EQ(to_hex(*key), std::string_view(c.at("priv").as_string())) << name;
        const auto wrong = node::wallet::open_keystore(text, std::string(password) + "!");
        ASSERT_FALSE(wrong) << name;
    });
    EXPECT_GE(count, 5u);
}

AbiValue value_of(const AbiType& type, const json::value& value) {
    if (const auto* items = value.if_array()) {
        std::vector<AbiValue> values;
        for (const auto& item : *items) values.push_back(value_of(type.parts.at(0), item));
        return AbiValue::of_items(std::move(values));
    }
    if (value.is_int64()) return AbiValue::of(Uint256(value.to_number<uint64_t>()));
    const std::string_view text = value.as_string();
    if (type.kind == AbiType::Kind::address)
        return AbiValue::of(fixed_from_hex<Address>(text).value());
    return AbiValue::of(text);
}

TEST_F(vectors_abi, all_cases) {
    const size_t count = vectors::for_each_case("abi", [](const auto& name, const auto& c) {
        AbiType tuple{AbiType::Kind::tuple, 0, {}};
        AbiValue value;
        for (const auto& type : c.at("types").as_array()) {
            tuple.parts.push_back(node::wallet::parse_abi_type(type.as_string()).value());
            const auto& argument = c.at("args").at(tuple.parts.size() - 1);
            value.items.push_back(value_of(tuple.parts.back(), argument));
        }
        const Bytes expected = from_hex(c.at("result").as_string()).value();
        const auto encoded = node::wallet::abi_encode(tuple, value);
        ASSERT_TRUE(encoded) << name;
        EXPECT_EQ(to_hex(*encoded), to_hex(expected)) << name;
        const auto decoded = node::wallet::abi_decode(tuple, expected);
        ASSERT_TRUE(decoded) << name;
        EXPECT_EQ(*decoded, value) << name;
    });
    EXPECT_GE(count, 3u);
}

}  // namespace
}  // namespace trainyard
