// SPDX-License-Identifier: Apache-2.0
// debug_trace*, eth_simulateV1 and eth_config over the fake chain: what is asked of the node, and
// the shapes of what it says.
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::HasSubstr;
using testing::StartsWith;

namespace {

const std::string kAddress = "\"0x" + std::string(38, '0') + "09\"";

/// A chain of one block with one transaction, whose trace is what `trace` says.
struct Traced {
    Rpc rpc;
    TraceOptions seen;
    Trace trace = StepTrace{};
    std::string tx, block;

    explicit Traced(const std::function<void(Options&)>& change = {}) : rpc(change) {
        const auto added = rpc.chain.add_block({make_tx(1, 0)}, {});
        tx = quoted(added->tx_hashes[0].bytes);
        block = quoted(added->hash.bytes);
        rpc.chain.on_trace = [this](const TraceOptions& options,
                                    const WorkLimits&) -> Result<Trace, TraceError> {
            seen = options;
            return trace;
        };
    }
    std::string error_of(const std::string& options) {
        return rpc.error("debug_traceTransaction", "[" + tx + "," + options + "]");
    }
    void fail(TraceError::Kind kind) {
        rpc.chain.on_trace = [kind](const TraceOptions&,
                                    const WorkLimits&) -> Result<Trace, TraceError> {
            return Unexpected(TraceError{kind, "why"});
        };
    }
};

}  // namespace

TEST(eth_config, shows_the_forks_of_eip_7910) {
    Rpc rpc;
    auto& current = rpc.chain.forks.current;
    current.activation_time = 540;
    current.blob_max = 21;
    current.fork_id = *fixed_from_hex<FixedBytes<4>>("e272ecbe");
    current.precompiles = {{"ECREC", address_of_key(1)}};
    auto config = rpc.result("eth_config");
    EXPECT_TRUE(config.at("next").is_null());
    EXPECT_TRUE(config.at("last").is_null());
    EXPECT_EQ(config.at("current").at("activationTime").as_int64(), 540);
    EXPECT_EQ(text(config.at("current").at("forkId")), "0xe272ecbe");
    EXPECT_EQ(text(config.at("current").at("chainId")), "0x1e61");
    EXPECT_EQ(config.at("current").at("blobSchedule").at("max").as_int64(), 21);
    EXPECT_EQ(text(config.at("current").at("precompiles").at("ECREC")),
              to_hex0x(address_of_key(1).bytes));
    rpc.chain.forks.next = rpc.chain.forks.last = current;
    EXPECT_EQ(rpc.result("eth_config").at("next"), config.at("current"));
}

TEST(debug_trace, takes_the_options_of_the_struct_logger) {
    Traced t;
    t.rpc.result("debug_traceTransaction", "[" + t.tx + "]");
    EXPECT_EQ(t.seen.kind, TraceOptions::Kind::steps);
    EXPECT_TRUE(t.seen.stack && t.seen.storage);
    EXPECT_FALSE(t.seen.memory || t.seen.return_data);
    t.rpc.result("debug_traceTransaction",
                 "[" + t.tx + R"(,{"disableStack":true,"disableStorage":true,"enableMemory":true,
        "enableReturnData":true,"limit":5,"timeout":"2s","reexec":128}])");
    EXPECT_FALSE(t.seen.stack || t.seen.storage);
    EXPECT_TRUE(t.seen.memory && t.seen.return_data);
    EXPECT_EQ(t.seen.steps_max, 5u);
    EXPECT_EQ(t.seen.timeout_ms, 2000u);
}

TEST(debug_trace, takes_the_options_of_the_native_tracers) {
    Traced t;
    t.trace = CallFrame{};
    t.rpc.result("debug_traceTransaction",
                 "[" + t.tx + R"(,{"tracer":"callTracer","tracerConfig":{"onlyTopCall":true,
        "withLog":true}}])");
    EXPECT_EQ(t.seen.kind, TraceOptions::Kind::calls);
    EXPECT_TRUE(t.seen.only_top_call && t.seen.with_log);
    t.trace = StateTrace{};
    t.rpc.result("debug_traceTransaction",
                 "[" + t.tx + R"(,{"tracer":"prestateTracer","tracerConfig":{"diffMode":true}}])");
    EXPECT_EQ(t.seen.kind, TraceOptions::Kind::state);
    EXPECT_TRUE(t.seen.diff_mode);
}

