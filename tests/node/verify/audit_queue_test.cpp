// SPDX-License-Identifier: Apache-2.0
// The order in which audits are judged: in time where all can be, what pays where not.
#include "node/verify/audit_queue.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::verify {
namespace {

CaseRequest audit(uint64_t job, uint32_t seg, uint64_t fee_wei = 100) {
    CaseRequest out;
    out.spec.audit_fee_wei = Uint256(fee_wei);
    out.seat.job = job;
    out.seat.seg = seg;
    return out;
}

/// "job.segment" of what is judged, one after the other until block `until`, each for as long as
/// `blocks_of(job)`; "|" where a turn ends.
template <class Blocks>
std::string judge(AuditQueue& queue, uint64_t block, uint64_t until, const Blocks& blocks_of) {
    std::string out;
    while (block <= until) {
        const auto batch = queue.take(block);
        for (const Seat& late : batch.late)
            out += "late " + std::to_string(late.job) + "." + std::to_string(late.seg) + " ";
        if (batch.cases.empty()) break;
        const uint64_t job = batch.cases.front().seat.job, began = block;
        for (const auto& one : batch.cases) {
            EXPECT_EQ(one.seat.job, job);
            out += std::to_string(job) + "." + std::to_string(one.seat.seg) + " ";
            block += blocks_of(job);
        }
        queue.learn(job, batch.cases.size(), block - began);
        out += "| ";
    }
    return out;
}

TEST(audit_queue, the_one_that_is_due_first_goes_first_and_nothing_waits_at_the_end) {
    AuditQueue queue;
    EXPECT_TRUE(queue.take(1).cases.empty());
    queue.add(audit(1, 0), 300);
    queue.add(audit(2, 0), 100);
    queue.add(audit(3, 0), 200);
    EXPECT_EQ(judge(queue, 1, 300, [](uint64_t) { return 5; }), "2.0 | 3.0 | 1.0 | ");
    EXPECT_EQ(queue.size(), 0u);
}

TEST(audit_queue, audits_of_one_job_travel_together_up_to_what_a_request_holds) {
    AuditQueue queue;
    for (uint32_t seg = 0; seg < kAuditsMax + 2; ++seg) queue.add(audit(1, seg), 1000 + seg);
    EXPECT_EQ(queue.take(1).cases.size(), kAuditsMax);
    EXPECT_EQ(queue.take(1).cases.size(), 2u);
}

TEST(audit_queue, those_that_travel_along_make_nobody_between_them_late) {
    for (const bool is_tight : {false, true}) {
        AuditQueue queue;
        queue.add(audit(1, 0), 50);
        queue.add(audit(2, 0), is_tight ? 25 : 60);
        queue.add(audit(1, 1), 100);
        queue.learn(1, 1, 10);
        queue.learn(2, 1, 10);
        EXPECT_EQ(judge(queue, 1, 100, [](uint64_t) { return 10; }),
                  is_tight ? "2.0 | 1.0 1.1 | " : "1.0 1.1 | 2.0 | ");
    }
}

TEST(audit_queue, a_flood_of_jobs_that_pay_little_makes_no_other_late) {
    AuditQueue queue;
    queue.learn(1, 1, 10);  // what a case takes
    for (uint64_t dust = 100; dust < 400; ++dust) queue.add(audit(dust, 0, 1), 90);
    for (uint32_t seg = 0; seg < 5; ++seg) queue.add(audit(2, seg, 1000), 100);
    queue.add(audit(3, 0, 500), 100);
    const std::string order = judge(queue, 1, 100, [](uint64_t) { return 10; });
    for (const char* paid : {"2.0 ", "2.1 ", "2.2 ", "2.3 ", "2.4 ", "3.0 "})
        EXPECT_NE(order.find(paid), std::string::npos) << paid << "in " << order;
    EXPECT_EQ(order.find("late 2."), std::string::npos) << order;
    EXPECT_EQ(order.find("late 3."), std::string::npos) << order;
    EXPECT_EQ(order.find("397.0 | 398.0 | 399.0 | 3.0 "), 0u)
        << "time left over is used: " << order;
}

TEST(audit_queue, a_job_whose_audits_take_long_for_what_they_pay_waits) {
    AuditQueue queue;
    queue.add(audit(1, 0, 300), 50);
    for (uint32_t seg = 0; seg < 10; ++seg) queue.add(audit(2, seg, 100), 52);
    queue.learn(1, 1, 40);
    queue.learn(2, 10, 20);
    const std::string order = judge(queue, 10, 100, [](uint64_t job) { return job == 1 ? 40 : 2; });
    EXPECT_EQ(order, "2.0 2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.9 | 1.0 | ");
}

TEST(audit_queue, what_can_no_longer_be_in_time_is_given_back_and_what_seems_so_is_tried) {
    AuditQueue queue;
    queue.add(audit(1, 0), 50);
    queue.add(audit(1, 1), 20);
    queue.learn(1, 1, 1000);
    const auto batch = queue.take(21);
    ASSERT_EQ(batch.late.size(), 1u);
    EXPECT_EQ(batch.late[0].seg, 1u);
    ASSERT_EQ(batch.cases.size(), 1u) << "estimates err";
    EXPECT_EQ(batch.cases[0].seat.seg, 0u);
}

TEST(audit_queue, estimates_follow_what_is_seen_and_closed_jobs_are_forgotten) {
    AuditQueue queue;
    queue.add(audit(1, 0, 1), 30);
    queue.learn(1, 1, 100);
    for (int i = 0; i < 20; ++i) queue.learn(1, 4, 4);  // one block a case by now
    queue.add(audit(2, 0, 9), 30);                      // unknown: as any
    EXPECT_EQ(queue.take(10).cases.size(), 1u);
    EXPECT_EQ(queue.size(), 1u) << "another job is another turn";
    queue.forget(1);
    EXPECT_EQ(queue.take(10).cases.front().seat.job, 2u);
}

TEST(audit_queue, of_a_job_that_closes_while_it_is_judged_nothing_is_kept) {
    AuditQueue queue;
    queue.add(audit(1, 0), 30);
    ASSERT_EQ(queue.take(10).cases.size(), 1u);
    EXPECT_EQ(queue.remembered(), 1u);
    queue.forget(1);
    queue.learn(1, 1, 5);
    EXPECT_EQ(queue.remembered(), 0u);
}

}  // namespace
}  // namespace trainyard::node::verify
