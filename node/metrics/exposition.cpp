// SPDX-License-Identifier: Apache-2.0
// The values in prometheus-cpp's types, which writes the text.
#include "node/metrics/exposition.hpp"

#include <limits>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace trainyard::node::metrics {
namespace {

prometheus::MetricFamily to_prometheus(const Family& family) {
    const bool counts = family.kind == Kind::counter;
    prometheus::MetricFamily out{
        family.name,
        family.help,
        counts ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge,
        {}};
    for (const auto& sample : family.samples) {
        prometheus::ClientMetric metric;
        for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
        (counts ? metric.counter.value : metric.gauge.value) = sample.value;
        out.metric.push_back(std::move(metric));
    }
    return out;
}

prometheus::MetricFamily to_prometheus(const DurationFamily& family) {
    const Durations& d = family.durations;
    prometheus::ClientMetric metric;
    metric.histogram.sample_count = d.count();
    metric.histogram.sample_sum = d.sum_s();
    for (size_t i = 0; i < Durations::kBounds_s.size(); ++i)
        metric.histogram.bucket.push_back({d.within(i), Durations::kBounds_s[i]});
    metric.histogram.bucket.push_back({d.count(), std::numeric_limits<double>::infinity()});
    return {family.name, family.help, prometheus::MetricType::Histogram, {std::move(metric)}};
}

}  // namespace

void Metrics::counter(std::string name, std::string help, double value) {
    families.push_back({std::move(name), std::move(help), Kind::counter, {{{}, value}}});
}

void Metrics::gauge(std::string name, std::string help, double value) {
    families.push_back({std::move(name), std::move(help), Kind::gauge, {{{}, value}}});
}

std::string to_prometheus_text(const Metrics& metrics) {
    std::vector<prometheus::MetricFamily> families;
    for (const auto& family : metrics.families) families.push_back(to_prometheus(family));
    for (const auto& family : metrics.durations) families.push_back(to_prometheus(family));
    return prometheus::TextSerializer().Serialize(families);
}

}  // namespace trainyard::node::metrics