TEST(debug_trace, rejects_options_that_it_cannot_follow) {
    Traced t;
    EXPECT_THAT(t.error_of(R"({"tracer":"fooTracer"})"),
                StartsWith("-32602 invalid argument 1 (options): tracer: no tracer has the name"));
    EXPECT_THAT(t.error_of(R"({"tracer":"{data: [], step: function() {}}"})"),
                HasSubstr("JavaScript tracers do not run here"));
    EXPECT_THAT(t.error_of(R"({"tracer":")" + std::string(10'000, 'x') + "\"}"),
                StartsWith("-32602"));
    EXPECT_THAT(t.error_of(R"({"tracer":5})"), HasSubstr("tracer: expected a string"));
    EXPECT_THAT(t.error_of(R"({"tracerConfig":[]})"),
                HasSubstr("tracerConfig: expected an object"));
    EXPECT_THAT(t.error_of(R"({"tracerConfig":{"diffMode":1}})"),
                HasSubstr("tracerConfig: diffMode: expected a boolean"));
    EXPECT_THAT(t.error_of(R"({"disableStack":"yes"})"), HasSubstr("expected a boolean"));
    EXPECT_THAT(t.error_of(R"({"limit":-1})"), StartsWith("-32602"));
    for (const char* timeout : {"\"\"", "\"5\"", "\"5h\"", "\"-1s\"", "\"99999999999s\"", "5"})
        EXPECT_THAT(t.error_of(std::string(R"({"timeout":)") + timeout + "}"),
                    HasSubstr("(options): timeout:"));
    EXPECT_THAT(t.error_of(R"({"stateOverrides":{)" + kAddress + R"(:{"nonce":"0x1"}}})"),
                HasSubstr("overrides belong to debug_traceCall"));
    EXPECT_THAT(t.error_of(R"({"txIndex":"0x0"})"), StartsWith("-32602"));
    EXPECT_THAT(t.error_of("[]"), HasSubstr("expected an object of trace options"));
}

TEST(debug_trace, shows_steps_as_the_struct_logger_does) {
    Traced t;
    StepTrace steps;
    steps.gas_used = 21'005;
    steps.failed = true;
    steps.output = {0xab};
    TraceStep step;
    step.pc = 7;
    step.opcode = 0x0c;
    step.gas = 90;
    step.gas_cost = 3;
    step.error = "invalid opcode";
    step.stack = {Uint256(1), Uint256(255)};
    step.memory = Bytes(64, 1);
    step.storage = {{1, 2}};
    step.refund = 4800;
    steps.steps = {step};
    t.trace = steps;
    const auto shown = t.rpc.result("debug_traceTransaction", "[" + t.tx + "]");
    EXPECT_EQ(json::serialize(shown),
              R"({"gas":21005,"failed":true,"returnValue":"0xab","structLogs":[{"pc":7,)"
              R"("op":"opcode 0xc not defined","gas":90,"gasCost":3,"depth":1,)"
              R"("error":"invalid opcode","stack":["0x1","0xff"],"memory":[)" +
                  quoted(Bytes(32, 1)) + "," + quoted(Bytes(32, 1)) + R"(],"storage":{)" +
                  quoted(word(1).bytes) + ":" + quoted(word(2).bytes) + R"(},"refund":4800}]})");
}

