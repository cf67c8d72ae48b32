// SPDX-License-Identifier: Apache-2.0
// The sandbox of verifier processes: what it keeps out of reach, what still works inside, and what
// is said where a kernel cannot do all of it.
#include "node/verify/sandbox.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "node/verify/child_verifier.hpp"
#include "node/verify/sandbox_calls.hpp"
#include "node/verify/sandbox_files.hpp"
#include "node/verify/verifier_environment.hpp"
#include "tests/node/verify/escapes.hpp"

namespace trainyard::node::verify {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoLandlock =
    "THIS KERNEL HAS NO LANDLOCK: nothing here says whether files are out of reach";

/// What `work` says in a process of its own, or how that process ended.
std::string in_child(const std::function<std::string()>& work) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const int pid = ::fork();
    if (pid == 0) {
        const std::string said = work();
        const ssize_t written = ::write(ends[1], said.data(), said.size());
        ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    ::close(ends[1]);
    std::string said;
    char bytes[512];
    for (ssize_t n; (n = ::read(ends[0], bytes, sizeof(bytes))) > 0;)
        said.append(bytes, static_cast<size_t>(n));
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return said + (status == 0 ? "" : " failed");
}

std::string yes_or_no(bool is) {
    return is ? "yes" : std::string("no: ") + std::strerror(errno);
}

class SandboxFolder : public testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("sandbox_test_" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        fs::create_directories(folder_);
        for (const char* name : {"secret", "victim"}) std::ofstream(folder_ / name) << "key";
        listen_on((folder_ / "signer").string());
    }
    void TearDown() override {
        ::close(signer_);
        fs::remove_all(folder_);
    }
    void listen_on(const std::string& path) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
        signer_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_EQ(::bind(signer_, reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
        ASSERT_EQ(::listen(signer_, 8), 0);
    }
    /// A verifier process whose replays say what it got at.
    [[nodiscard]] ChildVerifierOptions spy(SandboxMode mode) const {
        const auto path = folder_ / "run";
        std::ofstream(path) << "#!/bin/sh\nexec " << FAULTY_VERIFIER << " spy 99 "
                            << (folder_ / "marks").string() << " \"$@\"\n";
        fs::permissions(path, fs::perms::owner_all);
        ChildVerifierOptions options;
        options.program = path.string();
        options.sandbox = mode;
        options.timeout_ms = 60'000;
        return options;
    }
    /// What a verifier process got at, and whether it said that it is confined.
    [[nodiscard]] std::pair<std::string, Confinement> spied(SandboxMode mode) const {
        ::setenv("TRAINYARD_E2E_SECRET", "password", 1);
        ::setenv("CUDA_E2E_SETTING", "1", 1);
        ChildVerifier verifier(spy(mode));
        const auto name = verifier.name();
        const auto answer = verifier.replay({});
        ::unsetenv("TRAINYARD_E2E_SECRET");
        ::unsetenv("CUDA_E2E_SETTING");
        EXPECT_TRUE(answer) << answer.error().text;
        return {answer ? answer->finding : "", verifier.confined().value_or(Confinement{})};
    }
    fs::path folder_;
    int signer_ = -1;
};

TEST_F(SandboxFolder, a_verifier_process_gets_at_nothing_of_its_node) {
    const auto [reached, confined] = spied(SandboxMode::automatic);
    EXPECT_TRUE(confined.calls);
    if (!confined.files) GTEST_SKIP() << kNoLandlock;
    EXPECT_EQ(reached, "setting ");
    EXPECT_EQ(fs::file_size(folder_ / "secret"), 3u);
    EXPECT_TRUE(fs::exists(folder_ / "victim"));
}

TEST_F(SandboxFolder, is_what_keeps_a_verifier_process_from_all_that) {
    const auto [reached, confined] = spied(SandboxMode::off);
    EXPECT_EQ(confined, Confinement{});
    EXPECT_EQ(
        reached,
        "read list make rename environ chmod truncate tcp signer datagram run signal setting ");
}

TEST_F(SandboxFolder, hides_what_lies_below_a_folder_that_may_be_read) {
    const auto library = folder_ / "library";
    for (const char* name : {"open", "way/beside", "way/hidden"}) {
        fs::create_directories(library / name);
        std::ofstream(library / name / "file") << "x";
    }
    fs::create_symlink(library / "way", library / "link");
    const FileNeeds needs{false, library.string(), {(library / "way/hidden/").string()}};
    const auto rules = file_rules(needs);
    const auto is_allowed = [&](const fs::path& path) {
        return std::find(rules.begin(), rules.end(),
                         FileRule{fs::canonical(path).string(), FileAccess::read}) != rules.end();
    };
    EXPECT_TRUE(is_allowed(library / "open"));
    EXPECT_TRUE(is_allowed(library / "way/beside"));
    for (const char* name : {".", "way", "way/hidden", "link"})
        EXPECT_FALSE(is_allowed(library / name)) << name;
    EXPECT_TRUE(is_allowed("/usr"));
    const auto opened = in_child([&] {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return std::string("no_new_privs");
        if (auto done = confine_files(rules); !done) return done.error();
        std::string out;
        for (const char* name : {"open", "way/beside", "way/hidden", "link/hidden"})
            if (std::ifstream(library / name / "file")) out += std::string(name) + " ";
        return out;
    });
    if (opened == "no Landlock in this kernel") GTEST_SKIP() << kNoLandlock;
    EXPECT_EQ(opened, "open way/beside ");
}

TEST(sandbox, allows_nothing_where_what_is_hidden_holds_it) {
    const auto rules = file_rules({false, "/usr/lib", {"/usr/lib"}});
    for (const auto& rule : rules) EXPECT_FALSE(rule.path.starts_with("/usr/lib/")) << rule.path;
    const auto spare = file_rules({false, "", {"/usr/lib/a-folder-that-is-not-there/data"}});
    const auto has = [&spare](const char* path) {
        return std::find(spare.begin(), spare.end(), FileRule{path, FileAccess::read}) !=
               spare.end();
    };
    EXPECT_FALSE(has("/usr"));
    EXPECT_FALSE(has("/usr/lib"));
    EXPECT_TRUE(has("/usr/bin"));
}

TEST(sandbox, refuses_to_become_another_program) {
    EXPECT_EQ(in_child([] {
                  if (!enter_sandbox({}).confined.calls) return std::string("not confined");
                  ::execl("/bin/echo", "echo", "ran", nullptr);
                  return std::string(std::strerror(errno));
              }),
              std::strerror(EPERM));
}

/// What CUDA's driver does when it starts, as far as no device is needed.
std::string do_as_a_driver() {
    std::string named = "no thread";
    std::thread([&named] {
        const auto path = "/proc/self/task/" + std::to_string(::gettid()) + "/comm";
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        const bool done = fd >= 0 && ::write(fd, "named", 5) == 5;
        named = yes_or_no(done);
        closes(fd);
    }).join();
    const int memory = ::memfd_create("shared", MFD_CLOEXEC);
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "sandbox-test-%d", ::getpid());
    const bool listens = ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 &&
                         ::listen(fd, 1) == 0;
    const auto listening = yes_or_no(listens);
    return "thread named: " + named + ", memory: " + yes_or_no(memory >= 0) +
           ", listens: " + listening;
}

