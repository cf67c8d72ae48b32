// SPDX-License-Identifier: Apache-2.0
// IP addresses as values: how far they reach, and which of them probably have one owner.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trainyard::p2p {

/// Sixteen bytes; an IPv4 address is ::ffff:a.b.c.d.
struct Ip {
    std::array<uint8_t, 16> bytes{};
    [[nodiscard]] bool is_v4() const;
    auto operator<=>(const Ip&) const = default;
};

/// Digits only; nullopt for names and anything else.
[[nodiscard]] std::optional<Ip> ip_from(std::string_view text);
[[nodiscard]] std::string to_string(const Ip& ip);

/// From where an address can be reached. `nowhere`: unspecified, multicast, reserved.
enum class Reach : uint8_t { nowhere, machine, site, internet };
[[nodiscard]] Reach reach_of(const Ip& ip);

/// What somebody gets hold of together: an IPv4 /16, an IPv6 /32.
[[nodiscard]] std::array<uint8_t, 5> group_of(const Ip& ip);

}  // namespace trainyard::p2p
