// SPDX-License-Identifier: Apache-2.0
// The opcode table against facts of the EIPs, and its own consistency.
#include "vm/opcodes.hpp"

#include <gtest/gtest.h>

namespace trainyard::vm {
namespace {

int defined_count(Revision revision) {
    int count = 0;
    for (const auto& instruction : instructions_of(revision)) count += instruction.is_defined();
    return count;
}

TEST(opcodes, each_fork_defines_as_many_as_its_eips_say) {
    // 12 arithmetic, 11 logic, 1 hash, 13 environment, 6 block, 12 flow, 32 PUSH, 16 DUP, 16 SWAP,
    // 5 LOG, 5 system.
    EXPECT_EQ(defined_count(Revision::frontier), 129);
    EXPECT_EQ(defined_count(Revision::homestead), 130);       // DELEGATECALL
    EXPECT_EQ(defined_count(Revision::byzantium), 134);       // RETURNDATA*, STATICCALL, REVERT
    EXPECT_EQ(defined_count(Revision::constantinople), 139);  // shifts, CREATE2, EXTCODEHASH
    EXPECT_EQ(defined_count(Revision::istanbul), 141);        // CHAINID, SELFBALANCE
    EXPECT_EQ(defined_count(Revision::london), 142);          // BASEFEE
    EXPECT_EQ(defined_count(Revision::shanghai), 143);        // PUSH0
    EXPECT_EQ(defined_count(Revision::cancun), 148);          // T*, MCOPY, BLOBHASH, BLOBBASEFEE
    EXPECT_EQ(defined_count(Revision::osaka), 149);           // CLZ
}

TEST(opcodes, no_fork_removes_an_instruction) {
    for (size_t r = 1; r < kRevisionCount; ++r)
        for (int op = 0; op < 256; ++op)
            if (instructions_of(static_cast<Revision>(r - 1))[op].is_defined()) {
                EXPECT_TRUE(instructions_of(static_cast<Revision>(r))[op].is_defined()) << op;
            }
}

TEST(opcodes, sload_was_repriced_by_three_eips) {
    EXPECT_EQ(instructions_of(Revision::frontier)[op::sload].gas, 50);
    EXPECT_EQ(instructions_of(Revision::tangerine_whistle)[op::sload].gas, 200);
    EXPECT_EQ(instructions_of(Revision::istanbul)[op::sload].gas, 800);
    EXPECT_EQ(instructions_of(Revision::berlin)[op::sload].gas, 100);
}

TEST(opcodes, names_follow_the_fork) {
    EXPECT_EQ(name_of(op::prevrandao, Revision::london), "DIFFICULTY");
    EXPECT_EQ(name_of(op::prevrandao, Revision::osaka), "PREVRANDAO");
    EXPECT_EQ(name_of(0x7f, Revision::osaka), "PUSH32");
    EXPECT_EQ(name_of(0x0c, Revision::osaka), "");
}

}  // namespace
}  // namespace trainyard::vm
