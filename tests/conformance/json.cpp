// SPDX-License-Identifier: Apache-2.0
// Lenient numbers, strict everything else.
#include "tests/conformance/json.hpp"

#include <fstream>
#include <iterator>

namespace trainyard::conformance {

const json::value* find(const json::object& object, std::string_view key) {
    const auto it = object.find(key);
    return it == object.end() ? nullptr : &it->value();
}

const json::object& object_at(const json::object& object, std::string_view key) {
    const auto* value = find(object, key);
    if (value == nullptr || !value->is_object())
        throw BadVector{"no object \"" + std::string(key) + "\""};
    return value->get_object();
}

Uint256 number_of(const json::value& value) {
    if (value.is_int64()) return static_cast<uint64_t>(value.get_int64());
    if (value.is_uint64()) return value.get_uint64();
    if (!value.is_string()) throw BadVector{"a number is neither string nor integer"};
    const std::string_view text = value.get_string();
    if (text.empty() || text == "0x") return {};
    const auto number = parse_uint256(text);
    if (!number) throw BadVector{"bad number " + std::string(text)};
    return *number;
}

uint64_t small_number_of(const json::value& value) {
    const Uint256 number = number_of(value);
    if (!number.fits_u64()) throw BadVector{"a number does not fit 64 bits"};
    return number.low();
}

Bytes bytes_of(const json::value& value) {
    if (!value.is_string()) throw BadVector{"bytes are not a string"};
    const std::string_view text = value.get_string();
    if (text.empty()) return {};
    auto bytes = from_hex(text);
    if (!bytes) throw BadVector{"bad bytes " + std::string(text.substr(0, 80))};
    return std::move(*bytes);
}

Uint256 number_at(const json::object& object, std::string_view key, Uint256 otherwise) {
    const auto* value = find(object, key);
    return value == nullptr ? otherwise : number_of(*value);
}

uint64_t small_number_at(const json::object& object, std::string_view key, uint64_t otherwise) {
    const auto* value = find(object, key);
    return value == nullptr ? otherwise : small_number_of(*value);
}

json::value load_json(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw BadVector{"cannot read " + path};
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = 64;
    auto value = json::parse(text, error, {}, options);
    if (error) throw BadVector{path + " is no JSON: " + error.message()};
    return value;
}

}  // namespace trainyard::conformance
