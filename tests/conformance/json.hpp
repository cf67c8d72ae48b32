// SPDX-License-Identifier: Apache-2.0
// Reads the JSON of the official Ethereum vectors: numbers and bytes as 0x-strings.
#pragma once

#include <boost/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::conformance {

namespace json = boost::json;

/// A vector that is not of the expected shape; caught per test and counted as a failure.
struct BadVector {
    std::string what;
};

[[nodiscard]] const json::value* find(const json::object& object, std::string_view key);
[[nodiscard]] const json::object& object_at(const json::object& object, std::string_view key);
[[nodiscard]] Uint256 number_of(const json::value& value);
[[nodiscard]] uint64_t small_number_of(const json::value& value);
[[nodiscard]] Bytes bytes_of(const json::value& value);

[[nodiscard]] Uint256 number_at(const json::object& object, std::string_view key,
                                Uint256 otherwise = {});
[[nodiscard]] uint64_t small_number_at(const json::object& object, std::string_view key,
                                       uint64_t otherwise = 0);

/// A hash or address of exactly its length.
template <class T>
[[nodiscard]] T fixed_of(const json::value& value) {
    const auto fixed = fixed_from<T>(bytes_of(value));
    if (!fixed) throw BadVector{"a fixed-size value has another size"};
    return *fixed;
}

/// Parses a file. Throws BadVector.
[[nodiscard]] json::value load_json(const std::string& path);

}  // namespace trainyard::conformance
