// SPDX-License-Identifier: Apache-2.0
// A small strict JSON reader: objects, arrays, strings without escapes, integers, true, false,
// null.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::numvec {

struct Json {
    enum class Kind { null, boolean, integer, string, array, object };
    Kind kind = Kind::null;
    bool boolean = false;
    int64_t integer = 0;
    std::string string;
    std::vector<Json> array;
    std::map<std::string, Json> object;

    [[nodiscard]] bool is_null() const { return kind == Kind::null; }
    [[nodiscard]] bool has(const std::string& key) const { return object.count(key) != 0; }
    /// A member, or a null value that every use of it then reports as missing.
    [[nodiscard]] const Json& operator[](const std::string& key) const;
};

[[nodiscard]] std::optional<Json> parse_json(std::string_view text);

}  // namespace trainyard::numvec
