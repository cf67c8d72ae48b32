// SPDX-License-Identifier: Apache-2.0
// eth_* over the fake chain: shapes, words and codes of the answers.
#include "core/checksum.hpp"
#include "rpc/method.hpp"
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::HasSubstr;
using testing::StartsWith;

namespace {

const std::string kCall = "[{}]";

std::vector<std::string> keys_of(const json::value& object) {
    std::vector<std::string> keys;
    for (const auto& entry : object.as_object()) keys.emplace_back(entry.key());
    std::sort(keys.begin(), keys.end());
    return keys;
}

Bytes revert_with(std::string_view reason) {
    Bytes data = *from_hex("08c379a0");
    append(data, to_hash(Uint256(32)).bytes);
    append(data, to_hash(Uint256(reason.size())).bytes);
    append(data, as_bytes(reason));
    data.resize((data.size() - 4 + 31) / 32 * 32 + 4);
    return data;
}

CallOutcome outcome(CallOutcome::Status status, Bytes output, std::string error = {}) {
    CallOutcome out;
    out.status = status;
    out.output = std::move(output);
    out.error = std::move(error);
    return out;
}

}  // namespace

TEST(eth_blocks, have_the_fields_of_execution_apis) {
    Rpc rpc;
    rpc.chain.add_block({make_tx(1, 0)}, {});
    const auto block = rpc.result("eth_getBlockByNumber", R"(["latest",false])");
    EXPECT_EQ(keys_of(block),
              (std::vector<std::string>{
                  "baseFeePerGas", "difficulty",     "extraData",    "gasLimit",         "gasUsed",
                  "hash",          "logsBloom",      "miner",        "mixHash",          "nonce",
                  "number",        "parentHash",     "receiptsRoot", "sha3Uncles",       "size",
                  "stateRoot",     "timestamp",      "transactions", "transactionsRoot", "uncles",
                  "withdrawals",   "withdrawalsRoot"}));
    EXPECT_EQ(text(block.at("number")), "0x1");
    EXPECT_EQ(text(block.at("nonce")), "0x0000000000000000");
    EXPECT_EQ(text(block.at("transactions").at(0)),
              to_hex0x(rpc.chain.blocks[1]->tx_hashes[0].bytes));
    const auto by_hash =
        rpc.result("eth_getBlockByHash", "[" + quoted(rpc.chain.blocks[1]->hash.bytes) + ",false]");
    EXPECT_EQ(by_hash, block);
    EXPECT_TRUE(rpc.result("eth_getBlockByNumber", R"(["0x3e8",true])").is_null());
    EXPECT_EQ(text(rpc.result("eth_getBlockByNumber", R"(["finalized",true])").at("number")),
              "0x0");
}

