// SPDX-License-Identifier: Apache-2.0
// The datagrams of sd_notify(3), by hand.
#include "node/runtime/service_manager.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace trainyard::runtime {
namespace {

constexpr Duration kStatusEvery{5'000};
constexpr size_t kStatusMax = 1000;

std::optional<uint64_t> number_of(const char* text) {
    if (text == nullptr) return std::nullopt;
    uint64_t number = 0;
    const char* end = text + std::strlen(text);
    const auto read = std::from_chars(text, end, number);
    if (read.ec != std::errc() || read.ptr != end || number == 0) return std::nullopt;
    return number;
}

bool is_address(std::string_view socket) {
    return socket.size() > 1 && socket.size() < sizeof(sockaddr_un::sun_path) &&
           (socket.front() == '/' || socket.front() == '@');
}

}  // namespace

ServiceOptions service_options_from(const std::function<const char*(const char*)>& lookup,
                                    int own_pid) {
    const char* socket = lookup("NOTIFY_SOCKET");
    if (socket == nullptr || !is_address(socket)) return {};
    ServiceOptions out{socket, std::nullopt};
    // Children inherit the variables; the watchdog is the main process's.
    const auto whose = number_of(lookup("WATCHDOG_PID"));
    const auto watchdog_us = number_of(lookup("WATCHDOG_USEC"));
    if (watchdog_us && (!whose || *whose == static_cast<uint64_t>(own_pid)))
        out.watchdog =
            Duration(std::min<uint64_t>(*watchdog_us / 1000, uint64_t{86'400} * 365 * 1000));
    return out;
}

ServiceManager ServiceManager::from_environment() {
    return ServiceManager(
        service_options_from([](const char* name) { return std::getenv(name); }, ::getpid()));
}

void ServiceManager::ready() const {
    tell("READY=1");
}

void ServiceManager::stopping() const {
    tell("STOPPING=1");
}

void ServiceManager::alive(std::string_view status) const {
    std::string text("WATCHDOG=1\nSTATUS=");
    for (const char c : status.substr(0, kStatusMax))  // a line feed would begin an assignment
        text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    tell(text);
}

Duration ServiceManager::interval() const {
    if (!options_.watchdog) return kStatusEvery;
    return std::max(Duration(1), std::min(kStatusEvery, *options_.watchdog / 3));
}

void ServiceManager::tell(std::string_view assignments) const {
    if (options_.socket.empty()) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(options_.socket.begin(), options_.socket.end(), address.sun_path);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const timeval patience{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    const auto size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + options_.socket.size());
    // Who does not listen misses it: a service must run where its manager is gone.
    (void)::sendto(fd, assignments.data(), assignments.size(), MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&address), size);
    ::close(fd);
}

}  // namespace trainyard::runtime
