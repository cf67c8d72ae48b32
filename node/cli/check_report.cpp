// SPDX-License-Identifier: Apache-2.0
// Lines for people and for programs.
#include "node/cli/check_report.hpp"

#include <iomanip>
#include <sstream>

#include <boost/json.hpp>

namespace trainyard::node::cli {

namespace json = boost::json;

void CheckReport::show(const CheckLine& line) {
    all_passed_ = all_passed_ && line.passed;
    if (out_.json) {
        json::object o{{"check", line.name},
                       {"passed", line.passed},
                       {"actual", line.actual},
                       {"required", line.required}};
        if (!line.advice.empty()) o["advice"] = line.advice;
        for (const auto& value : line.values) o[value.key()] = value.value();
        return out_.line(json::serialize(o));
    }
    std::ostringstream text;
    text << (line.passed ? green("ok  ") : red("FAIL")) << ' ' << std::left << std::setw(11)
         << line.name << ' ' << line.actual << "  (required: " << line.required << ')';
    if (!line.advice.empty()) text << "\n     -> " << line.advice;
    out_.line(text.str());
}

CheckLine self_test_line(const verify::BackendChoice& choice, const std::string& at_stake) {
    CheckLine line{"self-test", "no back end", "every operator bit-equal"};
    if (!choice.tested.empty()) line.actual = verify::to_text(choice.tested.back());
    line.passed = choice.backend != nullptr && choice.tested.size() == 1;
    for (const auto& tested : choice.tested)
        if (!tested.passed()) line.advice += verify::to_text(tested) + "; ";
    if (!line.passed)
        line.advice +=
            "the hardware computes wrongly (overclocking, memory), or the build is broken; " +
            at_stake;
    return line;
}

std::string number_text(double x, int digits) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << x;
    return out.str();
}

std::string size_text(uint64_t bytes) {
    if (bytes < uint64_t{1} << 30) return std::to_string(bytes >> 20) + " MiB";
    return number_text(static_cast<double>(bytes) / (1 << 30), 1) + " GiB";
}

}  // namespace trainyard::node::cli