TEST(sandbox, lets_a_driver_of_gpus_name_its_threads_and_listen_where_there_is_one) {
    const auto confined = [](bool has_gpu) {
        return in_child([has_gpu] {
            if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return std::string("no_new_privs");
            if (auto done = confine_files(file_rules({has_gpu, "", {}})); !done)
                return done.error();
            if (auto done = confine_calls(); !done) return done.error();
            return do_as_a_driver();
        });
    };
    const auto with = confined(true);
    if (with == "no Landlock in this kernel") GTEST_SKIP() << kNoLandlock;
    EXPECT_EQ(with, "thread named: yes, memory: yes, listens: yes");
    EXPECT_EQ(confined(false), std::string("thread named: no: ") + std::strerror(EACCES) +
                                   ", memory: yes, listens: yes");
}

TEST(sandbox, takes_capabilities_and_core_files_away) {
    EXPECT_EQ(in_child([] {
                  if (!enter_sandbox({}).confined.calls) return std::string("not confined");
                  rlimit core{};
                  ::getrlimit(RLIMIT_CORE, &core);
                  std::ifstream status("/proc/self/status");
                  for (std::string line; std::getline(status, line);)
                      if (line.starts_with("CapEff:"))
                          return line.substr(8) + " " + std::to_string(core.rlim_max);
                  return std::string("no status");
              }),
              "0000000000000000 0");
}

