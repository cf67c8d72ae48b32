// SPDX-License-Identifier: Apache-2.0
// Turns of an agenda are bounded, nobody is passed over, and the urgent go first.
#include "node/wallet/job_agenda.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace trainyard::node::wallet {
namespace {

using Jobs = std::vector<uint64_t>;

TEST(job_agenda, jobs_come_when_their_block_has_come_the_earliest_first) {
    JobAgenda agenda;
    agenda.look_at(1, 30);
    agenda.look_at(2, 10);
    agenda.look_at(3, 20);
    EXPECT_EQ(agenda.take(9, {}), Jobs{});
    EXPECT_EQ(agenda.take(20, {}), (Jobs{2, 3}));
    EXPECT_FALSE(agenda.knows(2)) << "taken until somebody says when to look again";
    EXPECT_EQ(agenda.take(30, {}), Jobs{1});
}

TEST(job_agenda, an_earlier_date_stays_and_a_later_one_makes_room) {
    JobAgenda agenda;
    agenda.look_at(1, 10);
    agenda.look_at(1, 20);
    agenda.look_at(2, 20);
    agenda.look_at(2, 5);
    EXPECT_EQ(agenda.take(10, {}), (Jobs{2, 1}));
    EXPECT_EQ(agenda.take(30, {}), Jobs{});
}

TEST(job_agenda, a_turn_is_bounded_and_what_did_not_fit_comes_next) {
    JobAgenda agenda;
    for (uint64_t job = 0; job < 100; ++job) agenda.look_at(job, 1);
    Jobs seen;
    for (int turn = 0; turn < 4; ++turn) {
        const Jobs jobs = agenda.take(1, {30, 0});
        EXPECT_LE(jobs.size(), 30u);
        seen.insert(seen.end(), jobs.begin(), jobs.end());
    }
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(seen.size(), 100u);
    for (uint64_t job = 0; job < 100; ++job) EXPECT_EQ(seen[job], job);
}

TEST(job_agenda, thousands_of_idle_jobs_do_not_hold_up_a_due_one_and_all_get_their_turn) {
    JobAgenda agenda;
    for (uint64_t job = 0; job < 1000; ++job) agenda.rest(job);
    agenda.look_at(777, 5);
    const Jobs first = agenda.take(5, {2, 4});
    ASSERT_EQ(first.size(), 5u);
    EXPECT_EQ(first[0], 777u);
    std::vector<int> looks(1000);
    for (const uint64_t job : first) agenda.rest(job);
    for (int turn = 0; turn < 500; ++turn)
        for (const uint64_t job : agenda.take(6, {2, 4})) {
            ++looks[job];
            agenda.rest(job);
        }
    EXPECT_EQ(std::count(looks.begin(), looks.end(), 2), 1000);
    agenda.drop(5);
    EXPECT_FALSE(agenda.knows(5));
    EXPECT_EQ(agenda.size(), 999u);
}

}  // namespace
}  // namespace trainyard::node::wallet
