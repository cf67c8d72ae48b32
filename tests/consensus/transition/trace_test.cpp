// SPDX-License-Identifier: Apache-2.0
// Traces: what each recorder shows, what it costs, and where it stops.
#include "consensus/transition/trace.hpp"

#include <gtest/gtest.h>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kPlenty = 1 << 20;

TraceOptions options_of(TraceOptions::Kind kind) {
    TraceOptions options;
    options.kind = kind;
    return options;
}

CallRequest call_of(const Address& to, Bytes data = {}) {
    CallRequest request;
    request.from = account_number(1);
    request.to = to;
    request.gas = 200'000;
    request.data = std::move(data);
    return request;
}

template <class Shown>
Shown trace_of(const TestWorld& world, const CallRequest& request, const TraceOptions& options) {
    TraceBudget budget(kPlenty, {});
    auto trace = trace_call(world.view(), world.context(), request, options, budget);
    EXPECT_TRUE(trace);
    return std::get<Shown>(std::move(*trace));
}

StepTrace steps_of(const TestWorld& world, const CallRequest& request,
                   const TraceOptions& options = {}) {
    return trace_of<StepTrace>(world, request, options);
}

CallFrame frames_of(const TestWorld& world, const CallRequest& request, bool with_log = false,
                    bool only_top_call = false) {
    auto options = options_of(TraceOptions::Kind::calls);
    options.with_log = with_log;
    options.only_top_call = only_top_call;
    return trace_of<CallFrame>(world, request, options);
}

/// PUSH1 0 five times, the target, PUSH2 gas, CALL: the word of success is left on the stack.
std::string call_code(const Address& to, std::string_view value = "5f",
                      std::string_view op = "f1") {
    return "5f5f5f5f" + std::string(value) + "73" + to_hex(to.bytes) + "61ffff" + std::string(op);
}