TEST(sandbox, a_process_that_gives_up_ends_by_its_own_signal) {
    EXPECT_EQ(in_child([] {
                  if (!enter_sandbox({}).confined.calls) return std::string("not confined");
                  ::signal(SIGABRT, SIG_DFL);
                  ::raise(SIGABRT);
                  return std::string("lives on");
              }),
              "signal " + std::to_string(SIGABRT));
}

/// As on a kernel that was built without Landlock.
bool forget_landlock() {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    const int call = ::seccomp_syscall_resolve_name("landlock_create_ruleset");
    return ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0 &&
           ::seccomp_load(filter) == 0;
}

TEST(sandbox, says_what_a_kernel_without_landlock_leaves_open) {
    EXPECT_EQ(in_child([] {
                  if (!forget_landlock()) return std::string("no filter");
                  const auto sandbox = enter_sandbox({SandboxMode::on, false, {}});
                  return to_text(sandbox) + (sandbox.confined.is_whole() ? " whole" : "");
              }),
              "calls; files are not confined: no Landlock in this kernel");
}

#if !defined(__SANITIZE_THREAD__)
TEST(sandbox, is_not_whole_where_another_thread_runs_already) {
    EXPECT_EQ(in_child([] {
                  std::atomic<bool> ends{false};
                  std::thread other([&ends] {
                      while (!ends) std::this_thread::yield();
                  });
                  const auto sandbox = enter_sandbox({SandboxMode::automatic, false, {}});
                  ends = true;
                  other.join();
                  return std::string(sandbox.confined.files ? "files" : "no files");
              }),
              "no files");
}
#endif

TEST(sandbox, is_nothing_where_it_is_off) {
    EXPECT_EQ(in_child([] {
                  const auto sandbox = enter_sandbox({SandboxMode::off, false, {}});
                  return to_text(sandbox) + (runs_a_program() ? ", runs" : ", confined");
              }),
              "none, runs");
}

TEST(sandbox, its_modes_have_names) {
    for (const auto mode : {SandboxMode::automatic, SandboxMode::on, SandboxMode::off})
        EXPECT_EQ(sandbox_mode_from(to_text(mode)), mode);
    EXPECT_FALSE(sandbox_mode_from("maybe"));
}

TEST(refusing_verifier, judges_nothing_and_says_why) {
    const auto verifier = make_refusing_verifier("no sandbox");
    const auto audit = verifier->audit({});
    const auto replay = verifier->replay({});
    const auto pick = verifier->pick({});
    ASSERT_FALSE(audit || replay || pick);
    for (const auto& error : {audit.error(), replay.error(), pick.error()})
        EXPECT_EQ(error, (VerifyError{VerifyErrorCode::unavailable, "no sandbox"}));
}

TEST(verifier_environment, has_settings_and_no_secrets) {
    const std::vector<std::string> kept{"PATH=/bin",          "HOME=/h",
                                        "LC_ALL=C",           "CUDA_CACHE_PATH=/c",
                                        "LD_LIBRARY_PATH=/l", "OMP_NUM_THREADS=2"};
    std::vector<std::string> all = kept;
    for (const char* secret :
         {"TRAINYARD_KEYS=/k", "TRAINYARD_HOME=/t", "AWS_SECRET_ACCESS_KEY=a", "NVIDIA_API_KEY=n",
          "NOTIFY_SOCKET=/n", "SSH_AUTH_SOCK=/s", "PATHS=/p", "=", ""})
        all.emplace_back(secret);
    EXPECT_EQ(verifier_environment(all), kept);
}

}  // namespace
}  // namespace trainyard::node::verify
