// SPDX-License-Identifier: Apache-2.0
// Parameters: what each kind takes, and how it refuses the rest.
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::HasSubstr;
using testing::StartsWith;

namespace {
const std::string kAddress = "\"0x" + std::string(38, '0') + "09\"";
const std::string kHash = "\"0x" + std::string(64, '0') + "\"";
}  // namespace

TEST(params, rejects_addresses_that_are_not_twenty_bytes_of_hex) {
    Rpc rpc;
    EXPECT_EQ(
        rpc.error("eth_getBalance", R"(["0x12"])"),
        "-32602 invalid argument 0 (address): hex string has length 2, want 40 for an address");
    EXPECT_THAT(rpc.error("eth_getBalance", R"(["12"])"),
                HasSubstr("hex string without 0x prefix"));
    EXPECT_THAT(rpc.error("eth_getBalance", R"(["0x1"])"), HasSubstr("hex string of odd length"));
    EXPECT_THAT(rpc.error("eth_getBalance", R"(["0xzz"])"), HasSubstr("invalid hex string"));
    for (const char* wrong : {"5", "true", "{}", "[]"})
        EXPECT_THAT(rpc.error("eth_getBalance", std::string("[") + wrong + "]"),
                    StartsWith("-32602 invalid argument 0 (address): expected a string"));
}

TEST(params, rejects_block_numbers_that_are_not_canonical_quantities) {
    Rpc rpc;
    const auto error_of = [&](const std::string& block) {
        return rpc.error("eth_getBlockByNumber", "[" + block + ",false]");
    };
    EXPECT_EQ(error_of("\"2\""), "-32602 invalid argument 0 (block): hex string without 0x prefix");
    EXPECT_THAT(error_of("\"0x01\""), HasSubstr("hex number with leading zero digits"));
    EXPECT_THAT(error_of("\"0x\""), HasSubstr("hex string \"0x\""));
    EXPECT_THAT(error_of("\"\""), HasSubstr("empty hex string"));
    EXPECT_THAT(error_of("\"0x10000000000000000\""), HasSubstr("hex number > 64 bits"));
    EXPECT_THAT(error_of("\"0xffffffffffffffff\""), HasSubstr("block number larger than int64"));
    EXPECT_THAT(error_of("\"newest\""), HasSubstr("-32602"));
    EXPECT_THAT(error_of("3"), HasSubstr("expected a block number or tag"));
    EXPECT_THAT(error_of("1e999"), HasSubstr("-32"));
    EXPECT_THAT(error_of(kHash), HasSubstr("hex number"));
}

TEST(params, takes_all_forms_of_a_block_for_state) {
    Rpc rpc;
    const auto second = rpc.chain.add_block({}, {});
    const std::string hash = to_hex0x(second->hash.bytes);
    for (const std::string& block :
         {std::string("\"latest\""), std::string("\"safe\""), std::string("\"pending\""),
          std::string("\"0x1\""), "\"" + hash + "\"", "{\"blockHash\":\"" + hash + "\"}",
          "{\"blockHash\":\"" + hash + "\",\"requireCanonical\":true}",
          std::string(R"({"blockNumber":"0x1"})"), std::string("null")})
        EXPECT_EQ(text(rpc.result("eth_getBalance", "[" + kAddress + "," + block + "]")), "0x0")
            << block;
}

TEST(params, rejects_block_objects_that_say_too_little_or_too_much) {
    Rpc rpc;
    const auto error_of = [&](const std::string& block) {
        return rpc.error("eth_getBalance", "[" + kAddress + "," + block + "]");
    };
    EXPECT_THAT(error_of("{}"), StartsWith("-32602"));
    EXPECT_THAT(error_of(R"({"blockNumber":"0x0","blockHash":)" + kHash + "}"),
                StartsWith("-32602"));
    EXPECT_THAT(error_of(R"({"requireCanonical":1,"blockHash":)" + kHash + "}"),
                StartsWith("-32602"));
}

TEST(params, says_which_block_is_missing_for_state) {
    Rpc rpc;
    rpc.chain.add_block({}, {});
    const auto error_of = [&](const std::string& block) {
        return rpc.error("eth_getBalance", "[" + kAddress + "," + block + "]");
    };
    EXPECT_EQ(error_of("\"0x99\""), "-32000 header not found");
    EXPECT_EQ(error_of("{\"blockHash\":" + kHash + "}"), "-32000 header for hash not found");
    EXPECT_THAT(error_of("\"earliest\""), StartsWith("-32000 missing trie node"));
}

TEST(params, takes_short_storage_keys_and_rejects_long_ones) {
    Rpc rpc;
    rpc.chain.slots[{*fixed_from_hex<Address>(kAddress.substr(3, 40)), Uint256(1)}] = Uint256(0x38);
    for (const char* slot : {"\"0x1\"", "\"0x01\"", "\"1\""})
        EXPECT_EQ(
            text(rpc.result("eth_getStorageAt", "[" + kAddress + "," + slot + ",\"latest\"]")),
            "0x" + std::string(62, '0') + "38");
    EXPECT_THAT(
        rpc.error("eth_getStorageAt", "[" + kAddress + ",\"0x" + std::string(65, '0') + "\"]"),
        HasSubstr("storage key too long (want at most 32 bytes)"));
    EXPECT_THAT(rpc.error("eth_getStorageAt", "[" + kAddress + ",\"0xasdf\"]"),
                HasSubstr("invalid hex in storage key: \"0xasdf\""));
}

