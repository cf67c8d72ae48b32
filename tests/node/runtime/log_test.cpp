// SPDX-License-Identifier: Apache-2.0
// The two forms of log lines, levels, escapes and the limit on repeats.
#include "node/runtime/log.hpp"

#include <thread>
#include <vector>

#include <gmock/gmock.h>

namespace trainyard::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

struct Lines {
    std::vector<std::string> lines;
    Logger::Options options() {
        return {.sink = [this](std::string_view line) { lines.emplace_back(line); }};
    }
};

TEST(log, human_line_has_time_level_component_text_and_fields) {
    Lines out;
    Logger(out.options()).named("p2p").warn("peer left", {{"peer", "ab"}, {"after_ms", 17}});
    ASSERT_EQ(out.lines.size(), 1u);
    EXPECT_THAT(out.lines[0],
                MatchesRegex("..:..:..\\.... warn  p2p      peer left  peer=ab after_ms=17"));
}

TEST(log, json_line_keeps_numbers_and_escapes_text) {
    Lines out;
    auto options = out.options();
    options.json = true;
    Logger(options).named("bft").info("said \"hi\"",
                                      {{"view", 7u}, {"ok", true}, {"why", "a\nb\\"}});
    ASSERT_EQ(out.lines.size(), 1u);
    EXPECT_THAT(out.lines[0], MatchesRegex("\\{\"time\":\"....-..-..T..:..:..\\....Z\",.*\\}"));
    EXPECT_THAT(
        out.lines[0],
        EndsWith(R"("level":"info","component":"bft","msg":"said \"hi\"","view":7,"ok":true,)"
                 R"("why":"a\u000ab\\"})"));
}

TEST(log, rejects_forged_lines_in_values) {
    Lines out;
    Logger(out.options()).info("agent", {{"name", "x\n12:00:00 error \x1b[31m"}});
    ASSERT_EQ(out.lines.size(), 1u);
    EXPECT_THAT(out.lines[0], HasSubstr(R"(name="x\u000a12:00:00 error \u001b[31m")"));
    EXPECT_THAT(out.lines[0], Not(HasSubstr("\n")));
}

TEST(log, rejects_forged_lines_in_texts) {
    Lines out;
    Logger(out.options()).info("node said: \"no\n12:00:00 error \x1b[31m");
    ASSERT_EQ(out.lines.size(), 1u);
    EXPECT_THAT(out.lines[0], EndsWith(R"(node said: "no\u000a12:00:00 error \u001b[31m)"));
}

TEST(log, says_nothing_below_its_level) {
    Lines out;
    auto options = out.options();
    options.level = LogLevel::warn;
    const Logger log(options);
    log.info("quiet");
    log.error("loud");
    EXPECT_THAT(out.lines, ElementsAre(HasSubstr("loud")));
    EXPECT_FALSE(log.enabled(LogLevel::info));
    Logger::null().error("nowhere");
}

TEST(log, leaves_out_repeats_and_says_how_many) {
    Lines out;
    auto options = out.options();
    options.repeats_max = 2;
    options.repeat_window = std::chrono::milliseconds(50);
    const Logger log(options);
    for (int i = 0; i < 5; ++i) log.info("again", {{"i", i}});
    log.info("something else");
    EXPECT_THAT(out.lines,
                ElementsAre(EndsWith("i=0"), EndsWith("i=1"), EndsWith("something else")));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    log.info("again", {{"i", 5}});
    EXPECT_THAT(out.lines.back(), EndsWith("i=5  left_out=3"));
}

TEST(log, knows_its_levels_by_name) {
    EXPECT_EQ(log_level_from("debug"), LogLevel::debug);
    EXPECT_EQ(log_level_from("off"), LogLevel::off);
    EXPECT_EQ(log_level_from("verbose"), std::nullopt);
}

}  // namespace
}  // namespace trainyard::runtime
