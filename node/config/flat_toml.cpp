// SPDX-License-Identifier: Apache-2.0
// Reads TOML; the only file that sees toml++.
#include "node/config/flat_toml.hpp"

#include <charconv>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace trainyard::node::config {
namespace {

constexpr size_t kTextMax = 1 << 20;

std::string place(std::string_view file, const toml::source_region& source) {
    return std::string(file) + ":" + std::to_string(source.begin.line);
}

std::string shortest(double value) {
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// Kind and text of a value; key and place are the caller's.
TomlValue scalar(const toml::node& node) {
    if (const auto* text = node.as_string()) return {"", "", TomlKind::text, text->get()};
    if (const auto* flag = node.as_boolean())
        return {"", "", TomlKind::flag, flag->get() ? "true" : "false"};
    if (const auto* number = node.as_integer())
        return {"", "", TomlKind::integer, std::to_string(number->get())};
    if (const auto* number = node.as_floating_point())
        return {"", "", TomlKind::fraction, shortest(number->get())};
    return {};
}

TomlValue value_of(const toml::node& node) {
    const auto* items = node.as_array();
    if (items == nullptr) return scalar(node);
    TomlValue out;
    out.kind = TomlKind::list;
    for (const auto& item : *items) {
        const auto one = scalar(item);
        if (one.kind == TomlKind::other || one.text.find(',') != std::string::npos) return {};
        out.text += (out.text.empty() ? "" : ",") + one.text;
    }
    return out;
}

void flatten(const toml::table& table, const std::string& prefix, std::string_view file,
             std::vector<TomlValue>& out) {
    for (const auto& [name, node] : table) {
        const std::string key = prefix + std::string(name.str());
        if (const auto* inner = node.as_table()) {
            flatten(*inner, key + ".", file, out);
            continue;
        }
        auto value = value_of(node);
        value.key = key;
        value.where = place(file, node.source());
        out.push_back(std::move(value));
    }
}

}  // namespace

Result<std::vector<TomlValue>, ConfigError> read_toml(std::string_view text,
                                                      std::string_view file) {
    if (text.size() > kTextMax)
        return unexpected(
            ConfigError{ConfigErrorCode::syntax, std::string(file), "more than 1 MiB", ""});
    const auto parsed = toml::parse(text, file);
    if (!parsed)
        return unexpected(ConfigError{ConfigErrorCode::syntax, place(file, parsed.error().source()),
                                      std::string(parsed.error().description()),
                                      "the format is described at toml.io"});
    std::vector<TomlValue> out;
    flatten(parsed.table(), "", file, out);
    return out;
}

std::string toml_quoted(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += {digits[byte >> 4], digits[byte & 15]};
            continue;
        }
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

}  // namespace trainyard::node::config
