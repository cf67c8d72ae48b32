// SPDX-License-Identifier: Apache-2.0
// The text that Prometheus reads; format: prometheus.io/docs/instrumenting/exposition_formats.
#include "node/metrics/exposition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trainyard::node::metrics {
namespace {

using testing::HasSubstr;

TEST(metrics, are_written_with_help_type_and_labels) {
    Metrics metrics;
    metrics.counter("trainyard_blocks_total", "Blocks that became final.", 7);
    metrics.families.push_back({"trainyard_p2p_peers",
                                "Connected peers.",
                                Kind::gauge,
                                {{{{"direction", "inbound"}}, 2}, {{{"direction", "out\"x"}}, 1}}});
    const auto text = to_prometheus_text(metrics);
    EXPECT_THAT(text, HasSubstr("# HELP trainyard_blocks_total Blocks that became final.\n"
                                "# TYPE trainyard_blocks_total counter\n"
                                "trainyard_blocks_total 7\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE trainyard_p2p_peers gauge\n"
                                "trainyard_p2p_peers{direction=\"inbound\"} 2\n"
                                "trainyard_p2p_peers{direction=\"out\\\"x\"} 1\n"));
}

TEST(metrics, durations_count_in_every_bucket_they_fit) {
    Durations d;
    d.add(0.001);
    d.add(0.3);
    d.add(60);
    Metrics metrics;
    metrics.durations.push_back({"trainyard_fsync_seconds", "Time of an fsync.", d});
    const auto text = to_prometheus_text(metrics);
    EXPECT_THAT(text, HasSubstr("trainyard_fsync_seconds_bucket{le=\"0.0005\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("trainyard_fsync_seconds_bucket{le=\"0.001\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("trainyard_fsync_seconds_bucket{le=\"0.5\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("trainyard_fsync_seconds_bucket{le=\"+Inf\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("trainyard_fsync_seconds_count 3\n"));
}

}  // namespace
}  // namespace trainyard::node::metrics
