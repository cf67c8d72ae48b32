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
        ASSERT_TRUE(journal.append(View{2}, record(2), true));
        ASSERT_TRUE(journal.append(View{1}, record(1), false));
    }
    Journal again(*kv);
    ASSERT_TRUE(again.append(View{2}, record(3), true));
    EXPECT_EQ(again.load(), (std::vector<Bytes>{record(1), record(2), record(3)}));
}

TEST(journal, forgets_only_older_views) {
    const auto kv = state::make_memory_kv();
    Journal journal(*kv);
    for (uint8_t view = 1; view <= 5; ++view)
        ASSERT_TRUE(journal.append(View{view}, record(view), true));
    ASSERT_TRUE(journal.forget(View{4}));
    EXPECT_EQ(journal.load(), (std::vector<Bytes>{record(4), record(5)}));
}

}  // namespace
}  // namespace trainyard::node::bft
