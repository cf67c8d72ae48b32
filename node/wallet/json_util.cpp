// SPDX-License-Identifier: Apache-2.0
// Boost.JSON behind questions that have an answer or none.
#include "node/wallet/json_util.hpp"

namespace trainyard::node::wallet {

std::optional<boost::json::value> parse_json(std::string_view text) {
    boost::system::error_code error;
    auto value = boost::json::parse({text.data(), text.size()}, error);
    if (error) return std::nullopt;
    return value;
}

const boost::json::value* member(const boost::json::value& object, std::string_view name) {
    const auto* fields = object.if_object();
    return fields == nullptr ? nullptr : fields->if_contains({name.data(), name.size()});
}

std::optional<std::string> text_member(const boost::json::value& object, std::string_view name) {
    const auto* value = member(object, name);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return std::string(value->get_string().data(), value->get_string().size());
}

std::optional<uint64_t> number_member(const boost::json::value& object, std::string_view name) {
    const auto* value = member(object, name);
    if (value == nullptr) return std::nullopt;
    if (const auto* number = value->if_int64(); number != nullptr && *number >= 0)
        return static_cast<uint64_t>(*number);
    if (const auto* number = value->if_uint64(); number != nullptr) return *number;
    return std::nullopt;
}

std::optional<Bytes> hex_member(const boost::json::value& object, std::string_view name) {
    const auto text = text_member(object, name);
    return text ? from_hex(*text) : std::nullopt;
}

std::optional<Uint256> quantity(const boost::json::value* value) {
    if (value == nullptr || !value->is_string()) return std::nullopt;
    const std::string_view text(value->get_string().data(), value->get_string().size());
    if (!text.starts_with("0x")) return std::nullopt;
    return parse_uint256(text);
}

std::optional<uint64_t> quantity64(const boost::json::value* value) {
    const auto number = quantity(value);
    if (!number || !number->fits_u64()) return std::nullopt;
    return number->low();
}

std::optional<Bytes> data(const boost::json::value* value) {
    if (value == nullptr || !value->is_string()) return std::nullopt;
    const std::string_view text(value->get_string().data(), value->get_string().size());
    return text.starts_with("0x") ? from_hex(text) : std::nullopt;
}

}  // namespace trainyard::node::wallet
