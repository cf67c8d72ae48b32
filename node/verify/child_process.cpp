// SPDX-License-Identifier: Apache-2.0
// fork and exec with a death signal.
#include "node/verify/child_process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

/// Everything the child needs, made before the fork: after it only safe calls are allowed.
struct Prepared {
    std::vector<char*> arguments, environment;
    int output = -1;
    int report = -1;  ///< written to if exec fails, closed by exec if not
};

/// A pipe away from the low descriptors that the child gives a meaning to.
bool make_report_pipe(int (&ends)[2]) {
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const int high = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 64);
    ::close(ends[1]);
    ends[1] = high;
    if (high < 0) ::close(ends[0]);
    return high >= 0;
}

[[noreturn]] void become(const Prepared& prepared, const ChildOptions& options, int parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(125);  // the parent died before the call above
    if (options.own_group) ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    if (prepared.output >= 0) {
        ::dup2(prepared.output, STDOUT_FILENO);
        ::dup2(prepared.output, STDERR_FILENO);
    }
    if (options.socket == 3)
        ::fcntl(3, F_SETFD, 0);
    else if (options.socket >= 0)
        ::dup2(options.socket, 3);
    const auto first = static_cast<unsigned>(options.socket >= 0 ? 4 : 3);
    const auto report = static_cast<unsigned>(prepared.report);
    if (report > first) ::close_range(first, report - 1, 0);
    ::close_range(std::max(first, report + 1), ~0U, 0);
    if (options.memory_bytes_max != 0) {
        const rlimit limit{options.memory_bytes_max, options.memory_bytes_max};
        ::setrlimit(RLIMIT_DATA, &limit);
    }
    ::execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
    const int problem = errno;
    [[maybe_unused]] const auto told = ::write(prepared.report, &problem, sizeof(problem));
    ::_exit(126);
}

/// glibc's switch for large pages, which takes effect at the start of a program only, and the size
/// of blocks that go back to the kernel when they are freed, which else grows with what was freed.
char kHugePages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1048576";

/// This process's environment; with large pages, unless it has tunables of its own.
std::vector<char*> make_environment(bool huge_pages) {
    std::vector<char*> out;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        out.push_back(*variable);
        huge_pages = huge_pages && std::strncmp(*variable, "GLIBC_TUNABLES=", 15) != 0;
    }
    if (huge_pages) out.push_back(kHugePages);
    out.push_back(nullptr);
    return out;
}

}  // namespace

Result<ChildProcess, std::string> ChildProcess::start(const ChildOptions& options) {
    Prepared prepared;
    for (const auto& argument : options.command)
        prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
    prepared.arguments.push_back(nullptr);
    prepared.environment = make_environment(options.huge_pages);
    if (!options.output.empty()) {
        prepared.output =
            ::open(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (prepared.output < 0)
            return unexpected("cannot open '" + options.output + "': " + std::strerror(errno));
    }
    int ends[2];
    if (!make_report_pipe(ends)) return unexpected(std::string("no pipe"));
    prepared.report = ends[1];
    const int parent = ::getpid();
    const int pid = ::fork();
    if (pid == 0) become(prepared, options, parent);
    int problem = pid < 0 ? errno : 0;
    if (prepared.output >= 0) ::close(prepared.output);
    ::close(ends[1]);
    // Waiting for exec also means that the death signal is armed when we return.
    if (pid > 0 && ::read(ends[0], &problem, sizeof(problem)) <= 0) problem = 0;
    ::close(ends[0]);
    if (pid > 0 && problem == 0) return ChildProcess(pid);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    return unexpected("cannot start '" + options.command[0] + "': " + std::strerror(problem));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    if (this != &other) {
        stop(0);
        pid_ = std::exchange(other.pid_, -1);
        exit_code_ = other.exit_code_;
    }
    return *this;
}

ChildProcess::~ChildProcess() {
    stop(0);
}

bool ChildProcess::is_running() {
    return !exit_code().has_value();
}

std::optional<int> ChildProcess::exit_code() {
    if (exit_code_ || pid_ < 0) return exit_code_.value_or(-1);
    int status = 0;
    const int got = ::waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
    exit_code_ = got < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return exit_code_;
}

void ChildProcess::signal(int number) {
    if (pid_ > 0 && is_running()) ::kill(pid_, number);
}

void ChildProcess::stop(uint32_t grace_ms) {
    if (pid_ < 0 || !is_running()) return;
    if (grace_ms > 0) ::kill(pid_, SIGTERM);
    for (uint32_t waited = 0; waited < grace_ms && is_running(); waited += 20)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (!is_running()) return;
    ::kill(pid_, SIGKILL);
    while (is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

std::string own_program() {
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path));
    return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

}  // namespace trainyard::node::verify