TEST(debug_trace, shows_frames_as_the_call_tracer_does) {
    Traced t;
    CallFrame frame;
    frame.type = "CALL";
    frame.from = address_of_key(1);
    frame.to = address_of_key(2);
    frame.value = Uint256(3);
    frame.gas = 100;
    frame.gas_used = 60;
    frame.error = "execution reverted";
    frame.reverted = true;
    frame.output = *from_hex("4e487b71" + std::string(62, '0') + "11");
    frame.logs = {{{address_of_key(2), {word(1)}, {9}}, 0, 1}};
    frame.calls.emplace_back().type = "STATICCALL";
    t.trace = frame;
    const auto shown =
        t.rpc.result("debug_traceTransaction", "[" + t.tx + R"(,{"tracer":"callTracer"}])");
    EXPECT_EQ(text(shown.at("gasUsed")), "0x3c");
    EXPECT_EQ(text(shown.at("revertReason")), "arithmetic underflow or overflow");
    EXPECT_EQ(text(shown.at("logs").at(0).at("position")), "0x1");
    EXPECT_EQ(text(shown.at("calls").at(0).at("type")), "STATICCALL");
    EXPECT_FALSE(shown.at("calls").at(0).as_object().contains("value"));
    EXPECT_FALSE(shown.at("calls").at(0).as_object().contains("to"));
    EXPECT_FALSE(shown.at("calls").at(0).as_object().contains("calls"));
}

TEST(debug_trace, shows_states_as_the_prestate_tracer_does) {
    Traced t;
    StateTrace state;
    state.pre[address_of_key(1)].balance = Uint256(16);
    state.pre[address_of_key(1)].nonce = 3;
    state.pre[address_of_key(1)].storage = {{1, 2}};
    t.trace = state;
    const std::string params = "[" + t.tx + R"(,{"tracer":"prestateTracer"}])";
    const std::string name = to_hex0x(address_of_key(1).bytes);
    const auto shown = t.rpc.result("debug_traceTransaction", params);
    EXPECT_EQ(text(shown.at(name).at("balance")), "0x10");
    EXPECT_EQ(shown.at(name).at("nonce").as_int64(), 3);
    EXPECT_EQ(text(shown.at(name).at("storage").at(to_hex0x(word(1).bytes))),
              to_hex0x(word(2).bytes));
    EXPECT_FALSE(shown.at(name).as_object().contains("code"));
    state.post.emplace();
    t.trace = state;
    const auto diff = t.rpc.result("debug_traceTransaction", params);
    EXPECT_TRUE(diff.at("post").as_object().empty());
    EXPECT_TRUE(diff.at("pre").as_object().contains(name));
}

TEST(debug_trace, finds_blocks_and_transactions_or_says_what_is_missing) {
    Traced t;
    const auto by_hash = t.rpc.result("debug_traceBlockByHash", "[" + t.block + "]");
    EXPECT_EQ(text(by_hash.at(0).at("txHash")), t.tx.substr(1, 66));
    EXPECT_EQ(t.rpc.result("debug_traceBlockByNumber", R"(["0x1"])"), by_hash);
    EXPECT_EQ(t.rpc.result("debug_traceBlockByNumber", R"(["latest"])"), by_hash);
    EXPECT_EQ(t.rpc.error("debug_traceBlockByNumber", R"(["0x9"])"), "-32000 block #9 not found");
    EXPECT_EQ(t.rpc.error("debug_traceBlockByHash", "[" + quoted(word(9).bytes) + "]"),
              "-32000 block " + to_hex0x(word(9).bytes) + " not found");
    EXPECT_EQ(t.rpc.error("debug_traceTransaction", "[" + quoted(word(9).bytes) + "]"),
              "-32000 transaction not found");
    t.fail(TraceError::Kind::genesis);
    EXPECT_EQ(t.rpc.error("debug_traceBlockByNumber", R"(["0x0"])"),
              "-32000 genesis is not traceable");
}

TEST(debug_trace, says_which_limit_was_reached) {
    Traced t;
    t.fail(TraceError::Kind::too_large);
    EXPECT_THAT(t.rpc.error("debug_traceTransaction", "[" + t.tx + "]"),
                StartsWith("-32003 the trace is larger than 26214400 bytes"));
    t.fail(TraceError::Kind::too_slow);
    EXPECT_EQ(t.rpc.error("debug_traceTransaction", "[" + t.tx + "]"), "-32000 execution timeout");
    t.fail(TraceError::Kind::state_unavailable);
    EXPECT_THAT(t.rpc.error("debug_traceTransaction", "[" + t.tx + "]"),
                StartsWith("-32000 missing trie node"));
}

