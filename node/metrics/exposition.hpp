// SPDX-License-Identifier: Apache-2.0
// Metrics as values, and their text for Prometheus.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "node/metrics/histogram.hpp"

namespace trainyard::node::metrics {

enum class Kind : uint8_t { counter, gauge };

/// One measured thing, perhaps split by labels. Names: trainyard_<subsystem>_<what>_<unit>, base
/// units, counters end in _total. Source: prometheus.io/docs/practices/naming.
struct Family {
    using Labels = std::vector<std::pair<std::string, std::string>>;
    struct Sample {
        Labels labels;
        double value = 0;
    };
    std::string name, help;
    Kind kind = Kind::gauge;
    std::vector<Sample> samples;
};
struct DurationFamily {
    std::string name, help;
    Durations durations;
};

struct Metrics {
    std::vector<Family> families;
    std::vector<DurationFamily> durations;

    void counter(std::string name, std::string help, double value);
    void gauge(std::string name, std::string help, double value);
};

/// Prometheus' text format, version 0.0.4.
[[nodiscard]] std::string to_prometheus_text(const Metrics& metrics);

}  // namespace trainyard::node::metrics
