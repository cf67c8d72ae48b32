// SPDX-License-Identifier: Apache-2.0
// Checks of request headers.
#include "node/http/policy.hpp"

#include <algorithm>
#include <charconv>

#include <boost/asio/ip/address.hpp>

namespace trainyard::node::http {

namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// "host", "host:port" or "[v6]:port" without the port and brackets.
std::string host_name(std::string_view host) {
    if (!host.empty() && host[0] == '[') return lower(host.substr(1, host.find(']') - 1));
    if (std::count(host.begin(), host.end(), ':') == 1) host = host.substr(0, host.find(':'));
    return lower(host);
}

bool is_ip_address(const std::string& name) {
    boost::system::error_code failed;
    boost::asio::ip::make_address(name, failed);
    return !failed;
}

std::optional<uint64_t> number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || code != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

bool has(const std::vector<std::string>& list, std::string_view item) {
    return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
        return entry == "*" || lower(entry) == item;
    });
}

}  // namespace

bool is_host_allowed(std::string_view host, const std::vector<std::string>& vhosts) {
    const auto name = host_name(trim(host));
    if (name.empty()) return true;  // HTTP/1.0 without Host: no browser sends that
    return is_ip_address(name) || has(vhosts, name);
}

bool is_origin_allowed(std::string_view origin, const std::vector<std::string>& allowed) {
    return has(allowed, lower(trim(origin)));
}

bool may_pages_send(std::string_view header_names) {
    return lower(header_names).find("x-forwarded-for") == std::string::npos;
}

bool is_same_origin(std::string_view origin, std::string_view host) {
    const auto scheme = origin.find("://");
    return scheme != std::string_view::npos &&
           lower(origin.substr(scheme + 3)) == lower(trim(host));
}

bool is_json_content(std::string_view content_type) {
    const auto type = lower(trim(content_type.substr(0, content_type.find(';'))));
    return type == "application/json" || type == "application/json-rpc" ||
           type == "application/jsonrequest";
}

RangeVerdict parse_range(std::string_view header, uint64_t size, ByteRange& range) {
    constexpr std::string_view kUnit = "bytes=";
    header = trim(header);
    if (header.substr(0, kUnit.size()) != kUnit) return RangeVerdict::none;
    const auto spec = header.substr(kUnit.size());
    const auto dash = spec.find('-');
    if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos)
        return RangeVerdict::none;
    const auto first = number(trim(spec.substr(0, dash)));
    const auto last = number(trim(spec.substr(dash + 1)));
    if (!first && !last) return RangeVerdict::none;
    if (!first) {  // the last N bytes
        if (*last == 0 || size == 0) return RangeVerdict::unsatisfiable;
        range.length = std::min(*last, size);
        range.offset = size - range.length;
        return RangeVerdict::valid;
    }
    if (last && *last < *first) return RangeVerdict::none;
    if (*first >= size) return RangeVerdict::unsatisfiable;
    range.offset = *first;
    range.length = std::min(last ? *last - *first : size, size - *first - 1) + 1;
    return RangeVerdict::valid;
}

}  // namespace trainyard::node::http
