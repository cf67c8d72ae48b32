// SPDX-License-Identifier: Apache-2.0
// The order in which a verifier gives up its rights.
#include "node/verify/sandbox.hpp"

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <thread>

#include <linux/capability.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/verify/sandbox_calls.hpp"
#include "node/verify/sandbox_files.hpp"

namespace trainyard::node::verify {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<SandboxMode, std::string_view> kModes[] = {
    {SandboxMode::automatic, "auto"}, {SandboxMode::on, "on"}, {SandboxMode::off, "off"}};

bool exists(const char* path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

/// The driver makes its device nodes by a setuid program, which cannot work from inside.
void make_device_nodes() {
    constexpr const char* kMaker = "/usr/bin/nvidia-modprobe";
    constexpr int kPatience_ms = 10'000;
    if (!has_gpu_driver() || exists("/dev/nvidia-uvm") || !exists(kMaker)) return;
    const char* arguments[] = {kMaker, "-u", "-c=0", nullptr};
    int pid = -1;
    if (::posix_spawn(&pid, kMaker, nullptr, nullptr, const_cast<char**>(arguments), environ) != 0)
        return;
    for (int waited = 0; waited < kPatience_ms; waited += 10) {
        if (::waitpid(pid, nullptr, WNOHANG) != 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

bool is_alone() {
#if defined(__SANITIZE_THREAD__)
    return true;  // ThreadSanitizer has a thread of its own
#else
    std::error_code problem;
    const fs::directory_iterator threads("/proc/self/task", problem);
    return !problem && std::distance(begin(threads), end(threads)) == 1;
#endif
}

/// A node that runs as root: what root may do by its number alone is still a lot.
bool drop_capabilities() {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
    return ::syscall(SYS_capset, &head, none.data()) == 0;
}

void leave_no_core() {
    const rlimit none{0, 0};  // it would hold clients' data
    ::setrlimit(RLIMIT_CORE, &none);
}

class Refusing final : public Verifier {
public:
    explicit Refusing(std::string why) : why_(std::move(why)) {}
    std::string name() override { return why_; }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest&) override {
        return unexpected(error());
    }
    Result<VerifyAnswer, VerifyError> replay(const ReplayRequest&) override {
        return unexpected(error());
    }
    Result<Pick, VerifyError> pick(const PickRequest&) override { return unexpected(error()); }

private:
    [[nodiscard]] VerifyError error() const { return {VerifyErrorCode::unavailable, why_}; }
    std::string why_;
};

}  // namespace

std::optional<SandboxMode> sandbox_mode_from(std::string_view text) {
    for (const auto& [mode, name] : kModes)
        if (name == text) return mode;
    return std::nullopt;
}

std::string_view to_text(SandboxMode mode) {
    for (const auto& [known, name] : kModes)
        if (known == mode) return name;
    return "";
}

std::string to_text(const Sandbox& sandbox) {
    const auto& [files, calls] = sandbox.confined;
    const std::string holds = files && calls ? "files, calls"
                              : files        ? "files"
                              : calls        ? "calls"
                                             : "none";
    return holds + (sandbox.gap.empty() ? "" : "; " + sandbox.gap);
}

bool has_gpu_driver() {
    return exists("/dev/nvidiactl") || exists("/proc/driver/nvidia/version") || exists("/dev/dxg");
}

Sandbox enter_sandbox(const SandboxOptions& options) {
    Sandbox out;
    if (options.mode == SandboxMode::off) return out;
    if (options.allow_cuda) make_device_nodes();
    leave_no_core();
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !drop_capabilities()) {
        out.gap = "nothing is confined: this process keeps its privileges";
        return out;
    }
    const bool is_first = is_alone();
    FileNeeds needs{options.allow_cuda && has_gpu_driver(), {}, options.hidden};
    if (const char* path = std::getenv("LD_LIBRARY_PATH")) needs.library_path = path;
    const auto files = confine_files(file_rules(needs));
    const auto calls = confine_calls();
    out.confined.files = files && is_first;
    out.confined.calls = calls.has_value();
    if (!files)
        out.gap = "files are not confined: " + files.error();
    else if (!is_first)
        out.gap = "files are not confined: other threads run already";
    if (!calls)
        out.gap += (out.gap.empty() ? "" : "; ") + ("any call is allowed: " + calls.error());
    return out;
}

std::unique_ptr<Verifier> make_refusing_verifier(std::string why) {
    return std::make_unique<Refusing>(std::move(why));
}

}  // namespace trainyard::node::verify
