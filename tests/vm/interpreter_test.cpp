// SPDX-License-Identifier: Apache-2.0
// The interpreter on short programs: results, gas to the unit, and every way to fail.
#include "vm/interpreter.hpp"

#include <gtest/gtest.h>

#include "tests/vm/map_host.hpp"
#include "vm/arithmetic.hpp"

namespace trainyard::vm {
namespace {

/// The word that a program leaves on the stack, returned through memory.
Uint256 top_of(std::string_view hex, Revision revision = Revision::osaka) {
    MapHost host;
    const auto result = run_hex(host, std::string(hex) + "60005260206000f3", 1'000'000, revision);
    EXPECT_EQ(result.status, Status::success) << hex << ": " << to_text(result.status);
    return result.output.size() == 32 ? load_word(result.output.data()) : Uint256::max();
}

Status status_of(std::string_view hex, int64_t gas = 1'000'000,
                 Revision revision = Revision::osaka) {
    MapHost host;
    return run_hex(host, hex, gas, revision).status;
}

TEST(interpreter, adds_and_wraps) {
    EXPECT_EQ(top_of("6003600401"), Uint256(7));
    EXPECT_EQ(top_of("6001600003"), Uint256::max());  // 0 - 1
}

TEST(interpreter, signed_division_rounds_to_zero) {
    EXPECT_EQ(top_of("60026007600003"
                     "05"),
              negate(3));  // -7 / 2
    EXPECT_EQ(top_of("60026007600003"
                     "07"),
              negate(1));  // -7 % 2
}

TEST(interpreter, signed_division_of_the_least_number_by_minus_one_wraps) {
    const Uint256 least = Uint256(1) << 255;
    EXPECT_EQ(sdiv(least, Uint256::max()), least);
}

TEST(interpreter, sign_extends_from_the_given_byte) {
    EXPECT_EQ(top_of("60ff60000b"), Uint256::max());
    EXPECT_EQ(top_of("607f60000b"), Uint256(0x7f));
    EXPECT_EQ(top_of("60ff601f0b"), Uint256(0xff));
}

TEST(interpreter, shifts_by_256_or_more_give_zero_or_the_sign) {
    EXPECT_EQ(top_of("60016101001b"), Uint256(0));
    EXPECT_EQ(top_of("6001600003"
                     "6101001d"),
              Uint256::max());
}

TEST(interpreter, counts_leading_zeros) {  // EIP-7939
    EXPECT_EQ(top_of("60001e"), Uint256(256));
    EXPECT_EQ(top_of("60011e"), Uint256(255));
    EXPECT_EQ(top_of("60016000031e"), Uint256(0));
}

TEST(interpreter, clz_is_undefined_before_osaka) {
    EXPECT_EQ(status_of("60001e", 100, Revision::prague), Status::undefined_instruction);
}

TEST(interpreter, hashes_memory) {
    // keccak256 of the empty string, from the Yellow Paper.
    EXPECT_EQ(top_of("6000600020"), from_hash(kEmptyCodeHash));
}

TEST(interpreter, charges_memory_by_words_and_their_square) {
    // PUSH2 offset, MSTORE8 at 724 words: 3 * 724 + 724² / 512 = 2172 + 1023 = 3195, and 3 + 3 + 3.
    MapHost host;
    EXPECT_EQ(run_hex(host, "6000615a7f5300", 3204).gas_left, 0);
    EXPECT_EQ(run_hex(host, "6000615a7f5300", 3203).status, Status::out_of_gas);
}

TEST(interpreter, jumps_only_to_a_jumpdest_that_is_no_push_data) {
    EXPECT_EQ(status_of("600456005b00"), Status::success);
    EXPECT_EQ(status_of("600456605b00"), Status::bad_jump);
    EXPECT_EQ(status_of("60ff56"), Status::bad_jump);
    EXPECT_EQ(status_of("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff56"),
              Status::bad_jump);
}

TEST(interpreter, reads_zeros_where_a_push_runs_past_the_end) {
    EXPECT_EQ(status_of("61ff"), Status::success);
}

TEST(interpreter, rejects_underflow_and_overflow_of_the_stack) {
    EXPECT_EQ(status_of("01"), Status::stack_underflow);
    EXPECT_EQ(status_of("5b5f600056", 1'000'000), Status::stack_overflow);
}

TEST(interpreter, holds_exactly_1024_words) {
    std::string pushes;
    for (int i = 0; i < 1024; ++i) pushes += "5f";
    EXPECT_EQ(status_of(pushes + "00"), Status::success);
    EXPECT_EQ(status_of(pushes + "5f00"), Status::stack_overflow);
}

TEST(interpreter, rejects_undefined_and_designated_invalid_instructions) {
    EXPECT_EQ(status_of("0c"), Status::undefined_instruction);
    EXPECT_EQ(status_of("fe"), Status::invalid_instruction);
}

TEST(interpreter, revert_keeps_gas_and_data_but_failure_keeps_nothing) {
    MapHost host;
    const auto reverted = run_hex(host, "602a60005260206000fd", 1000);
    EXPECT_EQ(reverted.status, Status::revert);
    EXPECT_GT(reverted.gas_left, 0);
    EXPECT_EQ(reverted.output.back(), 0x2a);
    EXPECT_EQ(run_hex(host, "fe", 1000).gas_left, 0);
}

TEST(interpreter, rejects_writes_in_a_static_call) {
    for (const char* code :
         {"6001600055", "600160005d", "60006000a0", "6000ff", "600060006000f0"}) {
        MapHost host;
        EXPECT_EQ(run_hex(host, code, 1'000'000, Revision::osaka, true).status,
                  Status::static_violation)
            << code;
    }
}

TEST(interpreter, rejects_memory_beyond_any_gas) {
    EXPECT_EQ(status_of("6001"
                        "7f8000000000000000000000000000000000000000000000000000000000000000"
                        "52"),
              Status::out_of_gas);
    EXPECT_EQ(status_of("67ffffffffffffffff600020", 1'000'000'000), Status::out_of_gas);
}

TEST(interpreter, rejects_return_data_beyond_its_end) {
    EXPECT_EQ(status_of("600160006000"
                        "3e"),
              Status::return_data_out_of_bounds);
    EXPECT_EQ(status_of("600060006000"
                        "3e"),
              Status::success);
}

TEST(interpreter, prices_storage_cold_then_warm) {  // EIP-2929: 2100, then 100
    MapHost host;
    EXPECT_EQ(run_hex(host,
                      "5f5450"
                      "5f5450"
                      "00",
                      10'000)
                  .gas_left,
              10'000 - (2 + 2100 + 2) - (2 + 100 + 2));
}

TEST(interpreter, keeps_a_64th_of_the_gas_back_from_calls) {  // EIP-150
    MapHost host;
    host.warm_accounts.insert(Address{});
    host.answer.gas_left = 0;
    // CALL with all gas to the zero address: seven pushes of 2 or 3 gas, then 100.
    const auto result = run_hex(host,
                                "5f5f5f5f5f5f"
                                "5a"
                                "f1"
                                "00",
                                6400 + 114);
    ASSERT_EQ(host.calls.size(), 1u);
    EXPECT_EQ(host.calls[0].gas, 6400 - 100);
    EXPECT_EQ(result.gas_left, 100);
}

TEST(interpreter, does_not_call_at_depth_1024) {
    MapHost host;
    Message message;
    message.depth = kDepthMax;
    message.gas = 100'000;
    Interpreter interpreter(Revision::osaka);
    const Bytes code = from_hex("5f5f5f5f5f5f61fffff100").value();
    EXPECT_EQ(interpreter.run(host, message, Code(code)).status, Status::success);
    EXPECT_TRUE(host.calls.empty());
}

TEST(interpreter, copies_memory_over_itself) {  // EIP-5656
    EXPECT_EQ(
        top_of("7f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
               "5f52"
               "601f"
               "5f"
               "6001"
               "5e"
               "5f51"),
        load_word(
            from_hex("00000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e")->data()));
}

class CountingTracer final : public Tracer {
public:
    int steps = 0, faults = 0;
    void on_enter(const Message&) override {}
    void on_exit(const CallResult&) override {}
    void on_step(const StepView&) override { ++steps; }
    void on_fault(Status) override { ++faults; }
};

TEST(interpreter, shows_a_tracer_every_step_and_fault) {
    MapHost host;
    CountingTracer tracer;
    Interpreter interpreter(Revision::osaka, &tracer);
    Message message;
    message.gas = 100;
    const Bytes code = from_hex("600160020101").value();
    EXPECT_EQ(interpreter.run(host, message, Code(code)).status, Status::stack_underflow);
    EXPECT_EQ(tracer.steps, 4);
    EXPECT_EQ(tracer.faults, 1);
}

/// A loop without end, with gas for an hour.
Status status_when_watched(Watch& watch, Tracer* tracer, bool is_hot) {
    MapHost host;
    Interpreter interpreter(Revision::osaka, tracer, &watch);
    Message message;
    message.gas = int64_t{1} << 50;
    const Code code(*from_hex("5b5f56"));
    if (is_hot) (void)code.make_fast(instructions_of(Revision::osaka));
    return interpreter.run(host, message, code).status;
}

TEST(interpreter, ends_in_the_midst_of_a_loop_when_its_time_is_up) {
    CountingTracer tracer;
    for (Tracer* const traced : {static_cast<Tracer*>(nullptr), static_cast<Tracer*>(&tracer)})
        for (const bool is_hot : {false, true}) {
            int asked = 0;
            Watch watch([&] { return ++asked == 5; });
            EXPECT_EQ(status_when_watched(watch, traced, is_hot), Status::out_of_time);
            EXPECT_TRUE(watch.is_over());
            EXPECT_EQ(asked, 5);
            EXPECT_EQ(status_when_watched(watch, traced, is_hot), Status::out_of_time);
            EXPECT_EQ(asked, 5);  // no frame begins once it is over
        }
    EXPECT_EQ(tracer.faults, 4);
}

TEST(interpreter, translates_hot_code_under_a_watch_too) {
    MapHost host;
    const Code code(*from_hex("61ffff5b6001900380600357"));  // counts down from 65,535
    Watch watch({});
    Interpreter interpreter(Revision::osaka, nullptr, &watch);
    Message message;
    message.gas = 10'000'000;
    EXPECT_EQ(interpreter.run(host, message, code).status, Status::success);
    EXPECT_NE(code.fast(instructions_of(Revision::osaka)), nullptr);
}

}  // namespace
}  // namespace trainyard::vm
