// SPDX-License-Identifier: Apache-2.0
// Archives; that other programs read them is shown by tests/e2e/debug_bundle.py.
#include "node/cli/tar_gz.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

TEST(tar_gz, is_gzip_and_the_same_for_the_same_files) {
    const std::vector<ArchiveFile> files{{"a/one", "text"}, {"a/empty", ""}};
    const auto first = make_tar_gz(files, 1'800'000'000);
    ASSERT_TRUE(first) << first.error();
    ASSERT_GT(first->size(), 18u);
    EXPECT_EQ((*first)[0], 0x1f);
    EXPECT_EQ((*first)[1], 0x8b);
    EXPECT_EQ(load_le<uint32_t>(first->data() + first->size() - 4), 512u * 5)
        << "two headers, one block of content, two blocks at the end";
    EXPECT_EQ(*make_tar_gz(files, 1'800'000'000), *first);
    EXPECT_NE(*make_tar_gz(files, 1'800'000'001), *first);
}

TEST(tar_gz, rejects_a_name_that_ustar_cannot_hold) {
    EXPECT_TRUE(make_tar_gz({{std::string(100, 'n'), ""}}, 0));
    EXPECT_FALSE(make_tar_gz({{std::string(101, 'n'), ""}}, 0));
    EXPECT_TRUE(make_tar_gz({}, 0));
}

}  // namespace
}  // namespace trainyard::node::cli
