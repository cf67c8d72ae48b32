// SPDX-License-Identifier: Apache-2.0
// The table of refused calls, and the filter that libseccomp makes of it.
#include "node/verify/sandbox_calls.hpp"

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

constexpr const char* kRefused[] = {
    // Other programs and processes. `clone` may make threads, see below.
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "process_mrelease", "pidfd_getfd", "pidfd_send_signal", "tkill", "kcmp",
    // Connections: the node's own one is open. A signer's socket answers whoever has our user.
    // CUDA's driver binds and listens on an abstract socket, which nobody can connect to.
    "connect", "accept", "accept4",
    // What a path names may be changed without being opened, which Landlock does not look at.
    "chmod", "fchmodat", "chown", "lchown", "fchownat", "setxattr", "lsetxattr", "removexattr",
    "lremovexattr", "utime", "utimes", "futimesat", "utimensat", "truncate", "mknod", "mknodat",
    "name_to_handle_at", "open_by_handle_at", "fanotify_init", "quotactl", "quotactl_fd",
    // Memory and queues that processes of one user share by a number or a name.
    "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop",
    "semtimedop", "semctl", "mq_open", "mq_unlink",
    // Keys of the kernel, and parts of it that have been a way into it.
    "add_key", "keyctl", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "modify_ldt", "vmsplice",
    // Another view of the machine, and the machine itself.
    "unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "mount_setattr", "open_tree",
    "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct",
    "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "iopl", "ioperm", "vhangup"};

/// Of these the kernel is said to know nothing, so that their callers do without. The flags of
/// clone3 are out of sight, and clone takes its place. What came after Linux 6.1, the kernel of
/// Debian 12, and its number 450 could be a way around the table.
constexpr const char* kUnknown = "clone3";
constexpr int kFirstUnknown = 451, kLastUnknown = 511;

/// Refused where an argument is what the condition says.
struct Condition {
    const char* call;
    scmp_arg_cmp when;
};

constexpr uint64_t kLow32 = 0xffffffff;  ///< the kernel ignores what lies above an int
constexpr uint64_t kTypeOfSocket = 0xf;

scmp_arg_cmp is_not(unsigned index, uint64_t value) {
    return {index, SCMP_CMP_NE, value, 0};
}
scmp_arg_cmp is(unsigned index, uint64_t value, uint64_t mask = kLow32) {
    return {index, SCMP_CMP_MASKED_EQ, mask, value};
}

/// Where `when` says so, or always. False for what is no call at all, a misspelt one.
bool answer(scmp_filter_ctx filter, const char* name, int problem, const scmp_arg_cmp* when) {
    const int call = ::seccomp_syscall_resolve_name(name);
    if (call < 0) return call != __NR_SCMP_ERROR;  // not on this architecture
    return ::seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(problem), call, when != nullptr ? 1 : 0,
                                    when) == 0;
}

bool refuse(scmp_filter_ctx filter, const Condition& condition) {
    return answer(filter, condition.call, EPERM, &condition.when);
}

bool refuse_by_argument(scmp_filter_ctx filter) {
    // Local sockets alone, and no datagrams, which go to any name without a connection.
    for (const char* maker : {"socket", "socketpair"})
        for (const auto& when :
             {is_not(0, AF_UNIX), is(1, SOCK_DGRAM, kTypeOfSocket), is(1, SOCK_RAW, kTypeOfSocket)})
            if (!refuse(filter, {maker, when})) return false;
    // Signals to itself alone, which abort() needs.
    const auto self = static_cast<uint64_t>(::getpid());
    for (const char* sender : {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"})
        if (!refuse(filter, {sender, is_not(0, self)})) return false;
    for (const char* of_any : {"prlimit64", "move_pages", "migrate_pages"})
        if (!refuse(filter, {of_any, is_not(0, 0)})) return false;
    constexpr uint64_t kPushInput = 0x5412, kConsole = 0x541c, kSocketOwner = 0x8901,
                       kSocketGroup = 0x8902;  // TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
    const Condition others[] = {
        {"clone", is(0, 0, CLONE_THREAD)},  {"sendto", is_not(4, 0)},  // what has an address
        {"fcntl", is(1, F_SETOWN)},  // a signal by way of the kernel
        {"fcntl", is(1, F_SETOWN_EX)},      {"fcntl", is(1, F_SETSIG)},
        {"ioctl", is(1, kSocketOwner)},     {"ioctl", is(1, kSocketGroup)},
        {"ioctl", is(1, kPushInput)},       {"ioctl", is(1, kConsole)},
        {"prctl", is(0, PR_SET_PDEATHSIG)},  // it ends with its node
    };
    for (const Condition& condition : others)
        if (!refuse(filter, condition)) return false;
    return true;
}

bool refuse_all(scmp_filter_ctx filter) {
    for (const char* name : kRefused)
        if (!answer(filter, name, EPERM, nullptr)) return false;
    if (!answer(filter, kUnknown, ENOSYS, nullptr)) return false;
    for (int call = kFirstUnknown; call <= kLastUnknown; ++call)
        if (::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) != 0) return false;
    return refuse_by_argument(filter);
}

int load(scmp_filter_ctx filter) {
    const std::pair<scmp_filter_attr, uint32_t> attributes[] = {
        {SCMP_FLTATR_CTL_TSYNC, 1},     // all threads
        {SCMP_FLTATR_CTL_SSB, 1},       // older kernels would slow computing down
        {SCMP_FLTATR_CTL_OPTIMIZE, 2},  // a binary tree
        {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
    };
    for (const auto& [attribute, value] : attributes)
        if (const int problem = ::seccomp_attr_set(filter, attribute, value); problem != 0)
            return problem;
    return ::seccomp_load(filter);
}

}  // namespace

Result<Done, std::string> confine_calls() {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    if (filter == nullptr) return unexpected(std::string("no filter of calls"));
    const bool is_made = refuse_all(filter);
    const int problem = is_made ? load(filter) : -EINVAL;
    ::seccomp_release(filter);
    if (problem == 0) return Done{};
    return unexpected(std::string("seccomp: ") + std::strerror(-problem));
}

}  // namespace trainyard::node::verify
