// SPDX-License-Identifier: Apache-2.0
// Checks of a machine before it starts work: what was found, what is needed, and what to do.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "node/cli/output.hpp"
#include "node/verify/backend_choice.hpp"

namespace trainyard::node::cli {

struct CheckLine {
    std::string name, actual, required;
    bool passed = true;
    std::string advice = {};  ///< what to do; empty if nothing
    boost::json::object values = {};
};

class CheckReport {
public:
    explicit CheckReport(const Output& out) : out_(out) {}
    void show(const CheckLine& line);
    [[nodiscard]] int exit_code() const { return all_passed_ ? kOk : kFailed; }

private:
    const Output& out_;
    bool all_passed_ = true;
};

/// `at_stake`: what wrong bits would cost.
[[nodiscard]] CheckLine self_test_line(const verify::BackendChoice& choice,
                                       const std::string& at_stake);
[[nodiscard]] std::string number_text(double x, int digits);
[[nodiscard]] std::string size_text(uint64_t bytes);  ///< in MiB or GiB

}  // namespace trainyard::node::cli
