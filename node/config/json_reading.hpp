// SPDX-License-Identifier: Apache-2.0
// Reading genesis files: every getter gives a value, and the first thing that is wrong is kept.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"
#include "node/config/error.hpp"

namespace trainyard::node::config {

namespace json = boost::json;

inline constexpr size_t kGenesisTextMax = 64u << 20;

/// The object that a genesis file is; `hint` says what such a file has.
[[nodiscard]] inline Result<json::object, ConfigError> read_genesis_object(
    std::string_view text, const std::string& hint) {
    const auto syntax = [&hint](std::string what) {
        return unexpected(ConfigError{ConfigErrorCode::syntax, "genesis", std::move(what), hint});
    };
    if (text.size() > kGenesisTextMax) return syntax("more than 64 MiB");
    boost::system::error_code failed;
    auto root = json::parse({text.data(), text.size()}, failed);
    if (failed) return syntax("not JSON: " + failed.message());
    if (!root.is_object()) return syntax("not a JSON object");
    return std::move(root.get_object());
}

/// Walks one JSON value and remembers the first thing that is wrong with it.
class Reading {
public:
    std::optional<ConfigError> error;

    void fail(ConfigErrorCode code, const std::string& where, std::string what,
              std::string hint = "") {
        if (!error) error = ConfigError{code, "genesis." + where, std::move(what), std::move(hint)};
    }

    const json::object* object(const json::value* v, const std::string& where) {
        if (v != nullptr && v->is_object()) return &v->get_object();
        fail(v == nullptr ? ConfigErrorCode::missing : ConfigErrorCode::bad_value, where,
             "must be an object");
        return nullptr;
    }

    void only(const json::object& o, const std::string& where,
              const std::vector<std::string>& known) {
        for (const auto& [key, value] : o) {
            const std::string name(key);
            if (std::find(known.begin(), known.end(), name) != known.end()) continue;
            const auto near = nearest_name(name, known.data(), known.size());
            fail(ConfigErrorCode::unknown_key, where + name, "unknown key",
                 near.empty() ? "remove it" : "did you mean '" + near + "'?");
        }
    }

    std::string text(const json::object& o, const char* key, const std::string& where) {
        const auto* v = o.if_contains(key);
        if (v != nullptr && v->is_string()) return std::string(v->get_string());
        fail(v == nullptr ? ConfigErrorCode::missing : ConfigErrorCode::bad_value, where + key,
             "must be a string");
        return {};
    }

    Uint256 amount(const json::value* v, const std::string& where) {
        std::optional<Uint256> out;
        if (v != nullptr && v->is_string()) out = parse_uint256(std::string_view(v->get_string()));
        if (v != nullptr && v->is_int64() && v->get_int64() >= 0)
            out = Uint256(static_cast<uint64_t>(v->get_int64()));
        if (v != nullptr && v->is_uint64()) out = Uint256(v->get_uint64());
        if (!out)
            fail(v == nullptr ? ConfigErrorCode::missing : ConfigErrorCode::bad_value, where,
                 "must be a number, decimal or 0x-prefixed in a string");
        return out.value_or(Uint256{});
    }

    uint64_t number(const json::object& o, const char* key, const std::string& where) {
        const auto value = amount(o.if_contains(key), where + key);
        if (!value.fits_u64()) fail(ConfigErrorCode::bad_value, where + key, "is too large");
        return value.low();
    }

    Bytes data(std::string_view hex, const std::string& where) {
        auto out = hex.starts_with("0x") ? from_hex(hex) : std::nullopt;
        if (!out) fail(ConfigErrorCode::bad_value, where, "must be 0x and hexadecimal bytes");
        return out.value_or(Bytes{});
    }

    template <class T>
    T fixed(std::string_view hex, const std::string& where) {
        const auto out = fixed_from_hex<T>(hex);
        if (!out)
            fail(ConfigErrorCode::bad_value, where,
                 "must be " + std::to_string(T::size()) + " bytes in hexadecimal");
        return out.value_or(T{});
    }
    template <class T>
    T fixed_of(const json::object& o, const char* key, const std::string& where) {
        return fixed<T>(text(o, key, where), where + key);
    }
};

}  // namespace trainyard::node::config
