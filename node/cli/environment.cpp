// SPDX-License-Identifier: Apache-2.0
// Which variables have a meaning.
#include "node/cli/environment.hpp"

#include <algorithm>
#include <string_view>

#include <unistd.h>

#include "node/config/node_config.hpp"

namespace trainyard::node::cli {
namespace {

constexpr std::string_view kPrefix = "TRAINYARD_";
/// Of the build and of the tests, which start this program.
constexpr std::string_view kForeign[] = {
    "TRAINYARD_BENCH",    "TRAINYARD_CUDA",   "TRAINYARD_FUZZ",  "TRAINYARD_MPI",
    "TRAINYARD_SANITIZE", "TRAINYARD_SHARED", "TRAINYARD_TESTS", "TRAINYARD_VECTORS"};

std::vector<std::string> known_variables() {
    std::vector<std::string> out{"TRAINYARD_HOME"};
    for (const auto& setting : config::settings()) out.push_back(config::variable_of(setting));
    return out;
}

bool is_foreign(std::string_view name) {
    return name.starts_with("TRAINYARD_E2E") ||
           std::find(std::begin(kForeign), std::end(kForeign), name) != std::end(kForeign);
}

}  // namespace

std::vector<std::string> unknown_variables(const std::vector<std::string>& names) {
    const auto known = known_variables();
    std::vector<std::string> out;
    for (const auto& name : names)
        if (name.starts_with(kPrefix) && !is_foreign(name) &&
            std::find(known.begin(), known.end(), name) == known.end())
            out.push_back(name);
    return out;
}

std::string unknown_variable_text(const std::string& name) {
    const auto known = known_variables();
    const auto near = config::nearest_name(name, known.data(), known.size());
    return name + " is no variable of trainyard " +
           (near.empty() ? "(`trainyard node --help` lists them)"
                         : "(did you mean '" + near + "'?)");
}

std::vector<std::string> variable_names() {
    std::vector<std::string> out;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        out.emplace_back(text.substr(0, text.find('=')));
    }
    return out;
}

}  // namespace trainyard::node::cli
