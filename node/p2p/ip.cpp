// SPDX-License-Identifier: Apache-2.0
// Reading and sorting of IP addresses.
#include "node/p2p/ip.hpp"

#include <algorithm>

#include <arpa/inet.h>

namespace trainyard::p2p {
namespace {

constexpr std::array<uint8_t, 12> kV4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Source: the IANA registries of special-purpose addresses (RFC 6890).
Reach reach_of_v4(uint8_t a, uint8_t b) {
    if (a == 0 || a >= 224) return Reach::nowhere;
    if (a == 127) return Reach::machine;
    const bool is_private = a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168);
    const bool is_local = (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128);
    return is_private || is_local ? Reach::site : Reach::internet;
}

}  // namespace

bool Ip::is_v4() const {
    return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin());
}

std::optional<Ip> ip_from(std::string_view text) {
    const std::string copy(text);
    Ip ip;
    if (copy.size() != text.size() || copy.find('\0') != std::string::npos) return std::nullopt;
    if (::inet_pton(AF_INET6, copy.c_str(), ip.bytes.data()) == 1) return ip;
    std::copy(kV4Prefix.begin(), kV4Prefix.end(), ip.bytes.begin());
    if (::inet_pton(AF_INET, copy.c_str(), ip.bytes.data() + kV4Prefix.size()) == 1) return ip;
    return std::nullopt;
}

std::string to_string(const Ip& ip) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool is_v4 = ip.is_v4();
    const auto* from = ip.bytes.data() + (is_v4 ? kV4Prefix.size() : 0);
    ::inet_ntop(is_v4 ? AF_INET : AF_INET6, from, text.data(), text.size());
    return text.data();
}

Reach reach_of(const Ip& ip) {
    const auto& b = ip.bytes;
    if (ip.is_v4()) return reach_of_v4(b[12], b[13]);
    const bool is_low = std::all_of(b.begin(), b.end() - 1, [](uint8_t x) { return x == 0; });
    if (is_low) return b[15] == 1 ? Reach::machine : Reach::nowhere;
    if (b[0] == 0xff) return Reach::nowhere;
    if ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)) return Reach::site;
    return (b[0] & 0xe0) == 0x20 ? Reach::internet : Reach::nowhere;
}

std::array<uint8_t, 5> group_of(const Ip& ip) {
    const auto& b = ip.bytes;
    if (ip.is_v4()) return {4, b[12], b[13], 0, 0};
    return {6, b[0], b[1], b[2], b[3]};
}

}  // namespace trainyard::p2p
