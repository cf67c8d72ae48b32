// SPDX-License-Identifier: Apache-2.0
// Hosts, origins, content types and ranges.
#include "node/http/policy.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::http {

TEST(http_policy, takes_ip_addresses_and_named_hosts) {
    const std::vector<std::string> names{"localhost", "Node.example"};
    for (const char* host : {"localhost", "localhost:8545", "LOCALHOST", "127.0.0.1:8545",
                             "[::1]:8545", "::1", "node.example", "10.1.2.3", ""})
        EXPECT_TRUE(is_host_allowed(host, names)) << host;
    for (const char* host :
         {"evil.example", "localhost.evil.example:8545", "127.0.0.1.evil.example"})
        EXPECT_FALSE(is_host_allowed(host, names)) << host;
    EXPECT_TRUE(is_host_allowed("evil.example", {"*"}));
}

TEST(http_policy, rejects_origins_that_are_not_listed) {
    EXPECT_FALSE(is_origin_allowed("https://a.example", {}));
    EXPECT_FALSE(is_origin_allowed("https://a.example", {"https://b.example"}));
    EXPECT_TRUE(is_origin_allowed("https://a.example", {"https://A.example"}));
    EXPECT_TRUE(is_origin_allowed("https://a.example", {"*"}));
    EXPECT_TRUE(is_same_origin("http://localhost:8545", "localhost:8545"));
    EXPECT_FALSE(is_same_origin("http://localhost:3000", "localhost:8545"));
    EXPECT_FALSE(is_same_origin("null", "localhost:8545"));
}

TEST(http_policy, takes_json_content_types) {
    for (const char* type : {"application/json", "Application/JSON; charset=utf-8",
                             "application/json-rpc", "application/jsonrequest"})
        EXPECT_TRUE(is_json_content(type)) << type;
    for (const char* type :
         {"", "text/plain", "application/json2", "application/x-www-form-urlencoded"})
        EXPECT_FALSE(is_json_content(type)) << type;
}

TEST(http_policy, reads_single_ranges) {
    struct Case {
        const char* header;
        RangeVerdict verdict;
        uint64_t offset, length;
    };
    constexpr auto kValid = RangeVerdict::valid;
    for (const Case& c :
         {Case{"bytes=0-0", kValid, 0, 1}, Case{"bytes=2-", kValid, 2, 8},
          Case{"bytes=-3", kValid, 7, 3}, Case{"bytes=-30", kValid, 0, 10},
          Case{"bytes=5-100", kValid, 5, 5}, Case{"bytes=0-18446744073709551615", kValid, 0, 10},
          Case{"bytes=10-", RangeVerdict::unsatisfiable, 0, 0},
          Case{"bytes=-0", RangeVerdict::unsatisfiable, 0, 0},
          Case{"bytes=5-4", RangeVerdict::none, 0, 0},
          Case{"bytes=0-1,3-4", RangeVerdict::none, 0, 0},
          Case{"bytes=-", RangeVerdict::none, 0, 0}, Case{"bytes=a-b", RangeVerdict::none, 0, 0},
          Case{"lines=1-2", RangeVerdict::none, 0, 0}, Case{"", RangeVerdict::none, 0, 0}}) {
        ByteRange range;
        EXPECT_EQ(parse_range(c.header, 10, range), c.verdict) << c.header;
        if (c.verdict != kValid) continue;
        EXPECT_EQ(range.offset, c.offset) << c.header;
        EXPECT_EQ(range.length, c.length) << c.header;
    }
}

}  // namespace trainyard::node::http
