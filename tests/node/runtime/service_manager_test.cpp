// SPDX-License-Identifier: Apache-2.0
// Datagrams to a service manager, read from a socket that stands for systemd's.
#include "node/runtime/service_manager.hpp"

#include <map>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace trainyard::runtime {
namespace {

/// Listens at `name`, in which '@' begins an abstract address.
class Listener {
public:
    explicit Listener(std::string name) : name_(std::move(name)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        name_.copy(address.sun_path, sizeof(address.sun_path) - 1);
        if (name_[0] == '@') address.sun_path[0] = '\0';
        fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const timeval patience{5, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
        EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    }
    ~Listener() {
        ::close(fd_);
        if (name_[0] == '/') ::unlink(name_.c_str());
    }
    std::string next() const {
        char text[4096];
        const auto size = ::recv(fd_, text, sizeof(text), 0);
        return size < 0 ? "nothing" : std::string(text, static_cast<size_t>(size));
    }
    const std::string& name() const { return name_; }

private:
    std::string name_;
    int fd_ = -1;
};

ServiceOptions read(const std::map<std::string, std::string>& variables, int own_pid = 7) {
    return service_options_from(
        [&](const char* name) {
            const auto found = variables.find(name);
            return found == variables.end() ? nullptr : found->second.c_str();
        },
        own_pid);
}

TEST(service_manager, hears_each_stage_in_its_own_datagram) {
    const std::string pid = std::to_string(::getpid());
    for (const std::string& name :
         {"/tmp/service_manager_test_" + pid, "@service_manager_" + pid}) {
        const Listener listener(name);
        const ServiceManager manager({listener.name(), {}});
        manager.ready();
        manager.alive("height 812, 7 peers");
        manager.stopping();
        EXPECT_EQ(listener.next(), "READY=1");
        EXPECT_EQ(listener.next(), "WATCHDOG=1\nSTATUS=height 812, 7 peers");
        EXPECT_EQ(listener.next(), "STOPPING=1");
    }
}

TEST(service_manager, a_status_cannot_say_anything_else) {
    const Listener listener("@service_manager_status_" + std::to_string(::getpid()));
    const ServiceManager manager({listener.name(), {}});
    manager.alive("stands still:\nMAINPID=1\x7f" + std::string(5000, 'x'));
    const auto said = listener.next();
    EXPECT_TRUE(said.starts_with("WATCHDOG=1\nSTATUS=stands still: MAINPID=1 xxx")) << said;
    EXPECT_EQ(said.size(), std::string("WATCHDOG=1\nSTATUS=").size() + 1000);
}

TEST(service_manager, silence_where_nobody_started_us_or_the_listener_is_gone) {
    ServiceManager(ServiceOptions{}).ready();
    ServiceManager({"/tmp/there-is-no-such-socket", {}}).ready();
    EXPECT_EQ(read({}), ServiceOptions{});
    EXPECT_EQ(read({{"WATCHDOG_USEC", "1000000"}}), ServiceOptions{});
}

TEST(service_manager, environment_names_socket_and_watchdog) {
    EXPECT_EQ(read({{"NOTIFY_SOCKET", "/run/systemd/notify"}}),
              (ServiceOptions{"/run/systemd/notify", {}}));
    EXPECT_EQ(read({{"NOTIFY_SOCKET", "@n"}, {"WATCHDOG_USEC", "30000000"}}),
              (ServiceOptions{"@n", Duration(30'000)}));
    EXPECT_EQ(read({{"NOTIFY_SOCKET", "@n"}, {"WATCHDOG_USEC", "30000000"}, {"WATCHDOG_PID", "7"}}),
              (ServiceOptions{"@n", Duration(30'000)}));
    // Of our parent, which has handed its environment on.
    EXPECT_EQ(read({{"NOTIFY_SOCKET", "@n"}, {"WATCHDOG_USEC", "30000000"}, {"WATCHDOG_PID", "8"}}),
              (ServiceOptions{"@n", {}}));
}

TEST(service_manager, environment_of_another_form_counts_as_not_set) {
    for (const auto& socket : {std::string(), std::string("/"), std::string("vsock:2:1"),
                               std::string("relative"), "/" + std::string(107, 'x')})
        EXPECT_EQ(read({{"NOTIFY_SOCKET", socket}}), ServiceOptions{}) << socket;
    for (const auto* time : {"", "0", "-1", "1e6", "99999999999999999999", "5s"})
        EXPECT_EQ(read({{"NOTIFY_SOCKET", "@n"}, {"WATCHDOG_USEC", time}}),
                  (ServiceOptions{"@n", {}}))
            << time;
}

TEST(service_manager, speaks_thrice_before_the_watchdog_barks) {
    const auto interval = [](std::optional<Duration> watchdog) {
        return ServiceManager({"@n", watchdog}).interval();
    };
    EXPECT_EQ(interval({}), Duration(5'000));
    EXPECT_EQ(interval(Duration(300'000)), Duration(5'000));
    EXPECT_EQ(interval(Duration(3'000)), Duration(1'000));
    EXPECT_EQ(interval(Duration(0)), Duration(1));
}

}  // namespace
}  // namespace trainyard::runtime
