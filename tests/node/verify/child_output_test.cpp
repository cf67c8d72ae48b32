// SPDX-License-Identifier: Apache-2.0
// What a child prints becomes lines that a log can show, and no more of them than it can bear.
#include "node/verify/child_output.hpp"

#include <atomic>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

using Lines = std::vector<std::string>;

TEST(line_guard, lines_come_whole_however_they_are_cut) {
    LineGuard guard;
    EXPECT_EQ(guard.take("one\ntw", 0), Lines{"one"});
    EXPECT_EQ(guard.take("", 0), Lines{});
    EXPECT_EQ(guard.take("o\n\nthree", 0), (Lines{"two", ""}));
    EXPECT_EQ(guard.finish(0), Lines{"three"});
    EXPECT_EQ(guard.finish(0), Lines{});
}

TEST(line_guard, what_is_not_printable_becomes_a_question_mark) {
    EXPECT_EQ(LineGuard().take("\x1b[2J\r\t\x7f\xc3\xa4~ \n", 0), Lines{"?[2J????"
                                                                        "?~ "});
}

TEST(line_guard, a_long_line_is_cut_and_takes_no_memory) {
    LineGuard guard;
    const std::string longest(LineGuard::kBytesMax, 'x');
    EXPECT_EQ(guard.take(longest + "\n", 0), Lines{longest});
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(guard.take(longest, 0), Lines{});
    EXPECT_EQ(guard.take("\nnext\n", 0), (Lines{longest + "...", "next"}));
}

TEST(line_guard, of_many_lines_some_pass_and_the_others_are_counted) {
    LineGuard guard;
    std::string many;
    for (uint64_t i = 0; i < LineGuard::kBurst + 7; ++i) many += "x\n";
    EXPECT_EQ(guard.take(many, 1000).size(), LineGuard::kBurst);
    EXPECT_EQ(guard.take("y\n", 1000 + LineGuard::kPause_ms - 1001), Lines{});
    EXPECT_EQ(guard.take("z\nz\n", 1000 + LineGuard::kPause_ms),
              (Lines{"(8 lines left out)", "z"}));
    EXPECT_EQ(guard.take("w\n", 1000 + 2 * LineGuard::kPause_ms),
              (Lines{"(1 lines left out)", "w"}));
    EXPECT_EQ(guard.take(many, 1'000'000).size(), LineGuard::kBurst);
    EXPECT_EQ(guard.finish(1'000'000), Lines{"(7 lines left out)"});
}

TEST(output_reader, hears_all_that_was_said_before_it_ends) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Lines heard;
    {
        const OutputReader reader(ends[0],
                                  [&heard](const std::string& line) { heard.push_back(line); });
        ASSERT_EQ(::write(ends[1], "first\nlast", 10), 10);
    }
    EXPECT_EQ(heard, (Lines{"first", "last"}));
    ::close(ends[1]);
}

TEST(output_reader, ends_although_somebody_goes_on_writing) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    std::atomic<bool> is_over{false};
    std::atomic<uint64_t> heard{0};
    auto reader =
        std::make_unique<OutputReader>(ends[0], [&heard](const std::string&) { ++heard; });
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    std::thread writer([&] {
        while (!is_over)
            if (::write(ends[1], "again and again\n", 16) < 0) std::this_thread::yield();
    });
    while (heard < LineGuard::kBurst) std::this_thread::yield();
    is_over = false;
    const int end = ::dup(ends[0]);  // or the writer meets a pipe without a reader
    reader.reset();
    is_over = true;
    writer.join();
    ::close(end);
    ::close(ends[1]);
    EXPECT_LE(heard, 2 * LineGuard::kBurst);
}

}  // namespace
}  // namespace trainyard::node::verify
