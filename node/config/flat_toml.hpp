// SPDX-License-Identifier: Apache-2.0
// A TOML text as a flat list of values, and words as TOML spells them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "node/config/error.hpp"

namespace trainyard::node::config {

enum class TomlKind {
    text,
    flag,      ///< "true" or "false"
    integer,   ///< in decimal
    fraction,  ///< the shortest text that reads back to the same double
    list,      ///< scalars without a comma, joined by commas
    other,     ///< dates, and lists of anything else: no text
};

struct TomlValue {
    std::string key;    ///< "http.port": tables and names, joined by dots
    std::string where;  ///< "node.toml:3"
    TomlKind kind = TomlKind::other;
    std::string text;
};

/// All values of a text of at most 1 MiB, sorted by key within each table. Errors: syntax, at
/// `file` and line.
[[nodiscard]] Result<std::vector<TomlValue>, ConfigError> read_toml(std::string_view text,
                                                                    std::string_view file);
/// A basic string of TOML.
[[nodiscard]] std::string toml_quoted(std::string_view text);

}  // namespace trainyard::node::config
