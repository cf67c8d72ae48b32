// SPDX-License-Identifier: Apache-2.0
// Reading a JSON object member by member, and lists item by item.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rpc/decode.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace trainyard::rpc {

/// Reads members by name; the first failure stays and says which member it was.
class Fields {
public:
    explicit Fields(const boost::json::object& object) : object_(object) {}

    /// Calls `decode` on a present, non-null member and stores its value.
    template <class To, class Decode>
    Fields& read(std::string_view name, To& to, Decode decode) {
        if (!error_.empty()) return *this;
        const auto* member =
            object_.if_contains(boost::json::string_view(name.data(), name.size()));
        if (!member || member->is_null()) return *this;
        auto value = decode(*member);
        if (!value)
            error_ = std::string(name) + ": " + value.error();
        else
            to = std::move(*value);
        return *this;
    }
    [[nodiscard]] Result<Done, std::string> finish() const {
        if (error_.empty()) return Done{};
        return Unexpected(error_);
    }

private:
    const boost::json::object& object_;
    std::string error_;
};

template <class T, class Decode>
Decoded<std::vector<T>> decode_list(const boost::json::value& value, size_t max, Decode decode) {
    if (!value.is_array()) return Unexpected(std::string("expected an array"));
    const auto& array = value.get_array();
    if (array.size() > max) return Unexpected("more than " + std::to_string(max) + " items");
    std::vector<T> list;
    list.reserve(array.size());
    for (const auto& item : array) {
        auto decoded = decode(item);
        if (!decoded) return Unexpected(decoded.error());
        list.push_back(std::move(*decoded));
    }
    return list;
}

}  // namespace trainyard::rpc
