// SPDX-License-Identifier: Apache-2.0
// What the vote machine wrote comes back after a restart, and no more of it than is needed.
#include "node/bft/journal.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::bft {
namespace {

Bytes record(uint8_t n) {
    return {n, n};
}

TEST(journal, gives_back_all_records_in_view_order_after_a_restart) {
    const auto kv = state::make_memory_kv();
    {
        Journal journal(*kv);
        ASSERT_TRUE(journal.append(Epoch{}, View{2}, record(2), true));
        ASSERT_TRUE(journal.append(Epoch{}, View{1}, record(1), false));
    }
    Journal again(*kv);
    ASSERT_TRUE(again.append(Epoch{}, View{2}, record(3), true));
    EXPECT_EQ(again.load(), (std::vector<Bytes>{record(1), record(2), record(3)}));
}

TEST(journal, forgets_only_older_views) {
    const auto kv = state::make_memory_kv();
    Journal journal(*kv);
    for (uint8_t view = 1; view <= 5; ++view)
        ASSERT_TRUE(journal.append(Epoch{}, View{view}, record(view), true));
    ASSERT_TRUE(journal.forget(Epoch{}, View{4}));
    EXPECT_EQ(journal.load(), (std::vector<Bytes>{record(4), record(5)}));
}

TEST(journal, an_epoch_makes_the_records_of_older_ones_needless) {
    const auto kv = state::make_memory_kv();
    Journal journal(*kv);
    ASSERT_TRUE(journal.append({0}, {900}, Bytes{1}, true));
    ASSERT_TRUE(journal.append({1}, {1}, Bytes{2}, true));
    ASSERT_TRUE(journal.append({1}, {2}, Bytes{3}, true));
    ASSERT_TRUE(journal.append({2}, {1}, Bytes{4}, true));
    ASSERT_TRUE(journal.forget({1}, {2}));
    EXPECT_EQ(Journal(*kv).load(), (std::vector<Bytes>{{3}, {4}}));
}

}  // namespace
}  // namespace trainyard::node::bft