TEST(debug_trace, runs_for_as_long_as_the_caller_and_the_node_both_allow) {
    Traced t;
    WorkLimits seen;
    bool late = false;
    t.rpc.chain.on_trace = [&](const TraceOptions&,
                               const WorkLimits& limits) -> Result<Trace, TraceError> {
        EXPECT_FALSE(limits.is_time_up());
        t.rpc.now_ms += 2001;
        late = limits.is_time_up();
        t.rpc.now_ms += 60'000;
        EXPECT_TRUE(limits.is_time_up());
        return Trace(StepTrace{});
    };
    t.rpc.result("debug_traceTransaction", "[" + t.tx + R"(,{"timeout":"2s"}])");
    EXPECT_TRUE(late);
    t.rpc.result("debug_traceTransaction", "[" + t.tx + R"(,{"timeout":"600s"}])");
    EXPECT_FALSE(late);
}

TEST(debug_trace, refuses_more_at_once_than_there_are_places) {
    Traced t([](Options& options) { options.works_max = 1; });
    std::string inner;
    t.rpc.chain.on_trace = [&](const TraceOptions&,
                               const WorkLimits&) -> Result<Trace, TraceError> {
        if (inner.empty()) {
            inner = "asked";
            inner = t.rpc.error("debug_traceTransaction", "[" + t.tx + "]");
        }
        return Trace(StepTrace{});
    };
    t.rpc.result("debug_traceTransaction", "[" + t.tx + "]");
    EXPECT_THAT(inner, StartsWith("-32005 too many traces and simulations at once"));
    t.rpc.result("debug_traceTransaction", "[" + t.tx + "]");  // the place is free again
}

TEST(debug_trace_call, caps_gas_and_takes_overrides) {
    Traced t;
    CallRequest request;
    Overrides overrides;
    t.rpc.chain.on_call = [&](const CallRequest& r, const Overrides& o) {
        request = r;
        overrides = o;
        return CallOutcome{};
    };
    t.rpc.result("debug_traceCall", R"([{"gas":"0xffffffffffff"},"latest",{"stateOverrides":{)" +
                                        kAddress + R"(:{"balance":"0x5"}},
        "blockOverrides":{"number":"0x9"}}])");
    EXPECT_EQ(request.gas, 50'000'000u);
    EXPECT_EQ(overrides.accounts.size(), 1u);
    EXPECT_EQ(overrides.block.number, 9u);
    t.fail(TraceError::Kind::refused);
    EXPECT_EQ(t.rpc.error("debug_traceCall", "[{}]"), "-32000 tracing failed: why");
    EXPECT_EQ(t.rpc.error("debug_traceCall", R"([{},"0x99"])"), "-32000 header not found");
}

TEST(eth_simulate, hands_over_blocks_overrides_calls_and_flags) {
    Rpc rpc;
    SimulateRequest seen;
    uint64_t gas = 0;
    rpc.chain.on_simulate = [&](const SimulateRequest& request, uint64_t gas_max,
                                const WorkLimits&) {
        seen = request;
        gas = gas_max;
        return std::vector<SimulatedBlock>{};
    };
    rpc.result("eth_simulateV1", R"([{"blockStateCalls":[{},{"blockOverrides":{"number":"0x9",
        "time":"0x5","gasLimit":"0x6","feeRecipient":)" +
                                     kAddress + R"(,"blobBaseFee":"0x7",
        "beaconRoot":)" + quoted(word(1).bytes) +
                                     R"(,"withdrawals":[{"index":"0x1",
        "validatorIndex":"0x2","address":)" +
                                     kAddress + R"(,"amount":"0x3"}]},
        "stateOverrides":{)" + kAddress +
                                     R"(:{"movePrecompileToAddress":)" + kAddress + R"(}},
        "calls":[{"to":)" + kAddress +
                                     R"(},{}]}],"validation":true,"traceTransfers":true,
        "returnFullTransactions":true},"latest"])");
    EXPECT_EQ(gas, 50'000'000u);
    EXPECT_TRUE(seen.validation && seen.trace_transfers && seen.full_transactions);
    ASSERT_EQ(seen.blocks.size(), 2u);
    const auto& block = seen.blocks[1];
    EXPECT_EQ(block.block.number, 9u);
    EXPECT_EQ(block.block.blob_base_fee, Uint256(7));
    EXPECT_EQ(block.block.beacon_root, word(1));
    EXPECT_EQ(block.block.withdrawals->at(0).amount_gwei, 3u);
    EXPECT_TRUE(block.accounts.begin()->second.move_precompile_to);
    EXPECT_EQ(block.calls.size(), 2u);
}

