// SPDX-License-Identifier: Apache-2.0
// The demo's two stories as steps that can be told and measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/cli/devnet.hpp"
#include "node/cli/jobs.hpp"

namespace trainyard::node::cli {

/// What happened to a job, gathered from the market's events.
struct JobStory {
    PostedJob posted;
    wallet::Job job;
    std::vector<wallet::MarketEvent> events;
    Uint256 paid_wei, burned_wei, audit_fees_wei, refund_wei, slashed_wei;
};
[[nodiscard]] Result<JobStory, std::string> gather_story(wallet::MarketApi& market,
                                                         wallet::EthClient& client,
                                                         const PostedJob& posted);
/// The last event of that name, or nullptr.
[[nodiscard]] const wallet::MarketEvent* find_event(const JobStory& story, std::string_view name);
/// receipt.json: every transaction, amount and root of the job.
[[nodiscard]] std::string receipt_json(const JobStory& story, uint64_t chain_id,
                                       const std::vector<wallet::Segment>& segments);

/// Reads new JSON lines of a provider's log as they come.
class LogTail {
public:
    explicit LogTail(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] std::vector<std::string> read_new();

private:
    std::string path_;
    uint64_t at_ = 0;
    std::string rest_;
};

}  // namespace trainyard::node::cli