TEST(eth_transactions, show_type_price_and_place) {
    Rpc rpc;
    const auto typed = make_tx(1, 0);
    const auto legacy = make_tx(2, 0, [](Tx& tx) {
        tx.type = TxType::legacy;
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = Uint256(2'000'000'000);
        tx.to.reset();
    });
    const auto block = rpc.chain.add_block({typed, legacy}, {});
    const auto tx =
        rpc.result("eth_getTransactionByHash", "[" + quoted(hash_tx(typed).bytes) + "]");
    EXPECT_EQ(text(tx.at("type")), "0x2");
    EXPECT_EQ(text(tx.at("gasPrice")), "0x77359400");  // 1 gwei base fee and 1 gwei tip
    EXPECT_EQ(text(tx.at("maxFeePerGas")), "0xb2d05e00");
    EXPECT_EQ(text(tx.at("blockNumber")), "0x1");
    EXPECT_EQ(text(tx.at("from")), to_hex0x(address_of_key(1).bytes));
    EXPECT_EQ(text(tx.at("yParity")), text(tx.at("v")));
    const auto old = rpc.result("eth_getTransactionByBlockHashAndIndex",
                                "[" + quoted(block->hash.bytes) + R"(,"0x1"])");
    EXPECT_EQ(text(old.at("type")), "0x0");
    EXPECT_TRUE(old.at("to").is_null());
    EXPECT_FALSE(old.as_object().contains("yParity"));
    // EIP-155: 2 * 7777 + 35 or 36
    EXPECT_THAT(text(old.at("v")), testing::AnyOf("0x3ce5", "0x3ce6"));
    EXPECT_TRUE(
        rpc.result("eth_getTransactionByBlockNumberAndIndex", R"(["0x1","0x2"])").is_null());
    EXPECT_EQ(text(rpc.result("eth_getRawTransactionByBlockNumberAndIndex", R"(["0x1","0x0"])")),
              to_hex0x(encode_tx(typed)));
    EXPECT_EQ(
        text(rpc.result("eth_getRawTransactionByHash", "[" + quoted(hash_tx(typed).bytes) + "]")),
        to_hex0x(encode_tx(typed)));
    EXPECT_TRUE(
        rpc.result("eth_getRawTransactionByHash", "[" + quoted(word(9).bytes) + "]").is_null());
}

TEST(eth_transactions, in_the_pool_have_no_block) {
    Rpc rpc;
    const auto tx = make_tx(1, 3);
    rpc.chain.pool[hash_tx(tx)] = {tx, hash_tx(tx), address_of_key(1)};
    const auto found =
        rpc.result("eth_getTransactionByHash", "[" + quoted(hash_tx(tx).bytes) + "]");
    EXPECT_TRUE(found.at("blockHash").is_null());
    EXPECT_TRUE(found.at("transactionIndex").is_null());
    EXPECT_EQ(text(found.at("nonce")), "0x3");
    EXPECT_TRUE(
        rpc.result("eth_getTransactionReceipt", "[" + quoted(hash_tx(tx).bytes) + "]").is_null());
    EXPECT_EQ(
        text(rpc.result("eth_getRawTransactionByHash", "[" + quoted(hash_tx(tx).bytes) + "]")),
        to_hex0x(encode_tx(tx)));
    const auto content = rpc.result("txpool_content");
    EXPECT_EQ(content.at("pending").at(to_checksummed(address_of_key(1))).at("3"), found);
    EXPECT_EQ(text(rpc.result("txpool_status").at("pending")), "0x1");
    EXPECT_EQ(rpc.result("txpool_contentFrom", "[" + quoted(address_of_key(2).bytes) + "]"),
              json::parse(R"({"pending":{},"queued":{}})"));
    EXPECT_EQ(rpc.chain.content_asked_of, address_of_key(2)) << "not for the whole pool";
}

TEST(txpool_inspect, has_a_line_for_each_transaction) {
    Rpc rpc;
    const auto sent = make_tx(1, 3);
    const auto created = make_tx(1, 4, [](Tx& tx) { tx.to.reset(); });
    for (const auto& tx : {sent, created})
        rpc.chain.pool[hash_tx(tx)] = {tx, hash_tx(tx), address_of_key(1)};
    const auto lines = rpc.result("txpool_inspect");
    const auto& pending = lines.at("pending").at(to_checksummed(address_of_key(1)));
    EXPECT_EQ(text(pending.at("3")),
              to_checksummed(address_of_key(200)) + ": 5 wei + 100000 gas \xc3\x97 3000000000 wei");
    EXPECT_EQ(text(pending.at("4")),
              "contract creation: 5 wei + 100000 gas \xc3\x97 3000000000 wei");
    EXPECT_TRUE(lines.at("queued").as_object().empty());
}

TEST(eth_transactions, are_found_by_sender_and_nonce) {
    Rpc rpc;
    rpc.chain.counts_nonces = true;
    rpc.chain.oldest.state = 1;
    const auto ask = [](uint8_t key, uint64_t nonce) {
        return "[" + quoted(address_of_key(key).bytes) + ",\"" + to_quantity(Uint256(nonce)) +
               "\"]";
    };
    const auto* method = "eth_getTransactionBySenderAndNonce";
    rpc.chain.add_block({make_tx(1, 0)}, {});
    for (uint64_t n = 1; n < 8; ++n)
        rpc.chain.add_block({make_tx(2, n - 1), make_tx(1, 2 * n - 1), make_tx(1, 2 * n)}, {});
    for (const uint64_t nonce : {1u, 2u, 7u, 13u, 14u})
        EXPECT_EQ(rpc.result(method, ask(1, nonce)),
                  rpc.result("eth_getTransactionByHash",
                             "[" + quoted(hash_tx(make_tx(1, nonce)).bytes) + "]"));
    EXPECT_TRUE(rpc.result(method, ask(1, 15)).is_null());
    EXPECT_TRUE(rpc.result(method, ask(3, 0)).is_null());
    // In block 1, which has the oldest state: whether before it cannot be seen.
    EXPECT_THAT(rpc.error(method, ask(1, 0)), StartsWith("-32000 missing trie node"));
    const auto waits = make_tx(1, 15);
    rpc.chain.pool[hash_tx(waits)] = {waits, hash_tx(waits), address_of_key(1)};
    EXPECT_EQ(text(rpc.result(method, ask(1, 15)).at("hash")), to_hex0x(hash_tx(waits).bytes));
    EXPECT_EQ(rpc.chain.content_asked_of, address_of_key(1));
    rpc.chain.oldest.block = 8;
    EXPECT_EQ(rpc.error(method, ask(1, 2)), "4444 pruned history unavailable");
}

TEST(eth_receipts, count_gas_and_logs_within_the_block) {
    Rpc rpc;
    const auto create = make_tx(2, 7, [](Tx& tx) { tx.to.reset(); });
    const Log log{address_of_key(9), {word(1), word(2)}, {0xaa}};
    rpc.chain.add_block({make_tx(1, 0), create}, {{log}, {log, log}});
    const auto receipts = rpc.result("eth_getBlockReceipts", R"(["latest"])");
    ASSERT_EQ(receipts.as_array().size(), 2u);
    const auto& second = receipts.at(1);
    EXPECT_EQ(second,
              rpc.result("eth_getTransactionReceipt", "[" + quoted(hash_tx(create).bytes) + "]"));
    EXPECT_EQ(text(second.at("gasUsed")), "0xa410");
    EXPECT_EQ(text(second.at("cumulativeGasUsed")), "0xf618");
    EXPECT_EQ(text(second.at("status")), "0x1");
    EXPECT_EQ(text(second.at("logs").at(1).at("logIndex")), "0x2");
    EXPECT_EQ(text(second.at("logs").at(1).at("transactionIndex")), "0x1");
    EXPECT_FALSE(second.at("logs").at(0).at("removed").as_bool());
    EXPECT_TRUE(second.at("to").is_null());
    EXPECT_TRUE(receipts.at(0).at("contractAddress").is_null());
    EXPECT_EQ(text(second.at("contractAddress")).size(), 42u);
    EXPECT_TRUE(rpc.result("eth_getBlockReceipts", R"(["0x37"])").is_null());
}

TEST(eth_receipts, know_the_address_of_a_creation) {
    // Key 1 is 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf; the address for nonce 0 is by ethers 6,
    // getCreateAddress.
    Rpc rpc;
    rpc.chain.add_block({make_tx(1, 0, [](Tx& tx) { tx.to.reset(); })}, {});
    const auto receipt = rpc.result("eth_getBlockReceipts", R"(["latest"])").at(0);
    EXPECT_EQ(text(receipt.at("from")), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    EXPECT_EQ(text(receipt.at("contractAddress")), "0xf2e246bb76df876cef8b38ae84130f4f55de395b");
}

TEST(eth_call, words_reverts_as_geth_does) {
    Rpc rpc;
    Bytes output;
    rpc.chain.on_call = [&](const CallRequest&, const Overrides&) {
        return outcome(CallOutcome::Status::reverted, output);
    };
    output = revert_with("user error");
    const auto answer = rpc.ask("eth_call", kCall).at("error");
    EXPECT_EQ(answer.at("code").as_int64(), 3);
    EXPECT_EQ(text(answer.at("message")), "execution reverted: user error");
    EXPECT_EQ(text(answer.at("data")), to_hex0x(output));
    output = *from_hex("4e487b71" + std::string(63, '0') + "1");
    EXPECT_EQ(rpc.error("eth_call", kCall), "3 execution reverted: assert(false)");
    output = *from_hex("4e487b71" + std::string(62, '0') + "11");
    EXPECT_EQ(rpc.error("eth_call", kCall),
              "3 execution reverted: arithmetic underflow or overflow");
    output = {};
    EXPECT_EQ(rpc.error("eth_call", kCall), "3 execution reverted");
    output = revert_with("trop cher: 5 \xe2\x82\xac");
    EXPECT_EQ(rpc.error("eth_call", kCall), "3 execution reverted: trop cher: 5 \xe2\x82\xac");
    for (const auto* hidden : {"\x1b[2J", "a\nb", "\xc2\x9b", "\x7f", "\xff", "\xe2\x82"}) {
        output = revert_with(hidden);
        EXPECT_EQ(rpc.error("eth_call", kCall), "3 execution reverted") << hidden;
    }
    output = revert_with("x");
    output[4 + 32] = 0xff;  // a length beyond the data
    EXPECT_EQ(rpc.error("eth_call", kCall), "3 execution reverted");
}

TEST(eth_call, passes_on_failures_and_caps_gas) {
    Rpc rpc;
    std::optional<uint64_t> gas;
    rpc.chain.on_call = [&](const CallRequest& request, const Overrides&) {
        gas = request.gas;
        return outcome(CallOutcome::Status::failed, {}, "out of gas");
    };
    EXPECT_EQ(rpc.error("eth_call", R"([{"gas":"0xffffffffff"}])"), "-32000 out of gas");
    EXPECT_EQ(gas, 50'000'000u);
    rpc.chain.on_call = [](const CallRequest&, const Overrides&) {
        return Unexpected(CallError{
            CallError::Kind::invalid_tx, "insufficient funds for gas * price + value", {}});
    };
    EXPECT_EQ(rpc.error("eth_call", kCall), "-32000 insufficient funds for gas * price + value");
    EXPECT_EQ(rpc.error("eth_call", R"([{},"0x77"])"), "-32000 header not found");
}

TEST(eth_call, returns_its_output) {
    Rpc rpc;
    rpc.chain.on_call = [](const CallRequest&, const Overrides&) {
        return outcome(CallOutcome::Status::success, {1, 2});
    };
    EXPECT_EQ(text(rpc.result("eth_call", kCall)), "0x0102");
}

TEST(eth_estimate_gas, words_its_errors_as_geth_does) {
    Rpc rpc;
    EXPECT_EQ(text(rpc.result("eth_estimateGas", kCall)), "0x5208");
    CallError error;
    rpc.chain.on_estimate = [&](const CallRequest&) { return Unexpected(error); };
    error = {CallError::Kind::reverted, "", revert_with("no")};
    EXPECT_EQ(rpc.error("eth_estimateGas", kCall), "3 execution reverted: no");
    error = {CallError::Kind::gas_exceeds_allowance, "gas required exceeds allowance (7)", {}};
    EXPECT_EQ(rpc.error("eth_estimateGas", kCall), "-32000 gas required exceeds allowance (7)");
    error = {CallError::Kind::state_unavailable, "", {}};
    EXPECT_THAT(rpc.error("eth_estimateGas", kCall), StartsWith("-32000 missing trie node"));
    error = {CallError::Kind::too_slow, "execution aborted (timeout = 5s)", {}};
    EXPECT_EQ(rpc.error("eth_estimateGas", kCall), "-32002 execution aborted (timeout = 5s)");
}

TEST(eth_create_access_list, reports_a_revert_in_the_answer) {
    Rpc rpc;
    const auto list = rpc.result("eth_createAccessList", kCall);
    EXPECT_EQ(text(list.at("error")), "execution reverted");
    EXPECT_EQ(text(list.at("accessList").at(0).at("storageKeys").at(0)).size(), 66u);
}

TEST(eth_blocks, have_the_same_header_by_hash_and_by_number) {
    Rpc rpc;
    const auto block = rpc.chain.add_block({make_tx(1, 0)}, {});
    EXPECT_EQ(rpc.result("eth_getHeaderByHash", "[" + quoted(block->hash.bytes) + "]"),
              rpc.result("eth_getHeaderByNumber", R"(["0x1"])"));
    EXPECT_TRUE(rpc.result("eth_getHeaderByHash", "[" + quoted(word(9).bytes) + "]").is_null());
}

TEST(eth_state, answers_from_the_account) {
    Rpc rpc;
    const auto who = quoted(address_of_key(1).bytes);
    rpc.chain.accounts[address_of_key(1)] = {5, Uint256(1000), kEmptyCodeHash, kEmptyTrieRoot};
    rpc.chain.codes[address_of_key(1)] = {0x60, 0x00};
    EXPECT_EQ(text(rpc.result("eth_getBalance", "[" + who + "]")), "0x3e8");
    EXPECT_EQ(text(rpc.result("eth_getTransactionCount", "[" + who + ",\"latest\"]")), "0x5");
    EXPECT_EQ(text(rpc.result("eth_getTransactionCount", "[" + who + ",\"pending\"]")), "0x2a");
    EXPECT_EQ(text(rpc.result("eth_getCode", "[" + who + "]")), "0x6000");
    EXPECT_EQ(text(rpc.result("eth_getAccountInfo", "[" + who + "]").at("code")), "0x6000");
    const auto proof = rpc.result("eth_getProof", "[" + who + R"(,["0x0"],"latest"])");
    EXPECT_EQ(keys_of(proof),
              (std::vector<std::string>{"accountProof", "address", "balance", "codeHash", "nonce",
                                        "storageHash", "storageProof"}));
    EXPECT_EQ(text(proof.at("storageProof").at(0).at("key")), "0x0");
    EXPECT_EQ(text(proof.at("storageProof").at(0).at("value")), "0x7");
    const std::string short_key = "0x" + std::string(62, '0'), whole_key = short_key + "01";
    const auto named = rpc.result("eth_getProof", "[" + who + ",[\"" + short_key + "\",\"" +
                                                      whole_key + "\",\"0x1\"],\"latest\"]");
    const auto key_of = [&](size_t i) { return text(named.at("storageProof").at(i).at("key")); };
    EXPECT_EQ(key_of(0), "0x0");
    EXPECT_EQ(key_of(1), whole_key);
    EXPECT_EQ(key_of(2), "0x1");
    EXPECT_TRUE(rpc.result("eth_accounts").as_array().empty());
    EXPECT_EQ(text(rpc.result("eth_getStorageValues", "[{" + who + R"(:["0x1"]}])")
                       .at(to_hex0x(address_of_key(1).bytes))
                       .at(0))
                  .size(),
              66u);
    EXPECT_THAT(rpc.error("eth_getStorageValues", "[{}]"), HasSubstr("empty request"));
}

TEST(eth_fees, follow_the_tips_that_were_paid) {
    Rpc rpc;
    EXPECT_EQ(text(rpc.result("eth_maxPriorityFeePerGas")), "0xf4240");  // nothing to go by
    const auto cheap = make_tx(1, 0, [](Tx& tx) { tx.max_priority_fee_per_gas = Uint256(100); });
    rpc.chain.add_block({cheap, make_tx(2, 0)}, {});
    EXPECT_EQ(text(rpc.result("eth_maxPriorityFeePerGas")), "0x64");
    EXPECT_EQ(text(rpc.result("eth_gasPrice")), to_quantity(Uint256(900'000'100)));
    EXPECT_EQ(text(rpc.result("eth_baseFee")), to_quantity(Uint256(900'000'000)));
}

TEST(eth_fee_history, has_one_base_fee_more_than_blocks) {
    Rpc rpc;
    const auto cheap = make_tx(1, 0, [](Tx& tx) { tx.max_priority_fee_per_gas = Uint256(100); });
    rpc.chain.add_block({cheap, make_tx(2, 0)}, {});  // 21000 and 42000 gas
    const auto history = rpc.result("eth_feeHistory", R"(["0x5","latest",[10,33,34,100]])");
    EXPECT_EQ(text(history.at("oldestBlock")), "0x0");
    EXPECT_EQ(history.at("baseFeePerGas").as_array().size(), 3u);
    EXPECT_EQ(history.at("gasUsedRatio").as_array().size(), 2u);
    EXPECT_DOUBLE_EQ(history.at("gasUsedRatio").at(1).to_number<double>(), 63'000.0 / 30'000'000);
    EXPECT_EQ(history.at("reward").at(0), json::parse(R"(["0x0","0x0","0x0","0x0"])"));
    EXPECT_EQ(history.at("reward").at(1),
              json::parse(R"(["0x64","0x64","0x3b9aca00","0x3b9aca00"])"));
    EXPECT_FALSE(rpc.result("eth_feeHistory", R"([1,"latest"])").as_object().contains("reward"));
    EXPECT_EQ(rpc.error("eth_feeHistory", R"(["0x1","0x9"])"),
              "-32000 request beyond head block: requested 9, head 1");
    EXPECT_EQ(rpc.result("eth_feeHistory", R"(["0x0","latest",[50]])"),
              json::parse(R"({"oldestBlock":"0x0","baseFeePerGas":[],"gasUsedRatio":[]})"));
}

TEST(eth_send_raw_transaction, passes_on_the_words_of_the_pool) {
    Rpc rpc;
    const auto tx = make_tx(1, 0);
    const auto params = "[" + quoted(encode_tx(tx)) + "]";
    EXPECT_EQ(text(rpc.result("eth_sendRawTransaction", params)), to_hex0x(hash_tx(tx).bytes));
    rpc.chain.on_submit = [](const Tx&) { return Unexpected(Refusal{"already known"}); };
    EXPECT_EQ(rpc.error("eth_sendRawTransaction", params), "-32000 already known");
}

TEST(eth_send_raw_transaction, rejects_what_is_no_transaction) {
    Rpc rpc;
    const auto error_of = [&](const Bytes& raw) {
        return rpc.error("eth_sendRawTransaction", "[" + quoted(raw) + "]");
    };
    EXPECT_EQ(error_of({}), "-32000 rlp: malformed transaction");
    EXPECT_EQ(error_of({0x05, 0xc0}), "-32000 transaction type not supported");
    // With its blobs, as wallets send it (EIP-4844, networking): a list that begins with a list.
    EXPECT_EQ(error_of({0x03, 0xc4, 0xc0, 0xc0, 0xc0, 0xc0}),
              "-32000 transaction type not supported");
    auto long_one = encode_tx(make_tx(1, 0));
    long_one.push_back(0);
    EXPECT_EQ(error_of(long_one), "-32000 rlp: malformed transaction");
    const auto old = make_tx(1, 0, [](Tx& tx) {
        tx.type = TxType::legacy;
        tx.chain_id.reset();
    });
    EXPECT_THAT(error_of(encode_tx(old)),
                HasSubstr("only replay-protected (EIP-155) transactions"));
}

TEST(eth_send_raw_transaction_sync, gives_the_receipt_or_says_that_it_waited) {
    Rpc rpc;
    const auto tx = make_tx(1, 0);
    const auto waited =
        rpc.ask("eth_sendRawTransactionSync", "[" + quoted(encode_tx(tx)) + ",\"0x1\"]");
    EXPECT_EQ(waited.at("error").at("code").as_int64(), 4);
    EXPECT_EQ(text(waited.at("error").at("data")), to_hex0x(hash_tx(tx).bytes));
    rpc.chain.add_block({tx}, {});
    const auto receipt =
        rpc.result("eth_sendRawTransactionSync", "[" + quoted(encode_tx(tx)) + "]");
    EXPECT_EQ(text(receipt.at("transactionHash")), to_hex0x(hash_tx(tx).bytes));
}

TEST(eth_fill_transaction, completes_what_is_missing) {
    Rpc rpc;
    const auto from = to_hex0x(address_of_key(1).bytes);
    const auto filled = rpc.result("eth_fillTransaction", R"([{"from":")" + from + R"(","to":")" +
                                                              from + R"(","value":"0x1"}])");
    const auto& tx = filled.at("tx");
    EXPECT_EQ(text(tx.at("nonce")), "0x2a");
    EXPECT_EQ(text(tx.at("gas")), "0x5208");
    EXPECT_EQ(text(tx.at("chainId")), "0x1e61");
    EXPECT_EQ(text(tx.at("type")), "0x2");
    EXPECT_EQ(text(tx.at("maxFeePerGas")), to_quantity(Uint256(1'801'000'000)));
    EXPECT_TRUE(tx.at("gasPrice").is_null());
    const auto raw = from_hex(text(filled.at("raw")));
    ASSERT_TRUE(raw);
    EXPECT_EQ(raw->front(), 0x02);
    const auto legacy =
        rpc.result("eth_fillTransaction", R"([{"from":")" + from + R"(","gasPrice":"0x5"}])")
            .at("tx");
    EXPECT_EQ(text(legacy.at("type")), "0x0");
    EXPECT_EQ(text(legacy.at("gasPrice")), "0x5");
    EXPECT_THAT(rpc.error("eth_fillTransaction", "[{}]"), StartsWith("-32602"));
}

TEST(node_methods, tell_who_and_how) {
    Rpc rpc;
    EXPECT_EQ(text(rpc.result("web3_clientVersion")), "trainyard/test");
    EXPECT_EQ(text(rpc.result("web3_sha3", R"(["0x"])")), to_hex0x(kEmptyCodeHash.bytes));
    EXPECT_EQ(text(rpc.result("net_peerCount")), "0x1");
    EXPECT_TRUE(rpc.result("net_listening").as_bool());
    EXPECT_FALSE(rpc.result("eth_syncing").as_bool());
    rpc.chain.sync = SyncStatus{1, 2, 3};
    EXPECT_EQ(text(rpc.result("eth_syncing").at("highestBlock")), "0x3");
    EXPECT_FALSE(rpc.result("eth_syncing").as_object().contains("snapshotChunks"));
    rpc.chain.sync = SyncStatus{0, 0, 64, 24, 7};
    EXPECT_EQ(text(rpc.result("eth_syncing").at("snapshotChunks")), "0x18");
    EXPECT_EQ(text(rpc.result("eth_syncing").at("snapshotChunksHere")), "0x7");
    EXPECT_EQ(text(rpc.result("eth_capabilities").at("head").at("number")), "0x0");
}

TEST(pruned_blocks, are_named_as_such_and_never_passed_over) {
    Rpc rpc;
    for (uint64_t n = 0; n < 6; ++n) rpc.chain.add_block({make_tx(1, n)}, {});
    rpc.chain.oldest = {5, 4};
    const std::string words = "4444 pruned history unavailable";
    for (const char* method : {"eth_getBlockByNumber", "eth_getTransactionByBlockNumberAndIndex"}) {
        const bool whole = std::string(method) == "eth_getBlockByNumber";
        const std::string more = whole ? "false" : "\"0x0\"";
        EXPECT_EQ(rpc.error(method, "[\"0x3\"," + more + "]"), words) << method;
        EXPECT_FALSE(rpc.result(method, "[\"0x4\"," + more + "]").is_null()) << method;
        EXPECT_TRUE(rpc.result(method, "[\"0x99\"," + more + "]").is_null()) << method;
    }
    EXPECT_EQ(rpc.error("eth_getBlockReceipts", R"(["0x3"])"), words);
    EXPECT_EQ(
        rpc.error("eth_getBalance", R"(["0x0000000000000000000000000000000000000001","0x3"])"),
        words);
    EXPECT_TRUE(rpc.result("eth_getBlockByNumber", R"(["0x0",false])").is_object());
    EXPECT_EQ(rpc.error("eth_feeHistory", R"(["0x4","0x5",[50]])"), words);
    const auto kept = rpc.result("eth_capabilities");
    EXPECT_EQ(text(kept.at("state").at("oldestBlock")), "0x5");
    EXPECT_EQ(text(kept.at("logs").at("oldestBlock")), "0x4");
    rpc.chain.first_header = 4;
    EXPECT_EQ(rpc.error("eth_getLogs", R"([{"fromBlock":"0x3","toBlock":"0x5"}])"), words);
    EXPECT_TRUE(rpc.result("eth_getLogs", R"([{"fromBlock":"0x4","toBlock":"0x5"}])").is_array());
}

TEST(fee_history, that_takes_too_long_is_told_to_ask_for_less) {
    uint64_t step_ms = 0, now_ms = 0;
    Rpc rpc([&](Options& o) { o.now_ms = [&] { return now_ms += step_ms; }; });
    for (uint64_t n = 0; n < 20; ++n) rpc.chain.add_block({make_tx(1, n)}, {});
    EXPECT_EQ(
        rpc.result("eth_feeHistory", R"(["0x14","latest",[50]])").at("reward").as_array().size(),
        20u);
    step_ms = 1'000;
    EXPECT_EQ(rpc.error("eth_feeHistory", R"(["0x14","latest",[50]])"),
              "-32005 query timeout exceeded: ask for less at once");
}

TEST(log_queries, that_take_too_long_are_told_to_ask_for_less) {
    uint64_t step_ms = 0, now_ms = 0;
    Rpc rpc([&](Options& o) { o.now_ms = [&] { return now_ms += step_ms; }; });
    for (uint64_t n = 0; n < 20; ++n) rpc.chain.add_block({make_tx(1, n)}, {});
    const std::string all = R"([{"fromBlock":"0x0","toBlock":"0x14"}])";
    EXPECT_TRUE(rpc.result("eth_getLogs", all).is_array());
    step_ms = 1'000;
    EXPECT_EQ(rpc.error("eth_getLogs", all), "-32005 query timeout exceeded: ask for less at once");
}

TEST(debug_methods, give_the_consensus_encodings) {
    Rpc rpc;
    const auto tx = make_tx(1, 0);
    const auto block = rpc.chain.add_block({tx}, {});
    EXPECT_EQ(text(rpc.result("debug_getRawHeader", R"(["0x1"])")),
              to_hex0x(encode_header(block->block.header)));
    EXPECT_EQ(text(rpc.result("debug_getRawBlock", R"(["0x1"])")),
              to_hex0x(encode_block(block->block)));
    EXPECT_EQ(text(rpc.result("debug_getRawReceipts", R"(["0x1"])").at(0)),
              to_hex0x(encode_receipt(block->receipts[0])));
    EXPECT_EQ(text(rpc.result("debug_getRawTransaction", "[" + quoted(hash_tx(tx).bytes) + "]")),
              to_hex0x(encode_tx(tx)));
    EXPECT_EQ(rpc.error("debug_getRawTransaction", "[" + quoted(word(9).bytes) + "]"),
              "-32000 transaction not found");
    EXPECT_EQ(rpc.error("debug_getRawHeader", R"(["2"])"),
              "-32602 invalid argument 0 (block): hex string without 0x prefix");
}

/// Whatever a method answers has the shape that its row declares.
TEST(method_table, declares_the_shapes_of_answers) {
    Rpc rpc;
    rpc.chain.add_block({make_tx(1, 0)}, {});
    for (const auto* method : all_methods()) {
        if (method->params[0].required) continue;
        const auto answer = rpc.ask(std::string(method->name));
        if (!answer.contains("result")) continue;  // no contracts here
        const auto& result = answer.at("result");
        const bool fits = [&] {
            switch (method->result) {
                case Shape::quantity:
                case Shape::data:
                case Shape::text:
                    return result.is_string();
                case Shape::boolean:
                    return result.is_bool();
                case Shape::object:
                    return result.is_object();
                case Shape::array:
                    return result.is_array();
                case Shape::any:
                    return true;
            }
            return false;
        }();
        EXPECT_TRUE(fits || (method->nullable && result.is_null())) << method->name;
    }
}

}  // namespace trainyard::rpc::test
