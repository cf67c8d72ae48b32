// SPDX-License-Identifier: Apache-2.0
// Addresses of clients.
#include "node/http/clients.hpp"

#include <algorithm>
#include <charconv>

#include <boost/asio/ip/address.hpp>

namespace trainyard::node::http {
namespace ip = boost::asio::ip;

namespace {

using Bytes16 = std::array<uint8_t, 16>;
constexpr unsigned kMappedBits = 96;  ///< before an IPv4 address
constexpr size_t kNetworkBytes = 8;   ///< of an IPv6 address: what one customer has at least
constexpr char kUnknown[] = "unknown";

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<Bytes16> bytes_of(std::string_view text) {
    boost::system::error_code failed;
    const auto address = ip::make_address(std::string(text), failed);
    if (failed) return std::nullopt;
    const auto v6 =
        address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6();
    return v6.to_bytes();
}

bool is_v4(const Bytes16& bytes) {
    return ip::address_v6(bytes).is_v4_mapped();
}

bool is_machine(const Bytes16& bytes) {
    const ip::address_v6 v6(bytes);
    return v6.is_loopback() || (is_v4(bytes) && bytes[12] == 127);
}

bool has(const AddressRange& range, const Bytes16& bytes) {
    for (unsigned bit = 0; bit < range.bits; ++bit) {
        const auto mask = static_cast<uint8_t>(0x80u >> (bit % 8));
        if ((range.bytes[bit / 8] & mask) != (bytes[bit / 8] & mask)) return false;
    }
    return true;
}

/// Without a port: "1.2.3.4:80", "[::1]:80".
std::string_view without_port(std::string_view text) {
    if (!text.empty() && text.front() == '[') return text.substr(1, text.find(']') - 1);
    if (std::count(text.begin(), text.end(), ':') == 1) return text.substr(0, text.find(':'));
    return text;
}

Client name_of(Bytes16 bytes) {
    if (is_v4(bytes)) return ip::make_address_v4(ip::v4_mapped, ip::address_v6(bytes)).to_string();
    std::fill(bytes.begin() + kNetworkBytes, bytes.end(), uint8_t{0});
    return ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace

std::optional<AddressRange> range_from(std::string_view text) {
    const auto slash = std::min(text.find('/'), text.size());
    const auto bytes = bytes_of(text.substr(0, slash));
    if (!bytes) return std::nullopt;
    AddressRange range{*bytes, 128};
    if (slash == text.size()) return range;
    const auto digits = text.substr(slash + 1);
    const unsigned before = text.find(':') == std::string_view::npos ? kMappedBits : 0;
    unsigned bits = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (code != std::errc() || end != digits.data() + digits.size() || bits > 128 - before)
        return std::nullopt;
    range.bits = before + bits;
    return range;
}

Client ClientRules::client_of(std::string_view address) const {
    const auto bytes = bytes_of(address);
    if (!bytes) return kUnknown;
    if (believes_machine_ && is_machine(*bytes)) return {};
    for (const auto& range : proxies_)
        if (has(range, *bytes)) return {};
    return name_of(*bytes);
}

Client ClientRules::forwarded_client(std::string_view header) const {
    while (!header.empty()) {
        const auto comma = header.rfind(',');
        const auto last = comma == std::string_view::npos ? header : header.substr(comma + 1);
        header = comma == std::string_view::npos ? std::string_view() : header.substr(0, comma);
        if (trim(last).empty()) continue;
        auto client = client_of(without_port(trim(last)));
        if (!client.empty()) return client;
    }
    return {};
}

}  // namespace trainyard::node::http
