// SPDX-License-Identifier: Apache-2.0
// Who may ask, and in which form: hosts, origins, content types, ranges. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::node::http {

/// Guards against DNS rebinding: the Host header must be an IP address or one of the names.
[[nodiscard]] bool is_host_allowed(std::string_view host, const std::vector<std::string>& vhosts);
[[nodiscard]] bool is_origin_allowed(std::string_view origin,
                                     const std::vector<std::string>& allowed);
/// Whether a page of an allowed origin may send these headers, the list of a preflight: a key for a
/// proxy before this node may be among them, but nobody's name. A page on this machine would have
/// its requests counted as another address's (docs/spec/rpc.md, section 5).
[[nodiscard]] bool may_pages_send(std::string_view header_names);
/// A page that this server served itself.
[[nodiscard]] bool is_same_origin(std::string_view origin, std::string_view host);
/// application/json, application/json-rpc or application/jsonrequest, with or without parameters.
[[nodiscard]] bool is_json_content(std::string_view content_type);

struct ByteRange {
    uint64_t offset = 0, length = 0;
};
enum class RangeVerdict { none, valid, unsatisfiable };
/// A single range of RFC 9110, section 14; several ranges or another unit count as none.
[[nodiscard]] RangeVerdict parse_range(std::string_view header, uint64_t size, ByteRange& range);

}  // namespace trainyard::node::http
