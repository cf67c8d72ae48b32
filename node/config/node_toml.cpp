// SPDX-License-Identifier: Apache-2.0
// TOML in and out; the only file that sees toml++.
#include "node/config/node_config.hpp"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace trainyard::node::config {
namespace {

constexpr size_t kTextMax = 1 << 20;

std::string place(std::string_view file, const toml::source_region& source) {
    return std::string(file) + ":" + std::to_string(source.begin.line);
}

/// The text of a scalar as apply_setting reads it; nullopt for dates, fractions and tables.
std::optional<std::string> scalar_text(const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    return std::nullopt;
}

std::optional<std::string> value_text(const toml::node& node) {
    const auto* items = node.as_array();
    if (items == nullptr) return scalar_text(node);
    std::string out;
    for (const auto& item : *items) {
        const auto text = scalar_text(item);
        if (!text || text->find(',') != std::string::npos) return std::nullopt;
        out += (out.empty() ? "" : ",") + *text;
    }
    return out;
}

bool has_kind(const Setting& setting, const toml::node& node) {
    if (setting.is_list) return node.is_array();
    if (setting.is_flag) return node.is_boolean();
    return !node.is_array() && !node.is_boolean();
}

Result<Done, ConfigError> apply_table(NodeConfig& config, const toml::table& table,
                                      const std::string& prefix, std::string_view file) {
    for (const auto& [name, node] : table) {
        const std::string key = prefix + std::string(name.str());
        const std::string where = place(file, node.source());
        if (const auto* inner = node.as_table()) {
            auto done = apply_table(config, *inner, key + ".", file);
            if (!done) return done;
            continue;
        }
        const auto text = value_text(node);
        for (const auto& setting : settings())
            if (setting.key == key && (!text || !has_kind(setting, node)))
                return unexpected(ConfigError{ConfigErrorCode::bad_value, where,
                                              "'" + key + "' has a value of the wrong type",
                                              setting.help});
        auto done = apply_setting(config, key, text.value_or(""), where);
        if (!done) return done;
    }
    return Done{};
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string toml_value(const Setting& setting, const std::string& text) {
    if (setting.is_flag) return text;
    if (setting.is_list) {
        std::string out = "[";
        for (size_t at = 0; at < text.size();) {
            const auto comma = std::min(text.find(',', at), text.size());
            out += (at == 0 ? "" : ", ") + quoted(text.substr(at, comma - at));
            at = comma + 1;
        }
        return out + "]";
    }
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return digits ? text : quoted(text);
}

}  // namespace

Result<Done, ConfigError> apply_toml(NodeConfig& config, std::string_view text,
                                     std::string_view file) {
    if (text.size() > kTextMax)
        return unexpected(
            ConfigError{ConfigErrorCode::syntax, std::string(file), "more than 1 MiB", ""});
    const auto parsed = toml::parse(text, file);
    if (!parsed)
        return unexpected(ConfigError{ConfigErrorCode::syntax, place(file, parsed.error().source()),
                                      std::string(parsed.error().description()),
                                      "the format is described at toml.io"});
    NodeConfig changed = config;
    auto done = apply_table(changed, parsed.table(), "", file);
    if (done) config = std::move(changed);
    return done;
}

std::string write_toml(const NodeConfig& config) {
    std::string out, section;
    for (const auto& setting : settings()) {
        const auto dot = setting.key.find('.');
        const std::string group = dot == std::string::npos ? "" : setting.key.substr(0, dot);
        if (group != section) {
            out += "\n[" + group + "]\n";
            section = group;
        }
        const auto name = dot == std::string::npos ? setting.key : setting.key.substr(dot + 1);
        out += "# " + setting.help + "\n" + name + " = " +
               toml_value(setting, setting.get(config)) + "\n";
    }
    return out;
}

}  // namespace trainyard::node::config