TEST(step_trace, shows_costs_stack_and_storage) {
    TestWorld world;
    world.deploy(address_number(1), "6005600155600154505f5f20600052");
    const auto trace = steps_of(world, call_of(address_number(1)));
    ASSERT_GE(trace.steps.size(), 10u);
    EXPECT_FALSE(trace.failed);
    const auto& store = trace.steps[2];
    EXPECT_EQ(store.name, "SSTORE");
    EXPECT_EQ(store.gas_cost, 22'100u);  // EIP-2929: cold, from zero
    EXPECT_EQ(store.stack, (std::vector<Uint256>{5, 1}));
    EXPECT_EQ(store.storage, (std::map<Uint256, Uint256>{{1, 5}}));
    const auto& load = trace.steps[4];
    EXPECT_EQ(load.name, "SLOAD");
    EXPECT_EQ(load.gas_cost, 100u);
    EXPECT_EQ(load.storage, (std::map<Uint256, Uint256>{{1, 5}}));
    EXPECT_EQ(trace.steps.back().name, "STOP");
    EXPECT_EQ(trace.steps.back().gas_cost, 0u);
    for (size_t i = 1; i < trace.steps.size(); ++i)
        EXPECT_EQ(trace.steps[i].gas, trace.steps[i - 1].gas - trace.steps[i - 1].gas_cost);
}

TEST(step_trace, counts_the_gas_that_a_call_forwards_and_shows_the_inner_frame) {
    TestWorld world;
    world.deploy(address_number(1), call_code(address_number(2)) + "00");
    world.deploy(address_number(2), "5f5000");
    const auto trace = steps_of(world, call_of(address_number(1)));
    const auto& call = trace.steps[7];
    EXPECT_EQ(call.name, "CALL");
    EXPECT_EQ(call.gas_cost, 2600u + 0xffffu);
    EXPECT_EQ(trace.steps[8].depth, 2);
    EXPECT_EQ(trace.steps[8].gas, 0xffffu);
    EXPECT_EQ(trace.steps[11].depth, 1);
}

TEST(step_trace, counts_a_call_that_cannot_be_paid_as_if_it_had_begun) {
    TestWorld world;
    world.deploy(address_number(1), call_code(address_number(2), "6001") + "00");
    const auto trace = steps_of(world, call_of(address_number(1)));
    EXPECT_EQ(trace.steps[7].gas_cost, 2600u + 9000u + 25'000u + 0xffffu);
    EXPECT_EQ(trace.steps[8].depth, 1);
}

TEST(step_trace, names_what_failed) {
    TestWorld world;
    world.deploy(address_number(1), "5f0c");
    const auto trace = steps_of(world, call_of(address_number(1)));
    ASSERT_EQ(trace.steps.size(), 2u);
    EXPECT_TRUE(trace.failed);
    EXPECT_EQ(trace.steps[1].name, "");
    EXPECT_EQ(trace.steps[1].error, "invalid opcode");
    world.deploy(address_number(2), "5b5f56");
    CallRequest poor = call_of(address_number(2));
    poor.gas = 25'000;
    const auto loop = steps_of(world, poor);
    EXPECT_EQ(loop.steps.back().error, "out of gas");
    EXPECT_EQ(loop.steps.back().gas_cost, loop.steps.back().gas);
}

TEST(step_trace, leaves_out_what_is_not_asked_for_and_steps_above_the_limit) {
    TestWorld world;
    world.deploy(address_number(1), "600560015260015f5500");
    TraceOptions options;
    options.stack = options.storage = false;
    options.memory = true;
    options.steps_max = 4;
    const auto trace = steps_of(world, call_of(address_number(1)), options);
    ASSERT_EQ(trace.steps.size(), 4u);
    EXPECT_TRUE(trace.steps[1].stack.empty());
    EXPECT_EQ(trace.steps[2].memory.size(), 0u);
    EXPECT_EQ(trace.steps[3].memory.size(), 64u);
    EXPECT_EQ(trace.gas_used, steps_of(world, call_of(address_number(1))).gas_used);
}

TEST(step_trace, gives_the_code_that_a_creation_left) {
    const TestWorld world;
    CallRequest request = call_of({}, *from_hex("60015ff3"));
    request.to.reset();
    const auto trace = steps_of(world, request);
    EXPECT_EQ(trace.output, Bytes{0});
    EXPECT_EQ(trace.steps.back().name, "RETURN");
    EXPECT_EQ(trace.steps.back().gas_cost, 3u);  // memory alone, not the code
}

TEST(call_trace, shows_the_tree_with_values_gas_and_errors) {
    TestWorld world;
    const std::string inner = call_code(address_number(3), "5f", "fa");
    world.deploy(address_number(1), call_code(address_number(2), "6001") + "00");
    world.deploy(address_number(2), inner.substr(0, 8) + inner.substr(10) + "00");
    world.deploy(address_number(3), "602a5f5260205ffd");
    CallRequest request = call_of(address_number(1));
    request.value = 9;
    const auto top = frames_of(world, request);
    EXPECT_EQ(top.type, "CALL");
    EXPECT_EQ(top.from, account_number(1));
    EXPECT_EQ(top.value, Uint256(9));
    EXPECT_EQ(top.gas, 200'000u);
    ASSERT_EQ(top.calls.size(), 1u);
    const auto& middle = top.calls[0];
    EXPECT_EQ(middle.to, address_number(2));
    EXPECT_EQ(middle.value, Uint256(1));
    EXPECT_TRUE(middle.error.empty());
    ASSERT_EQ(middle.calls.size(), 1u);
    const auto& last = middle.calls[0];
    EXPECT_EQ(last.type, "STATICCALL");
    EXPECT_FALSE(last.value);
    EXPECT_EQ(last.error, "execution reverted");
    EXPECT_TRUE(last.reverted);
    EXPECT_EQ(from_be(last.output), Uint256(42));
    EXPECT_TRUE(frames_of(world, request, false, true).calls.empty());
}

TEST(call_trace, shows_who_lends_code_to_whom) {
    TestWorld world;
    world.deploy(address_number(1), "5f5f5f5f73" + to_hex(address_number(2).bytes) + "61fffff400");
    world.deploy(address_number(2), "00");
    const auto top = frames_of(world, call_of(address_number(1)));
    ASSERT_EQ(top.calls.size(), 1u);
    EXPECT_EQ(top.calls[0].type, "DELEGATECALL");
    EXPECT_EQ(top.calls[0].from, address_number(1));
    EXPECT_EQ(top.calls[0].to, address_number(2));
}

TEST(call_trace, keeps_logs_in_place_and_drops_those_of_failed_frames) {
    TestWorld world;
    world.deploy(address_number(1), "5f5fa0" + call_code(address_number(2)) + "505f5fa000");
    world.deploy(address_number(2), "5f5fa05f5ffd");
    const auto top = frames_of(world, call_of(address_number(1)), true);
    ASSERT_EQ(top.logs.size(), 2u);
    EXPECT_EQ(top.logs[0].position, 0u);
    EXPECT_EQ(top.logs[1].position, 1u);
    EXPECT_TRUE(top.calls[0].logs.empty());
    EXPECT_TRUE(frames_of(world, call_of(address_number(1)), false).logs.empty());
}

TEST(call_trace, shows_creations_and_destructions) {
    TestWorld world;
    // CREATE with value 3 of init code "30ff": the new contract gives itself up.
    world.deploy(address_number(1), "6130ff5f526002601e6003f000");
    CallRequest request = call_of(address_number(1));
    request.value = 3;
    const auto top = frames_of(world, request);
    ASSERT_EQ(top.calls.size(), 1u);
    const auto& created = top.calls[0];
    EXPECT_EQ(created.type, "CREATE");
    EXPECT_EQ(created.to, create_address(address_number(1), 1));
    ASSERT_EQ(created.calls.size(), 1u);
    EXPECT_EQ(created.calls[0].type, "SELFDESTRUCT");
    EXPECT_EQ(created.calls[0].value, Uint256(3));
}

TEST(state_trace, shows_what_was_there_before) {
    TestWorld world;
    world.deploy(address_number(1),
                 "6005600155600254505f" + ("73" + to_hex(address_number(9).bytes)) + "3100");
    const auto trace = trace_of<StateTrace>(world, call_of(address_number(1)),
                                            options_of(TraceOptions::Kind::state));
    EXPECT_FALSE(trace.post);
    const auto& contract = trace.pre.at(address_number(1));
    EXPECT_EQ(contract.nonce, 1u);
    EXPECT_TRUE(contract.code);
    EXPECT_EQ(contract.storage, (std::map<Uint256, Uint256>{{1, 0}, {2, 0}}));
    EXPECT_TRUE(trace.pre.contains(account_number(1)));
    EXPECT_FALSE(trace.pre.contains(address_number(9)));  // was empty
}

TEST(state_trace, shows_only_changes_in_diff_mode) {
    TestWorld world;
    world.deploy(address_number(1), "6005600155600254505f5f5f5f600173" +
                                        to_hex(address_number(9).bytes) + "61fffff100");
    world.deploy(address_number(2), "00");
    auto options = options_of(TraceOptions::Kind::state);
    options.diff_mode = true;
    CallRequest request = call_of(address_number(1));
    request.value = 4;
    const auto trace = trace_of<StateTrace>(world, request, options);
    ASSERT_TRUE(trace.post);
    EXPECT_EQ(trace.post->at(address_number(1)).storage, (std::map<Uint256, Uint256>{{1, 5}}));
    EXPECT_EQ(trace.post->at(address_number(1)).balance, Uint256(3));
    EXPECT_FALSE(trace.post->at(address_number(1)).nonce);
    EXPECT_TRUE(trace.pre.at(address_number(1)).storage.empty());  // it was zero
    EXPECT_EQ(trace.post->at(address_number(9)).balance, Uint256(1));
    EXPECT_FALSE(trace.pre.contains(address_number(9)));
    EXPECT_FALSE(trace.pre.contains(address_number(2)));
    EXPECT_EQ(trace.post->at(account_number(1)).nonce, 1u);
}

TEST(trace, stops_at_its_budget_whatever_the_recorder) {
    TestWorld world;
    world.deploy(address_number(1), "5b" + call_code(address_number(2)) + "505f56");
    world.deploy(address_number(2), "5f54505a5460015a5500");
    for (const auto kind :
         {TraceOptions::Kind::steps, TraceOptions::Kind::calls, TraceOptions::Kind::state}) {
        TraceBudget budget(500, {});
        const auto trace = trace_call(world.view(), world.context(), call_of(address_number(1)),
                                      options_of(kind), budget);
        ASSERT_FALSE(trace);
        EXPECT_EQ(trace.error().kind, TraceError::Kind::too_large);
    }
}

TEST(trace, bounds_memory_that_is_shown_at_each_step) {
    TestWorld world;
    world.deploy(address_number(1), "61ffff515b600456");  // 64 KiB of memory, then a loop
    TraceOptions options;
    options.memory = true;
    TraceBudget budget(kPlenty, {});
    const auto trace =
        trace_call(world.view(), world.context(), call_of(address_number(1)), options, budget);
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().kind, TraceError::Kind::too_large);
}

TEST(trace, stops_when_its_time_is_up) {
    TestWorld world;
    world.deploy(address_number(1), "5b600056");  // nothing that calls and states would note
    auto context = world.context();
    context.env.gas_limit = uint64_t{1} << 50;
    auto request = call_of(address_number(1));
    request.gas = context.env.gas_limit;
    for (const auto kind :
         {TraceOptions::Kind::steps, TraceOptions::Kind::calls, TraceOptions::Kind::state}) {
        int asked = 0;
        TraceBudget budget(uint64_t{1} << 40, [&] { return ++asked == 3; });
        const auto trace = trace_call(world.view(), context, request, options_of(kind), budget);
        ASSERT_FALSE(trace);
        EXPECT_EQ(trace.error().kind, TraceError::Kind::too_slow);
    }
}

TEST(trace, says_why_a_call_is_refused) {
    const TestWorld world;
    CallRequest request = call_of(account_number(2));
    request.gas = 20'000;
    TraceBudget budget(kPlenty, {});
    const auto trace = trace_call(world.view(), world.context(), request, {}, budget);
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().tx_error, TxInvalid::intrinsic_gas_too_low);
}

/// A block of three transactions that each add one to slot 0.
struct Counted {
    TestWorld world;
    Block block;
    std::vector<Address> senders;

    Counted() {
        world.deploy(address_number(1), "5f546001015f5500");
        block.header =
            make_header(world.parent, {{}, world.parent.timestamp + 1, {}, {}}, world.config);
        for (uint8_t n = 1; n <= 3; ++n) {
            block.txs.push_back(TestWorld::make_tx(n, address_number(1)));
            senders.push_back(account_number(n));
        }
    }
    template <class Run>
    auto with(Run run) {
        const auto view = world.view();
        return run(TraceInput{view, world.parent, block, senders, {}, world.config});
    }
};

TEST(trace, replays_the_transactions_before) {
    Counted counted;
    TraceBudget budget(kPlenty, {});
    const auto third = counted.with(
        [&](const TraceInput& input) { return trace_transaction(input, 2, {}, budget); });
    ASSERT_TRUE(third);
    const auto& steps = std::get<StepTrace>(*third).steps;
    EXPECT_EQ(steps[1].storage, (std::map<Uint256, Uint256>{{0, 2}}));
    const auto all =
        counted.with([&](const TraceInput& input) { return trace_block(input, {}, budget); });
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 3u);
    for (size_t i = 0; i < 3; ++i)
        EXPECT_EQ(std::get<StepTrace>((*all)[i]).steps[1].storage,
                  (std::map<Uint256, Uint256>{{0, i}}));
}

TEST(trace, rejects_a_block_that_does_not_execute_on_this_state) {
    Counted counted;
    counted.block.txs[1] = TestWorld::make_tx(2, address_number(1), {}, 7);
    TraceBudget budget(kPlenty, {});
    const auto trace =
        counted.with([&](const TraceInput& input) { return trace_block(input, {}, budget); });
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().kind, TraceError::Kind::replay_failed);
    EXPECT_EQ(trace.error().tx_error, TxInvalid::nonce_too_high);
}

}  // namespace
}  // namespace trainyard::consensus
