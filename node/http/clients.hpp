// SPDX-License-Identifier: Apache-2.0
// Who asks, by address; private to this folder.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::node::http {

/// An IPv4 address, or an IPv6 /64, as text. Empty: this machine, or a proxy that names nobody.
using Client = std::string;

/// Addresses with so many leading bits in common; those of IPv4 are ::ffff:a.b.c.d.
struct AddressRange {
    std::array<uint8_t, 16> bytes{};
    unsigned bits = 128;
};
/// "10.0.0.1", "10.0.0.0/8", "fd00::/8"; nullopt: none of these.
[[nodiscard]] std::optional<AddressRange> range_from(std::string_view text);

/// Whom to hold to a share. This machine and `proxies` have none of their own, and are believed
/// about others. Pure.
class ClientRules {
public:
    ClientRules(std::vector<AddressRange> proxies, bool believes_machine)
        : proxies_(std::move(proxies)), believes_machine_(believes_machine) {}

    /// Of the other end of a connection.
    [[nodiscard]] Client client_of(std::string_view address) const;
    /// Of what a proxy says in X-Forwarded-For, all lines joined with commas: the last address that
    /// is no proxy. What comes before it anybody may have written.
    [[nodiscard]] Client forwarded_client(std::string_view header) const;

private:
    const std::vector<AddressRange> proxies_;
    const bool believes_machine_;
};

}  // namespace trainyard::node::http
