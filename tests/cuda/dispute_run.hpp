// SPDX-License-Identifier: Apache-2.0
// A side of a dispute whose steps a device computes has the numbers of one that has none.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "training/referee/witness.hpp"
#include "training_run.hpp"

namespace trainyard::tests {

inline void expect_witness_of_cpu(training::Backend& device) {
    using namespace training::referee;
    const auto program = make_run({.layers = 1, .width = 16, .steps = 2});
    const Bytes data = make_text(kTextBytes);
    const auto cpu = training::make_cpu_backend({});
    const auto first = training::make_initial_state(program, Hash{}, data);
    const auto last = static_cast<uint32_t>(program.parameters.size() - 1);
    std::vector<std::optional<Slip>> slips{std::nullopt};
    for (const SubjectKind kind : {SubjectKind::unit_loss, SubjectKind::sum, SubjectKind::squares,
                                   SubjectKind::state, SubjectKind::init})
        slips.push_back(Slip{1, 1, kind, 0, 0, std::nullopt, 0x3f8ccccd});
    for (const uint32_t yield : {0U, 5U})
        slips.push_back(Slip{0, 1, SubjectKind::value, first_yield(program) + yield, 0,
                             std::nullopt, 0x3f8ccccd});
    for (const auto& slip : slips) {
        auto due = *Witness::make(program, data, *cpu, {first, 2, slip});
        auto got = *Witness::make(program, data, *cpu, {first, 2, slip, &device});
        EXPECT_EQ(*got.claim(), *due.claim());
    }
    auto diverging = first;
    diverging.m[last].data.back() = 1e38F;
    auto due = *Witness::make(program, data, *cpu, {diverging, 2});
    auto got = *Witness::make(program, data, *cpu, {diverging, 2, std::nullopt, &device});
    const auto due_step = due.step_so_far(1), got_step = got.step_so_far(1);
    ASSERT_TRUE(due_step && got_step);
    EXPECT_TRUE((*due_step)->diverges);
    EXPECT_TRUE((*got_step)->diverges);
    EXPECT_EQ((*got_step)->units, (*due_step)->units);
    EXPECT_EQ(got.claim().error(), training::EngineError::diverged);
}

}  // namespace trainyard::tests
