// SPDX-License-Identifier: Apache-2.0
// What a process that was taken over would try. Each attempt works for a process of the same user
// that is in no sandbox.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trainyard::node::verify {

inline bool closes(int fd) {
    if (fd >= 0) ::close(fd);
    return fd >= 0;
}

inline bool connects_to(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool done = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
    return closes(fd) && done;
}

/// A port that nobody listens on refuses, which is an answer of the network.
inline bool has_tcp() {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(1);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int done = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    const bool answered = done == 0 || errno == ECONNREFUSED;
    return closes(fd) && answered;
}

inline bool runs_a_program() {
    const int pid = ::fork();
    if (pid == 0) {
        ::execl("/bin/true", "true", nullptr);
        ::_exit(9);
    }
    int status = 0;
    return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

inline bool lists(const std::string& folder) {
    DIR* const opened = ::opendir(folder.c_str());
    if (opened != nullptr) ::closedir(opened);
    return opened != nullptr;
}

/// The names of the attempts that worked, each with a space behind it. `folder` holds the files
/// `secret` and `victim` and the socket `signer`, on which somebody listens.
inline std::string reached(const std::string& folder) {
    const std::string secret = folder + "/secret", node = std::to_string(::getppid());
    const struct {
        const char* name;
        bool worked;
    } attempts[] = {
        {"read", closes(::open(secret.c_str(), O_RDONLY | O_CLOEXEC))},
        {"list", lists(folder)},
        {"make", closes(::open((folder + "/new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))},
        {"rename", ::rename((folder + "/victim").c_str(), (folder + "/gone").c_str()) == 0},
        {"environ", closes(::open(("/proc/" + node + "/environ").c_str(), O_RDONLY | O_CLOEXEC))},
        {"chmod", ::chmod(secret.c_str(), 0644) == 0},
        {"truncate", ::truncate(secret.c_str(), 3) == 0},
        {"tcp", has_tcp()},
        {"signer", connects_to(folder + "/signer")},
        {"datagram", closes(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))},
        {"run", runs_a_program()},
        {"signal", ::kill(::getppid(), 0) == 0},
        {"variable", std::getenv("TRAINYARD_E2E_SECRET") != nullptr},
        {"setting", std::getenv("CUDA_E2E_SETTING") != nullptr},
    };
    std::string out;
    for (const auto& attempt : attempts)
        if (attempt.worked) out += std::string(attempt.name) + " ";
    return out;
}

}  // namespace trainyard::node::verify