TEST(eth_simulate, shows_blocks_with_their_calls_and_numbers_logs_through_the_block) {
    Rpc rpc;
    const auto block = rpc.chain.next_block({make_tx(1, 0), make_tx(2, 0), make_tx(3, 0)}, {});
    rpc.chain.on_simulate = [&](const SimulateRequest&, uint64_t, const WorkLimits&) {
        SimulatedBlock out{block, std::vector<SimulatedBlock::Call>(3)};
        out.calls[0].outcome.output = {0xab};
        out.calls[0].outcome.gas_used = 21'000;
        out.calls[0].gas_peak = 22'000;
        out.calls[0].outcome.logs = {{address_of_key(1), {word(1)}, {}},
                                     {address_of_key(1), {}, {}}};
        out.calls[1].outcome.status = CallOutcome::Status::reverted;
        out.calls[1].outcome.output = {0xcd};
        out.calls[2].outcome.status = CallOutcome::Status::failed;
        out.calls[2].outcome.error = "out of gas";
        return std::vector<SimulatedBlock>{out, out};
    };
    const auto shown = rpc.result("eth_simulateV1", R"([{"blockStateCalls":[{}]}])");
    ASSERT_EQ(shown.as_array().size(), 2u);
    const auto& first = shown.at(0);
    EXPECT_EQ(text(first.at("hash")), to_hex0x(block->hash.bytes));
    EXPECT_TRUE(first.at("transactions").at(0).is_string());
    const auto& calls = first.at("calls");
    EXPECT_EQ(text(calls.at(0).at("returnData")), "0xab");
    EXPECT_EQ(text(calls.at(0).at("status")), "0x1");
    EXPECT_EQ(text(calls.at(0).at("maxUsedGas")), "0x55f0");
    EXPECT_EQ(text(calls.at(0).at("logs").at(1).at("logIndex")), "0x1");
    EXPECT_EQ(text(calls.at(0).at("logs").at(1).at("transactionHash")),
              to_hex0x(block->tx_hashes[0].bytes));
    EXPECT_EQ(text(calls.at(1).at("returnData")), "0x");
    EXPECT_EQ(calls.at(1).at("error").at("code").as_int64(), 3);
    EXPECT_EQ(text(calls.at(1).at("error").at("data")), "0xcd");
    EXPECT_EQ(calls.at(2).at("error").at("code").as_int64(), -32015);
    EXPECT_EQ(text(calls.at(2).at("error").at("message")), "out of gas");
    const auto full =
        rpc.result("eth_simulateV1", R"([{"blockStateCalls":[{}],"returnFullTransactions":true}])");
    EXPECT_EQ(text(full.at(0).at("transactions").at(0).at("from")),
              to_hex0x(address_of_key(1).bytes));
}

