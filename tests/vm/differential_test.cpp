// SPDX-License-Identifier: Apache-2.0
// Random code, made so that most of it runs on: the loops must agree in status, gas and effects.
#include "tests/vm/differential.hpp"

#include <random>

#include <gtest/gtest.h>

namespace trainyard::vm {
namespace {

/// Grows code from a seed: pushes, jumps to real places, and every opcode now and then.
class Grower {
public:
    explicit Grower(uint64_t seed) : random_(seed) {}

    Bytes code(size_t pieces) {
        Bytes out;
        for (uint64_t i = pick(40); i > 0; --i) push(out);  // something to work on
        for (size_t i = 0; i < pieces; ++i) add_piece(out);
        for (const size_t at : jumps_) {
            const size_t to =
                targets_.empty() ? pick(out.size() + 1) : targets_[pick(targets_.size())];
            out[at] = static_cast<uint8_t>(to >> 8);
            out[at + 1] = static_cast<uint8_t>(to);
        }
        return out;
    }
    uint64_t pick(uint64_t bound) { return random_() % bound; }

private:
    void push(Bytes& out) {
        const size_t count = pick(4) == 0 ? pick(33) : 1;
        out.push_back(static_cast<uint8_t>(op::push0 + count));
        for (size_t i = 0; i < count; ++i)
            out.push_back(pick(3) == 0 ? 0xff : static_cast<uint8_t>(pick(70)));
    }
    /// One of `count` opcodes from `first` on; seldom one that ends the run at once.
    void add_opcode(Bytes& out, uint8_t first, uint64_t count) {
        const auto& table = instructions_of(Revision::osaka);
        uint8_t opcode = first;
        do {
            opcode = static_cast<uint8_t>(first + pick(count));
        } while (pick(40) != 0 && (!table[opcode].is_defined() || opcode == op::jump ||
                                   opcode == op::jumpi || opcode == op::returndatacopy));
        out.push_back(opcode);
    }
    void jump(Bytes& out, uint8_t opcode) {
        out.push_back(op::push2);
        jumps_.push_back(out.size());
        append(out, Bytes{0, 0});
        out.push_back(opcode);
    }
    void target(Bytes& out) {
        targets_.push_back(out.size());
        for (uint64_t i = pick(3) + 1; i > 0; --i) out.push_back(op::jumpdest);
    }
    void add_piece(Bytes& out) {
        static constexpr uint8_t kCompares[] = {op::lt,  op::gt, op::slt,
                                                op::sgt, op::eq, op::iszero};
        switch (pick(16)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return push(out);
            case 4:
            case 5:
                return out.push_back(static_cast<uint8_t>(op::dup1 + pick(pick(3) == 0 ? 16 : 3)));
            case 6:
                return out.push_back(static_cast<uint8_t>(op::swap1 + pick(pick(3) == 0 ? 16 : 3)));
            case 7:
                return target(out);
            case 8:
                for (uint64_t i = pick(3); i > 0; --i) out.push_back(kCompares[pick(6)]);
                return jump(out, pick(5) == 0 ? op::jump : op::jumpi);
            case 9:
            case 10:
            case 11:
                return add_opcode(out, op::add, 0x1e);
            case 12:
                for (uint64_t i = pick(3) + 1; i > 0; --i) out.push_back(op::pop);
                return;
            case 13:
                return add_opcode(out, op::pop, 15);
            case 14:
                return add_opcode(out, op::address, 0x20);
            default:
                return add_opcode(out, 0, 256);
        }
    }

    std::mt19937_64 random_;
    std::vector<size_t> jumps_, targets_;
};

TEST(fast_loop, agrees_with_the_plain_loop_on_random_code) {
    constexpr Revision kRevisions[] = {Revision::frontier, Revision::berlin, Revision::osaka,
                                       Revision::osaka};
    for (uint64_t seed = 0; seed < 20'000; ++seed) {
        Grower grower(seed);
        const Bytes code = grower.code(1 + grower.pick(120));
        const Bytes input(grower.pick(80), 0x5a);
        const auto gas =
            static_cast<int64_t>(grower.pick(4) == 0 ? grower.pick(300) : grower.pick(30000));
        const Revision revision = kRevisions[grower.pick(4)];
        const auto found = difference(code, input, gas, grower.pick(8) == 0, revision);
        ASSERT_EQ(found, "") << "seed " << seed << ", gas " << gas;
    }
}

TEST(fast_loop, agrees_at_every_amount_of_gas) {
    // A loop of 20 rounds with memory, storage, a call and a hash; ends by RETURN.
    const Bytes code = from_hex(
                           "6014"
                           "5b"
                           "8060051b"
                           "8152"
                           "80800180"
                           "8055"
                           "5f5f5f5f5f5f5af150"
                           "60405f2050"
                           "60019003"
                           "80156018576002565b"
                           "60205ff3")
                           .value();
    for (int64_t gas = 0; gas < 20'000; gas += gas < 3000 ? 1 : 37)
        ASSERT_EQ(difference(code, {}, gas, false, Revision::osaka), "") << gas;
}

TEST(fast_loop, agrees_at_the_ends_of_the_stack) {
    for (int pushes : {0, 1, 15, 16, 1022, 1023, 1024, 1025}) {
        for (const std::string tail :
             {"80", "8081", "01", "50", "9050", "90", "5b60015b01", "60013d", "818190", "60016002",
              "5f51", "15601f57", "8f", "9f"}) {
            Bytes code(static_cast<size_t>(pushes), op::push0);
            append(code, *from_hex(tail));
            ASSERT_EQ(difference(code, {}, 100'000, false, Revision::osaka), "") << tail;
        }
    }
}

TEST(fast_loop, takes_code_that_a_push_cuts_off_and_long_runs_of_jumpdests) {
    for (const std::string hex : {"7f", "60", "61ff", "5b7f", "600056", "600356005b60", "5b"})
        EXPECT_EQ(difference(*from_hex(hex), {}, 1000, false, Revision::osaka), "") << hex;
    Bytes run(10'000, op::jumpdest);
    EXPECT_EQ(difference(run, {}, 10'000, false, Revision::osaka), "");
    EXPECT_EQ(difference(run, {}, 9'999, false, Revision::osaka), "");
}

TEST(fast_loop, is_entered_when_code_has_become_hot) {
    MapHost host;
    const Code code(*from_hex("61ffff5b6001900380600357"));  // counts down from 65,535
    Interpreter interpreter(Revision::osaka);
    Message message;
    message.gas = 10'000'000;
    EXPECT_EQ(code.fast(instructions_of(Revision::osaka)), nullptr);
    EXPECT_EQ(interpreter.run(host, message, code).status, Status::success);
    EXPECT_NE(code.fast(instructions_of(Revision::osaka)), nullptr);
    EXPECT_EQ(code.fast(instructions_of(Revision::berlin)), nullptr);
    EXPECT_EQ(code.make_fast(instructions_of(Revision::berlin)), nullptr);
}

}  // namespace
}  // namespace trainyard::vm
