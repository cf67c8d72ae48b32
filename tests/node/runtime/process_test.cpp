// SPDX-License-Identifier: Apache-2.0
// Each case in a child of its own, whose descriptors and signals can be changed.
#include "node/runtime/process.hpp"

#include <algorithm>
#include <csignal>
#include <functional>
#include <initializer_list>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {
namespace {

/// What `body` returns in a child process; -1 where a signal ended it.
int in_child(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

volatile std::sig_atomic_t signals_seen = 0;
void count_signal(int) {
    signals_seen = signals_seen + 1;
}

TEST(process, a_file_never_takes_the_number_of_a_closed_standard_descriptor) {
    const int opened = in_child([] {
        for (const int fd : {0, 1, 2}) ::close(fd);
        fill_standard_descriptors();
        return ::open("/dev/zero", O_RDONLY);
    });
    EXPECT_GE(opened, 3);
}

TEST(process, results_for_a_closed_stdout_are_an_error_and_messages_are_dropped) {
    const int written = in_child([] {
        for (const int fd : {1, 2}) ::close(fd);
        fill_standard_descriptors();
        return (::write(1, "x", 1) == 1 ? 1 : 0) + (::write(2, "x", 1) == 1 ? 2 : 0);
    });
    EXPECT_EQ(written, 2);
}

TEST(process, leaves_open_descriptors_alone) {
    const int read = in_child([] {
        int ends[2];
        if (::pipe(ends) != 0 || ::dup2(ends[1], 1) != 1) return -1;
        fill_standard_descriptors();
        char byte = 0;
        return ::write(1, "y", 1) == 1 && ::read(ends[0], &byte, 1) == 1 ? byte : 0;
    });
    EXPECT_EQ(read, 'y');
}

TEST(process, a_closed_terminal_asks_for_a_stop) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        EXPECT_EQ(in_child([signal] {
                      ::signal(SIGHUP, SIG_DFL);
                      catch_stop_signals(count_signal);
                      ::raise(signal);
                      return static_cast<int>(signals_seen);
                  }),
                  1)
            << signal;
}

TEST(process, a_second_hangup_ends_nothing_at_once) {
    const auto seen = in_child([] {
        ::signal(SIGHUP, SIG_DFL);
        catch_stop_signals(count_signal, static_cast<int>(SA_RESETHAND));
        ::raise(SIGHUP);
        ::raise(SIGHUP);
        return static_cast<int>(signals_seen);
    });
    EXPECT_EQ(seen, 2);
}

TEST(process, nohup_outlives_its_terminal) {
    const auto seen = in_child([] {
        ::signal(SIGHUP, SIG_IGN);
        catch_stop_signals(count_signal);
        ::raise(SIGHUP);
        return static_cast<int>(signals_seen);
    });
    EXPECT_EQ(seen, 0);
}

TEST(process, a_node_stops_when_its_terminal_is_closed_but_not_under_nohup) {
    for (const bool nohup : {false, true})
        EXPECT_EQ(in_child([nohup] {
                      ::signal(SIGHUP, nohup ? SIG_IGN : SIG_DFL);
                      Runtime runtime(Runtime::Options{});
                      runtime.stop_on_signals();
                      runtime.start();
                      ::kill(::getpid(), SIGHUP);
                      if (nohup) ::kill(::getpid(), SIGTERM);  // the first signal it counts
                      runtime.join();
                      return 7;
                  }),
                  7)
            << nohup;
}

TEST(process, may_open_as_many_files_as_it_is_allowed_up_to_65536) {
    // The child's exit code: 1 the call's answer is right, 2 so is the limit, 4 nothing is lowered.
    const auto after = [](rlim_t soft, rlim_t hard, rlim_t due) {
        return in_child([=] {
            const rlimit given{soft, hard};
            if (::setrlimit(RLIMIT_NOFILE, &given) != 0) return 100;
            const uint64_t said = raise_open_files();
            rlimit now{};
            ::getrlimit(RLIMIT_NOFILE, &now);
            return (said == due ? 1 : 0) + (now.rlim_cur == due ? 2 : 0) +
                   (now.rlim_max == hard ? 4 : 0);
        });
    };
    rlimit own{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &own), 0);
    EXPECT_EQ(after(200, 300, 300), 7);
    EXPECT_EQ(after(300, 300, 300), 7);
    EXPECT_EQ(after(250, own.rlim_max, std::min<rlim_t>(own.rlim_max, 65'536)), 7);
    if (own.rlim_max < 70'000) GTEST_SKIP() << "this process may have " << own.rlim_max << " files";
    EXPECT_EQ(after(1024, 70'000, 65'536), 7);
    EXPECT_EQ(after(66'000, 70'000, 66'000), 7);
}

}  // namespace
}  // namespace trainyard::runtime
