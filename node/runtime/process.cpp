// SPDX-License-Identifier: Apache-2.0
// POSIX calls at the start of a process.
#include "node/runtime/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <initializer_list>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace trainyard::runtime {

void fill_standard_descriptors() {
    // open() takes the lowest free number, so the order counts.
    constexpr int kModes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; ++fd)
        if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            static_cast<void>(::open("/dev/null", kModes[fd]));
}

uint64_t raise_open_files() {
    constexpr rlim_t kEnough = 65'536;
    rlimit now{};
    if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return 0;
    const rlimit more{std::min(now.rlim_max, kEnough), now.rlim_max};
    const bool is_more = now.rlim_cur < more.rlim_cur;
    return is_more && ::setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : now.rlim_cur;
}

bool is_ignored(int signal) {
    struct sigaction now {};
    return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

void catch_stop_signals(void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
    // A shell that ends and the kernel each send one.
    action.sa_flags &= ~static_cast<int>(SA_RESETHAND);
    if (!is_ignored(SIGHUP)) ::sigaction(SIGHUP, &action, nullptr);
}

}  // namespace trainyard::runtime
