// SPDX-License-Identifier: Apache-2.0
// Landlock by its three calls: the C library of Debian 12 has no wrappers for them.
#include "node/verify/sandbox_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

namespace fs = std::filesystem;

/// Where libraries, what describes the machine, and the C library's own files are.
constexpr const char* kRead[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/opt/cuda",
    "/opt/nvidia",
    "/proc",
    "/sys",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl/openssl.cnf",
    "/etc/nvidia",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/self/exe",  // its own program, which a driver or a sanitizer looks at
};
/// Nodes of GPUs in /dev, by the start of their names: of cards, of Jetson boards, of WSL.
constexpr const char* kDevices[] = {"nvidia", "nvhost", "nvgpu", "nvmap", "dxg"};

// Rights that came after the ABI version 2 of Debian 12's header.
constexpr uint64_t kTruncate = 1 << 14, kIoctl = 1 << 15;
constexpr uint64_t kBindTcp = 1 << 0, kConnectTcp = 1 << 1;
constexpr uint64_t kScopeAbstractSockets = 1 << 0, kScopeSignals = 1 << 1;
constexpr uint64_t kAllOfAbi1 = (1 << 13) - 1;

/// linux/landlock.h's struct landlock_ruleset_attr as it is since ABI version 6.
struct Handled {
    uint64_t files, tcp, scopes;
};
/// What each ABI version added; a kernel takes no bits and no fields that it does not know.
struct AbiStep {
    int version;
    Handled added;
    size_t size_bytes;
};
constexpr AbiStep kAbi[] = {
    {1, {kAllOfAbi1, 0, 0}, 8}, {2, {LANDLOCK_ACCESS_FS_REFER, 0, 0}, 8},
    {3, {kTruncate, 0, 0}, 8},  {4, {0, kBindTcp | kConnectTcp, 0}, 16},
    {5, {kIoctl, 0, 0}, 16},    {6, {0, 0, kScopeAbstractSockets | kScopeSignals}, 24},
};

constexpr uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kOfFiles = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              kTruncate | kIoctl;  ///< the others make sense for folders alone

uint64_t rights(FileAccess access) {
    constexpr uint64_t kDevice = kReading | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctl;
    switch (access) {
        case FileAccess::read:
            return kReading;
        case FileAccess::device:
            return kDevice;
        case FileAccess::scratch:
            return kDevice | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
        case FileAccess::names:
            return LANDLOCK_ACCESS_FS_WRITE_FILE;
    }
    return 0;
}

/// Empty where there is no such file.
fs::path real(const fs::path& path) {
    std::error_code problem;
    auto out = fs::canonical(path, problem);
    return problem ? fs::path() : out;
}

/// Also of what does not exist yet.
fs::path real_some_day(const fs::path& path) {
    std::error_code problem;
    auto out = fs::weakly_canonical(fs::absolute(path, problem), problem).lexically_normal();
    return out.has_filename() ? out : out.parent_path();  // without a slash at the end
}

