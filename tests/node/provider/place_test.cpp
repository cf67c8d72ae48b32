// SPDX-License-Identifier: Apache-2.0
// A folder keeps its name.
#include "node/provider/place.hpp"

#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"

namespace trainyard::node::provider {
namespace {

TEST(place, is_drawn_once_for_a_folder) {
    const state::TemporaryFolder folder;
    const auto first = place_of(folder.path());
    ASSERT_TRUE(first);
    EXPECT_EQ(first->size(), 38u);
    EXPECT_EQ(place_of(folder.path()).value_or(""), *first);
    const state::TemporaryFolder new_one;
    EXPECT_NE(place_of(new_one.path()).value_or(*first), *first);
}

TEST(place, is_drawn_anew_where_its_file_is_damaged) {
    const state::TemporaryFolder folder;
    for (const char* content : {"", "place:", "what\nelse\n"}) {
        ASSERT_TRUE(wallet::write_text(folder.path() + "/place", content));
        const auto drawn = place_of(folder.path());
        ASSERT_TRUE(drawn);
        EXPECT_EQ(drawn->size(), 38u) << content;
        EXPECT_EQ(place_of(folder.path()).value_or(""), *drawn);
    }
}

TEST(place, that_cannot_be_kept_is_an_error) {
    const state::TemporaryFolder folder;
    ASSERT_TRUE(wallet::write_text(folder.path() + "/file", "x"));
    EXPECT_FALSE(place_of(folder.path() + "/file"));
}

}  // namespace
}  // namespace trainyard::node::provider
