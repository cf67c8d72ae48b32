// SPDX-License-Identifier: Apache-2.0
// Reading JSON without exceptions: members by name with the type that is expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::node::wallet {

/// nullopt when it is not one JSON value, or nests deeper than 32.
[[nodiscard]] std::optional<boost::json::value> parse_json(std::string_view text);
[[nodiscard]] const boost::json::value* member(const boost::json::value& object,
                                               std::string_view name);
[[nodiscard]] std::optional<std::string> text_member(const boost::json::value& object,
                                                     std::string_view name);
[[nodiscard]] std::optional<uint64_t> number_member(const boost::json::value& object,
                                                    std::string_view name);
/// A string of hexadecimal digits, with or without 0x.
[[nodiscard]] std::optional<Bytes> hex_member(const boost::json::value& object,
                                              std::string_view name);
/// A JSON-RPC quantity ("0x1f").
[[nodiscard]] std::optional<Uint256> quantity(const boost::json::value* value);
[[nodiscard]] std::optional<uint64_t> quantity64(const boost::json::value* value);
[[nodiscard]] std::optional<Bytes> data(const boost::json::value* value);

}  // namespace trainyard::node::wallet
