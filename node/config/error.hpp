// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a settings or genesis file: where it is, what is wrong, what to do.
#pragma once

#include <string>

namespace trainyard::node::config {

enum class ConfigErrorCode {
    syntax,       ///< not TOML or not JSON
    unknown_key,  ///< a key that nothing reads; the nearest known one is named
    bad_value,    ///< wrong type, out of range, or not parsable
    missing,      ///< a required key is absent
    mismatch,     ///< two parts contradict each other (a hash, a count)
    execution,    ///< a constructor of a system contract failed
};

struct ConfigError {
    ConfigErrorCode code = ConfigErrorCode::syntax;
    std::string where;  ///< file and line, key path, flag or variable
    std::string what;
    std::string hint;  ///< what to do, or empty

    /// "where: what (hint)".
    [[nodiscard]] std::string text() const;
};

/// The entry of `known` with the smallest edit distance to `word`, or empty when none is near.
[[nodiscard]] std::string nearest_name(const std::string& word, const std::string* known,
                                       size_t count);

}  // namespace trainyard::node::config
