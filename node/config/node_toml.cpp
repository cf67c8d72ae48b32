// SPDX-License-Identifier: Apache-2.0
// The settings of a node as TOML, in and out.
#include "node/config/flat_toml.hpp"
#include "node/config/node_config.hpp"

namespace trainyard::node::config {
namespace {

bool has_kind(const Setting& setting, TomlKind kind) {
    if (setting.is_list) return kind == TomlKind::list;
    if (setting.is_flag) return kind == TomlKind::flag;
    return kind == TomlKind::text || kind == TomlKind::integer;
}

Result<Done, ConfigError> apply_value(NodeConfig& config, const TomlValue& value) {
    for (const auto& setting : settings())
        if (setting.key == value.key && !has_kind(setting, value.kind))
            return unexpected(ConfigError{ConfigErrorCode::bad_value, value.where,
                                          "'" + value.key + "' has a value of the wrong type",
                                          setting.help});
    return apply_setting(config, value.key, value.text, value.where);
}

std::string toml_value(const Setting& setting, const std::string& text) {
    if (setting.is_flag) return text;
    if (setting.is_list) {
        std::string out = "[";
        for (size_t at = 0; at < text.size();) {
            const auto comma = std::min(text.find(',', at), text.size());
            out += (at == 0 ? "" : ", ") + toml_quoted(text.substr(at, comma - at));
            at = comma + 1;
        }
        return out + "]";
    }
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return digits ? text : toml_quoted(text);
}

}  // namespace

Result<Done, ConfigError> apply_toml(NodeConfig& config, std::string_view text,
                                     std::string_view file) {
    const auto values = read_toml(text, file);
    if (!values) return unexpected(values.error());
    NodeConfig changed = config;
    for (const auto& value : *values)
        if (auto done = apply_value(changed, value); !done) return done;
    config = std::move(changed);
    return Done{};
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
