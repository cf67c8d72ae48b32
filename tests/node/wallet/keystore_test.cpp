// SPDX-License-Identifier: Apache-2.0
// Keystores and derived keys against values that other programs made.
#include "node/wallet/keystore.hpp"

#include "node/wallet/files.hpp"
#include "node/wallet/hd.hpp"
#include "node/wallet/keyring.hpp"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

namespace trainyard::node::wallet {
namespace {

constexpr ScryptCost kLight{1u << 10, 8, 1};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

SecretKey key_of(uint8_t fill) {
    SecretKey key;
    key.bytes.fill(fill);
    return key;
}

std::string address_text(std::string_view phrase, uint32_t index) {
    const auto key = account_key(phrase, index);
    return key ? to_hex0x(address_of(*key)->bytes) : "none";
}

// Addresses as printed by anvil and hardhat for their default mnemonic.
TEST(hd, development_accounts_have_their_known_addresses) {
    EXPECT_EQ(address_text(kDevMnemonic, 0), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    EXPECT_EQ(address_text(kDevMnemonic, 1), "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
    EXPECT_EQ(address_text(kDevMnemonic, 9), "0xa0ee7a142d267c1f36714e4a8f75612f20a79720");
}

// BIP-32, test vector 1: seed 000102…0f, chain m/0'/1.
TEST(hd, derivation_matches_the_bip32_vector) {
    const auto seed = from_hex("000102030405060708090a0b0c0d0e0f");
    const auto key = derive_key(*seed, {0 | kHardened, 1});
    ASSERT_TRUE(key);
    EXPECT_EQ(to_hex(key->bytes),
              "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368");
}

TEST(keystore, what_is_written_can_be_read_with_the_password) {
    const auto key = key_of(7);
    const auto json = make_keystore(key, "secret", kLight);
    const auto opened = open_keystore(json, "secret");
    ASSERT_TRUE(opened) << opened.error().text;
    EXPECT_EQ(*opened, key);
    EXPECT_EQ(json.find("0707070707"), std::string::npos);
}

TEST(keystore, rejects_wrong_password) {
    const auto opened = open_keystore(make_keystore(key_of(7), "secret", kLight), "Secret");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, WalletErrorCode::wrong_password);
}

TEST(keystore, rejects_damaged_ciphertext_and_foreign_address) {
    const auto json = make_keystore(key_of(7), "secret", kLight);
    const auto at = json.find("ciphertext\":\"") + 13;
    auto damaged = json;
    damaged[at] = damaged[at] == '0' ? '1' : '0';
    EXPECT_EQ(open_keystore(damaged, "secret").error().code, WalletErrorCode::wrong_password);
    const auto other = replaced(json, to_hex(address_of(key_of(7))->bytes), std::string(40, 'a'));
    EXPECT_EQ(open_keystore(other, "secret").error().code, WalletErrorCode::malformed);
}

TEST(keystore, rejects_costs_that_would_eat_the_machine) {
    const auto json = make_keystore(key_of(7), "secret", kLight);
    for (const auto* cost : {"\"n\":1000", "\"n\":4294967296", "\"n\":0"}) {
        const auto opened = open_keystore(replaced(json, "\"n\":1024", cost), "secret");
        ASSERT_FALSE(opened) << cost;
        EXPECT_EQ(opened.error().code, WalletErrorCode::unsupported) << cost;
    }
}

TEST(keystore, rejects_what_is_not_a_keystore) {
    for (const auto* text : {"", "{", "[]", "{}", R"({"version":1})", R"({"version":3})",
                             R"({"version":3,"crypto":[]})"}) {
        EXPECT_FALSE(open_keystore(text, "x")) << text;
    }
    const auto json = make_keystore(key_of(7), "secret", kLight);
    EXPECT_FALSE(open_keystore(replaced(json, "aes-128-ctr", "aes-256-cbc"), "secret"));
    EXPECT_FALSE(open_keystore(replaced(json, "scrypt", "argon2"), "secret"));
    EXPECT_FALSE(open_keystore(json.substr(0, json.size() / 2), "secret"));
}

TEST(keyring, validator_keys_are_read_back_and_private) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("keyring_test_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    const auto made = create_validator_keys(folder.string(), true);
    ASSERT_TRUE(made) << made.error().text;
    const auto loaded = load_validator_keys(folder.string());
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ(*loaded, *made);
    for (const auto& name : list_folder(folder.string())) {
        const auto mode = std::filesystem::status(folder / name).permissions();
        EXPECT_EQ(mode & std::filesystem::perms(0077), std::filesystem::perms::none) << name;
    }
    EXPECT_FALSE(create_validator_keys(folder.string(), true)) << "must not overwrite keys";
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trainyard::node::wallet
