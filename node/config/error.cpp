// SPDX-License-Identifier: Apache-2.0
// The text of a configuration error, and the nearest name to a mistyped one.
#include "node/config/error.hpp"

#include <algorithm>
#include <vector>

namespace trainyard::node::config {
namespace {

/// Levenshtein's distance.
size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string ConfigError::text() const {
    std::string out = where.empty() ? what : where + ": " + what;
    if (!hint.empty()) out += " (" + hint + ")";
    return out;
}

std::string nearest_name(const std::string& word, const std::string* known, size_t count) {
    std::string best;
    size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
    for (size_t i = 0; i < count; ++i) {
        const size_t distance = edit_distance(word.substr(0, 100), known[i]);
        if (distance >= best_distance) continue;
        best_distance = distance;
        best = known[i];
    }
    return best;
}

}  // namespace trainyard::node::config