bool is_within(const fs::path& path, const fs::path& folder) {
    const auto [end, _] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

/// Collects rules, and leaves out what is hidden.
class Rules {
public:
    explicit Rules(const std::vector<std::string>& hidden) {
        for (const auto& path : hidden)
            if (!path.empty()) hidden_.push_back(real_some_day(path));
    }
    void allow(const fs::path& path, FileAccess access) {
        if (const auto found = real(path); !found.empty()) add(found, access);
    }
    std::vector<FileRule> take() { return std::move(rules_); }

private:
    void add(const fs::path& path, FileAccess access) {
        const auto any = [&](auto&& is) { return std::any_of(hidden_.begin(), hidden_.end(), is); };
        if (any([&](const fs::path& h) { return is_within(path, h); })) return;
        if (any([&](const fs::path& h) { return is_within(h, path); }))
            return add_inside(path, access);
        const FileRule rule{path.string(), access};
        if (std::find(rules_.begin(), rules_.end(), rule) == rules_.end()) rules_.push_back(rule);
    }
    /// A symbolic link needs no rule: what counts is where the file lies.
    void add_inside(const fs::path& folder, FileAccess access) {
        std::error_code problem;
        for (fs::directory_iterator it(folder, problem), end; !problem && it != end;
             it.increment(problem))
            if (std::error_code ignored; !it->is_symlink(ignored)) add(it->path(), access);
    }

    std::vector<fs::path> hidden_;
    std::vector<FileRule> rules_;
};

/// CUDA's driver opens these for reading and writing, keeps `/dev/shm/cuda.*`, and gives up where
/// it cannot write the names of its threads to /proc/self/task/*/comm.
void allow_gpu(Rules& rules) {
    std::error_code problem;
    for (fs::directory_iterator it("/dev", problem), end; !problem && it != end;
         it.increment(problem)) {
        const auto name = it->path().filename().string();
        const auto begins = [&](const char* start) { return name.starts_with(start); };
        if (std::any_of(std::begin(kDevices), std::end(kDevices), begins))
            rules.allow(it->path(), FileAccess::device);
    }
    rules.allow("/dev/shm", FileAccess::scratch);
    rules.allow("/proc/self/task", FileAccess::names);
}

int create_ruleset(const Handled* handled, size_t size_bytes, uint32_t flags) {
    return static_cast<int>(::syscall(SYS_landlock_create_ruleset, handled, size_bytes, flags));
}

/// Descriptors that close themselves.
struct Descriptor {
    int fd;
    explicit Descriptor(int number) : fd(number) {}
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
};

/// False where the kernel refuses the rule; a path that is gone or not ours needs none.
bool add_rule(int ruleset, const FileRule& rule, uint64_t handled) {
    const int fd = ::open(rule.path.c_str(), O_PATH | O_CLOEXEC);
    if (fd < 0) return true;
    // The kernel may forget a folder of /proc that nobody holds, and the rule with it.
    const bool keeps = rule.access == FileAccess::names;
    const Descriptor closing(keeps ? -1 : fd);
    struct stat what {};
    if (::fstat(fd, &what) != 0) return false;
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = rights(rule.access) & handled;
    if (!S_ISDIR(what.st_mode)) beneath.allowed_access &= kOfFiles;
    beneath.parent_fd = fd;
    return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
}

std::string problem_text(const char* what) {
    const int problem = errno;
    if (problem == ENOSYS || problem == EOPNOTSUPP) return "no Landlock in this kernel";
    return std::string(what) + ": " + std::strerror(problem);
}

}  // namespace

std::vector<FileRule> file_rules(const FileNeeds& needs) {
    Rules rules(needs.hidden);
    for (const char* path : kRead) rules.allow(path, FileAccess::read);
    rules.allow("/dev/null", FileAccess::device);
    for (size_t from = 0; from < needs.library_path.size();) {
        const auto to = std::min(needs.library_path.find(':', from), needs.library_path.size());
        if (to > from) rules.allow(needs.library_path.substr(from, to - from), FileAccess::read);
        from = to + 1;
    }
    if (needs.has_gpu) allow_gpu(rules);
    return rules.take();
}

Result<Done, std::string> confine_files(const std::vector<FileRule>& rules) {
    const int version = create_ruleset(nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) return unexpected(problem_text("Landlock"));
    Handled handled{};
    size_t size_bytes = 0;
    for (const AbiStep& step : kAbi) {
        if (step.version > version) break;
        handled.files |= step.added.files;
        handled.tcp |= step.added.tcp;
        handled.scopes |= step.added.scopes;
        size_bytes = step.size_bytes;
    }
    const Descriptor ruleset(create_ruleset(&handled, size_bytes, 0));
    if (ruleset.fd < 0) return unexpected(problem_text("Landlock's rules"));
    for (const FileRule& rule : rules)
        if (!add_rule(ruleset.fd, rule, handled.files))
            return unexpected(problem_text(("Landlock's rule for " + rule.path).c_str()));
    if (::syscall(SYS_landlock_restrict_self, ruleset.fd, 0) != 0)
        return unexpected(problem_text("Landlock"));
    return Done{};
}

}  // namespace trainyard::node::verify
