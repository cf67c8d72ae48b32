// SPDX-License-Identifier: Apache-2.0
// Lines of the self-test.
#include "node/cli/self_test_report.hpp"

#include <boost/json.hpp>

namespace trainyard::node::cli {

namespace json = boost::json;

void show_tested(const Output& out, const verify::BackendChoice& choice) {
    for (const auto& tested : choice.tested) {
        if (!out.json) {
            out.line(verify::to_text(tested));
            continue;
        }
        json::object line{{"event", "selfTest"},
                          {"backend", tested.name},
                          {"passed", tested.passed()},
                          {"operators", tested.operators},
                          {"ms", tested.ms}};
        if (!tested.passed()) line["failure"] = tested.failure;
        out.line(json::serialize(line));
    }
}

}  // namespace trainyard::node::cli