TEST(eth_simulate, rejects_what_it_cannot_simulate) {
    Rpc rpc;
    const auto error_of = [&](const std::string& request) {
        return rpc.error("eth_simulateV1", "[" + request + "]");
    };
    EXPECT_EQ(rpc.error("eth_simulateV1"),
              "-32602 missing value for required argument 0 (simulation)");
    EXPECT_EQ(error_of("{}"), "-32602 empty input");
    EXPECT_EQ(error_of(R"({"blockStateCalls":[]})"), "-32602 empty input");
    std::string many = "{}";
    for (int i = 0; i < 256; ++i) many += ",{}";
    EXPECT_EQ(error_of("{\"blockStateCalls\":[" + many + "]}"), "-38026 too many blocks");
    EXPECT_THAT(error_of(R"({"blockStateCalls":{}})"), StartsWith("-32602"));
    EXPECT_THAT(error_of(R"({"blockStateCalls":[5]})"), StartsWith("-32602"));
    EXPECT_THAT(error_of(R"({"blockStateCalls":[{"calls":{}}]})"),
                HasSubstr("blockStateCalls: calls: expected an array"));
    EXPECT_THAT(error_of(R"({"blockStateCalls":[{"calls":[{"gas":5}]}]})"),
                HasSubstr("calls: gas: expected a string"));
    EXPECT_THAT(error_of(R"({"blockStateCalls":[{}],"validation":1})"),
                HasSubstr("validation: expected a boolean"));
    EXPECT_EQ(rpc.error("eth_simulateV1", R"([{"blockStateCalls":[{}]},"0x99"])"),
              "-32000 header not found");
}

TEST(eth_simulate, has_the_codes_of_execution_apis) {
    using Kind = SimulateError::Kind;
    Rpc rpc;
    const std::pair<Kind, const char*> codes[] = {
        {Kind::nonce_too_low, "-38010"},      {Kind::nonce_too_high, "-38011"},
        {Kind::fee_cap_too_low, "-38012"},    {Kind::intrinsic_gas, "-38013"},
        {Kind::insufficient_funds, "-38014"}, {Kind::block_gas_reached, "-38015"},
        {Kind::number_order, "-38020"},       {Kind::timestamp_order, "-38021"},
        {Kind::moves_to_itself, "-38022"},    {Kind::init_code_too_large, "-38025"},
        {Kind::too_many_blocks, "-38026"},    {Kind::invalid_call, "-32602"},
        {Kind::nonce_max, "-32603"},          {Kind::too_slow, "-32000"}};
    for (const auto& [kind, code] : codes) {
        rpc.chain.on_simulate =
            [kind = kind](const SimulateRequest&, uint64_t,
                          const WorkLimits&) -> Result<std::vector<SimulatedBlock>, SimulateError> {
            return Unexpected(SimulateError{kind, "why"});
        };
        EXPECT_EQ(rpc.error("eth_simulateV1", R"([{"blockStateCalls":[{}]}])"),
                  std::string(code) + " why");
    }
}

TEST(eth_simulate, says_so_when_the_answer_is_too_large) {
    Rpc rpc([](Options& options) { options.response_bytes_max = 1000; });
    const auto block = rpc.chain.next_block({}, {});
    rpc.chain.on_simulate = [&](const SimulateRequest&, uint64_t, const WorkLimits&) {
        return std::vector<SimulatedBlock>(2, {block, {}});
    };
    EXPECT_EQ(rpc.error("eth_simulateV1", R"([{"blockStateCalls":[{}]}])"),
              "-32003 response too large");
}

TEST(txpool, names_senders_with_the_checksum_of_eip_55) {
    Rpc rpc;
    const auto tx = make_tx(1, 0);
    rpc.chain.pool[hash_tx(tx)] = {tx, hash_tx(tx), address_of_key(1)};
    const auto content = rpc.result("txpool_content");
    EXPECT_TRUE(
        content.at("pending").as_object().contains("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"));
}

TEST(txpool, is_not_told_whole_where_it_is_longer_than_an_answer) {
    Rpc rpc([](Options& options) { options.response_bytes_max = 1000; });
    const auto tx = make_tx(1, 0, [](Tx& t) { t.data = Bytes(600); });
    rpc.chain.pool[hash_tx(tx)] = {tx, hash_tx(tx), address_of_key(1)};
    EXPECT_EQ(rpc.error("txpool_content"), "-32003 response too large");
}

}  // namespace trainyard::rpc::test
