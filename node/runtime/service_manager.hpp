// SPDX-License-Identifier: Apache-2.0
// What systemd, if it started this process, is told: ready, alive, where it stands, ending.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {

/// Where to speak and how often, as the environment of a service says it.
struct ServiceOptions {
    std::string socket;                ///< path, or '@' and an abstract name; empty: nobody listens
    std::optional<Duration> watchdog;  ///< silence for so long ends the process
    bool operator==(const ServiceOptions&) const = default;
};
/// NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; `lookup` gives null for what is not set. What is
/// of another form counts as not set.
[[nodiscard]] ServiceOptions service_options_from(
    const std::function<const char*(const char*)>& lookup, int own_pid);

/// Without a service manager every call does nothing; none waits longer than a second. Thread-safe.
/// Source: sd_notify(3), sd_watchdog_enabled(3).
class ServiceManager {
public:
    explicit ServiceManager(ServiceOptions options) : options_(std::move(options)) {}
    [[nodiscard]] static ServiceManager from_environment();

    void ready() const;
    void stopping() const;
    /// Still at work, and one line that `systemctl status` shows; control characters become spaces.
    void alive(std::string_view status) const;
    /// How often to call `alive`: every five seconds, or thrice before the watchdog barks.
    [[nodiscard]] Duration interval() const;

private:
    void tell(std::string_view assignments) const;
    ServiceOptions options_;
};

}  // namespace trainyard::runtime
