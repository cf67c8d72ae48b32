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
    int input = -1, output = -1;
    int report = -1;  ///< written to if exec fails, closed by exec if not
};

/// Away from the low descriptors that the child gives a meaning to.
constexpr int kAboveGiven = 64;

bool make_report_pipe(int (&ends)[2]) {
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const int high = ::fcntl(ends[1], F_DUPFD_CLOEXEC, kAboveGiven);
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
    if (prepared.input >= 0) ::dup2(prepared.input, STDIN_FILENO);
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

/// The child's environment; with large pages, unless it has tunables of its own.
std::vector<char*> make_environment(const ChildOptions& options) {
    std::vector<char*> out;
    if (options.environment)
        for (const auto& variable : *options.environment)
            out.push_back(const_cast<char*>(variable.c_str()));
    else
        for (char** variable = environ; *variable != nullptr; ++variable) out.push_back(*variable);
    const bool has_tunables = std::any_of(out.begin(), out.end(), [](const char* variable) {
        return std::strncmp(variable, "GLIBC_TUNABLES=", 15) == 0;
    });
    if (options.huge_pages && !has_tunables) out.push_back(kHugePages);
    out.push_back(nullptr);
    return out;
}

Result<Done, std::string> open_streams(const ChildOptions& options, Prepared& prepared) {
    if (options.output_fd >= 0) {
        prepared.output = ::fcntl(options.output_fd, F_DUPFD_CLOEXEC, kAboveGiven);
        const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        prepared.input = ::fcntl(nothing, F_DUPFD_CLOEXEC, kAboveGiven);
        if (nothing >= 0) ::close(nothing);
        if (prepared.output >= 0 && prepared.input >= 0) return Done{};
        return unexpected(std::string("no descriptor for the child's output"));
    }
    if (options.output.empty()) return Done{};
    prepared.output =
        ::open(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (prepared.output >= 0) return Done{};
    return unexpected("cannot open '" + options.output + "': " + std::strerror(errno));
}

void close_streams(const Prepared& prepared) {
    for (const int fd : {prepared.input, prepared.output})
        if (fd >= 0) ::close(fd);
}

}  // namespace

Result<ChildProcess, std::string> ChildProcess::start(const ChildOptions& options) {
    Prepared prepared;
    for (const auto& argument : options.command)
        prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
    prepared.arguments.push_back(nullptr);
    prepared.environment = make_environment(options);
    int ends[2];
    const auto opened = open_streams(options, prepared);
    if (!opened || !make_report_pipe(ends)) {
        close_streams(prepared);
        return unexpected(opened ? std::string("no pipe") : opened.error());
    }
    prepared.report = ends[1];
    const int parent = ::getpid();
    const int pid = ::fork();
    if (pid == 0) become(prepared, options, parent);
    int problem = pid < 0 ? errno : 0;
    close_streams(prepared);
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