TEST(params, decodes_a_call_object_whole) {
    Rpc rpc;
    CallRequest seen;
    rpc.chain.on_call = [&](const CallRequest& request, const Overrides&) {
        seen = request;
        return CallOutcome{};
    };
    rpc.result("eth_call", R"([{"from":)" + kAddress + R"(,"to":)" + kAddress +
                               R"(,"gas":"0x5208","nonce":"0x1","value":"0x10","input":"0xabcd",
        "maxFeePerGas":"0x5","maxPriorityFeePerGas":"0x4","type":"0x2","chainId":"0x1e61",
        "accessList":[{"address":)" +
                               kAddress + R"(,"storageKeys":[)" + kHash + R"(]}],
        "authorizationList":[{"chainId":"0x1","address":)" +
                               kAddress +
                               R"(,"nonce":"0x2","yParity":"0x1","r":"0x3","s":"0x4"}],
        "unknown":[1,2]}])");
    EXPECT_EQ(seen.from, fixed_from_hex<Address>(kAddress.substr(1, 42)));
    EXPECT_EQ(seen.gas, 21'000u);
    EXPECT_EQ(seen.nonce, 1u);
    EXPECT_EQ(seen.value, Uint256(16));
    EXPECT_EQ(seen.data, (Bytes{0xab, 0xcd}));
    EXPECT_EQ(seen.max_fee_per_gas, Uint256(5));
    ASSERT_EQ(seen.access_list.size(), 1u);
    EXPECT_EQ(seen.access_list[0].storage_keys.size(), 1u);
    ASSERT_EQ(seen.authorizations.size(), 1u);
    EXPECT_EQ(seen.authorizations[0].y_parity, 1);
}

TEST(params, rejects_call_objects_that_contradict_themselves) {
    Rpc rpc;
    const auto error_of = [&](const char* call) {
        return rpc.error("eth_call", std::string("[") + call + "]");
    };
    EXPECT_THAT(error_of(R"({"data":"0x01","input":"0x02"})"),
                HasSubstr("both \"data\" and \"input\" are set and not equal"));
    EXPECT_THAT(error_of(R"({"gasPrice":"0x1","maxFeePerGas":"0x1"})"),
                HasSubstr("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    EXPECT_THAT(error_of(R"({"maxFeePerGas":"0x1","maxPriorityFeePerGas":"0x2"})"),
                HasSubstr("maxFeePerGas (1) < maxPriorityFeePerGas (2)"));
    EXPECT_THAT(error_of(R"({"gas":5})"), HasSubstr("(transaction): gas: expected a string"));
    EXPECT_THAT(error_of(R"({"value":"0x1)"
                         "0000000000000000000000000000000000000000000000000000000000000000"
                         R"("})"),
                HasSubstr("value: hex number > 256 bits"));
    EXPECT_THAT(error_of("[]"), HasSubstr("expected a transaction object"));
}

TEST(params, decodes_overrides) {
    Rpc rpc;
    Overrides seen;
    rpc.chain.on_call = [&](const CallRequest&, const Overrides& overrides) {
        seen = overrides;
        return CallOutcome{};
    };
    rpc.result("eth_call", R"([{},"latest",{)" + kAddress +
                               R"(:{"balance":"0x5","nonce":"0x1","code":"0x60",
        "stateDiff":{"0x01":)" +
                               kHash + R"(}}},{"number":"0x9","baseFeePerGas":"0x7"}])");
    ASSERT_EQ(seen.accounts.size(), 1u);
    const auto& account = seen.accounts.begin()->second;
    EXPECT_EQ(account.balance, Uint256(5));
    EXPECT_EQ(account.state_diff.count(Uint256(1)), 1u);
    EXPECT_EQ(seen.block.number, 9u);
    EXPECT_EQ(seen.block.base_fee_per_gas, Uint256(7));
    EXPECT_THAT(
        rpc.error("eth_call", R"([{},"latest",{)" + kAddress + R"(:{"state":{},"stateDiff":{}}}])"),
        HasSubstr("account has both 'state' and 'stateDiff'"));
}

TEST(params, rejects_log_filters_beyond_the_limits) {
    Rpc rpc;
    const auto error_of = [&](const std::string& filter) {
        return rpc.error("eth_getLogs", "[" + filter + "]");
    };
    EXPECT_THAT(error_of(R"({"topics":[null,null,null,null,null]})"),
                HasSubstr("more than 4 items"));
    std::string many = "[" + kAddress;
    for (int i = 0; i < 1000; ++i) many += "," + kAddress;
    EXPECT_THAT(error_of("{\"address\":" + many + "]}"), HasSubstr("more than 1000 items"));
    EXPECT_THAT(error_of(R"({"fromBlock":"0x0","blockHash":)" + kHash + "}"),
                HasSubstr("cannot specify both BlockHash and FromBlock/ToBlock"));
    EXPECT_THAT(error_of(R"({"topics":["0x12"]})"), HasSubstr("want 64 for a hash"));
}

TEST(params, rejects_fee_percentiles_out_of_order_or_range) {
    Rpc rpc;
    for (const char* p : {"[50,25]", "[101]", "[-1]", "[\"1\"]", "5", "[10,10]"})
        EXPECT_THAT(rpc.error("eth_feeHistory", std::string(R"(["0x1","latest",)") + p + "]"),
                    StartsWith("-32602 invalid argument 2 (rewardPercentiles)"));
    EXPECT_THAT(rpc.error("eth_feeHistory", R"([-1,"latest"])"), StartsWith("-32602"));
    EXPECT_THAT(rpc.error("eth_feeHistory", R"(["many","latest"])"), StartsWith("-32602"));
}

}  // namespace trainyard::rpc::test
