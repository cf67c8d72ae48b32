// SPDX-License-Identifier: Apache-2.0
// Gathering what happened to a job, and its receipt.
#include <bit>
#include <fstream>

#include <boost/json.hpp>

#include "node/cli/demo.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

/// Word `index` of an event's data.
Uint256 word_of(const wallet::MarketEvent& event, size_t index) {
    if (event.data.size() < 32 * (index + 1)) return {};
    return from_be(BytesView(event.data).subspan(32 * index, 32));
}

}  // namespace

Result<JobStory, std::string> gather_story(wallet::MarketApi& market, wallet::EthClient& client,
                                           const PostedJob& posted) {
    JobStory out;
    out.posted = posted;
    const auto job = market.job(posted.id);
    if (!job) return unexpected(job.error().text);
    out.job = *job;
    const auto head = client.block_number();
    if (!head) return unexpected(head.error().text);
    auto events = wallet::events_of_job(client, posted.id, posted.receipt.block, *head);
    if (!events) return unexpected(events.error().text);
    out.events = std::move(*events);
    for (const auto& event : out.events) {
        if (event.name == "SegmentFinal") {
            out.paid_wei += word_of(event, 0);
            out.burned_wei += word_of(event, 1);
        } else if (event.name == "SegmentVoid") {
            out.slashed_wei += word_of(event, 0);
        } else if (event.name == "JobClosed") {
            out.refund_wei += word_of(event, 1);
        }
    }
    const Uint256 spent = posted.escrow_wei - out.refund_wei;
    if (out.job.state == wallet::JobState::closed)
        out.audit_fees_wei = spent - out.paid_wei - out.burned_wei;
    return out;
}

const wallet::MarketEvent* find_event(const JobStory& story, std::string_view name) {
    for (auto it = story.events.rbegin(); it != story.events.rend(); ++it)
        if (it->name == name) return &*it;
    return nullptr;
}

std::string receipt_json(const JobStory& story, uint64_t chain_id,
                         const std::vector<wallet::Segment>& segments) {
    json::array list, events;
    for (size_t i = 0; i < segments.size(); ++i)
        list.push_back(json::object{{"segment", i},
                                    {"state", std::string(wallet::to_text(segments[i].state))},
                                    {"provider", to_hex0x(segments[i].provider.bytes)},
                                    {"root", to_hex0x(segments[i].root.bytes)},
                                    {"firstState", to_hex0x(segments[i].first.bytes)},
                                    {"lastState", to_hex0x(segments[i].last.bytes)},
                                    {"stepsRoot", to_hex0x(segments[i].steps_root.bytes)},
                                    {"loss", std::bit_cast<float>(segments[i].loss_bits)}});
    for (const auto& event : story.events) {
        json::object o{
            {"event", event.name}, {"block", event.block}, {"tx", to_hex0x(event.tx.bytes)}};
        if (event.seg) o["segment"] = *event.seg;
        if (event.who) o["account"] = to_hex0x(event.who->bytes);
        events.push_back(std::move(o));
    }
    const auto& spec = story.posted.spec;
    const json::object root{
        {"chainId", chain_id},
        {"market", to_hex0x(wallet::kMarket.bytes)},
        {"job", story.posted.id},
        {"outcome", std::string(wallet::to_text(story.job.outcome))},
        {"client", to_hex0x(story.job.client.bytes)},
        {"programId", to_hex0x(spec.program_id.bytes)},
        {"program", to_hex0x(spec.program.bytes)},
        {"data", to_hex0x(spec.data.bytes)},
        {"licence", spec.licence},
        {"money",
         {{"escrowWei", to_decimal(story.posted.escrow_wei)},
          {"providerWei", to_decimal(story.paid_wei)},
          {"burnedWei", to_decimal(story.burned_wei)},
          {"auditorsWei", to_decimal(story.audit_fees_wei)},
          {"refundWei", to_decimal(story.refund_wei)}}},
        {"modelToken", story.job.model_token.is_zero()
                           ? json::value(nullptr)
                           : json::value(to_decimal(story.job.model_token - Uint256(1)))},
        {"segments", std::move(list)},
        {"events", std::move(events)}};
    return json::serialize(root) + "\n";
}

std::vector<std::string> LogTail::read_new() {
    std::vector<std::string> lines;
    std::ifstream in(path_, std::ios::binary);
    if (!in.seekg(static_cast<std::streamoff>(at_))) return lines;
    std::string fresh((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    at_ += fresh.size();
    rest_ += fresh;
    for (size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
        lines.push_back(rest_.substr(0, end));
        rest_.erase(0, end + 1);
    }
    return lines;
}

}  // namespace trainyard::node::cli
