// SPDX-License-Identifier: Apache-2.0
// A client's steps with a job: publish, fund, watch, fetch the model, settle.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/cli/commands.hpp"
#include "node/cli/job_cost.hpp"
#include "node/cli/model_folder.hpp"
#include "node/verify/case_builder.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::cli {

inline constexpr uint64_t kJobDataBytesMax = 4ull << 30;

struct JobOffer {
    training::Program program;
    Bytes data;
    Uint256 price_wei, audit_fee_wei;
    Address provider;  ///< zero: any
    std::string licence;
    Hash client_seed;
    uint64_t segment_blocks = 480;
    uint64_t deadline_s = 0;
};

/// A job that the market would take now.
struct JobQuote {
    wallet::JobSpec spec;
    Bytes program;  ///< encoded
    JobCost cost;
};

struct PostedJob {
    uint64_t id = 0;
    wallet::JobSpec spec;
    Uint256 escrow_wei;
    wallet::TxReceipt receipt;
};
/// Why no market takes a job with this program, or nothing.
[[nodiscard]] std::string beyond_market(const training::Program& program);
/// What the job costs, or why it would be refused; nothing is published or paid.
[[nodiscard]] Result<JobQuote, std::string> quote_job(wallet::MarketApi& market,
                                                      const JobOffer& offer);
/// Puts both blobs and posts the job with exactly the escrow it needs.
[[nodiscard]] Result<PostedJob, std::string> post_job(wallet::MarketApi& market,
                                                      const JobQuote& quote, BytesView data);

/// Program and data of a job from the blob store, checked against the spec.
struct JobMaterial {
    training::Program program;
    Bytes encoded_program, data;
};
[[nodiscard]] Result<JobMaterial, std::string> fetch_job(wallet::MarketApi& market,
                                                         const wallet::JobSpec& spec);

/// The state after segment `seg`, whose root is checked against the chain.
[[nodiscard]] Result<training::ModelState, std::string> fetch_state(
    wallet::MarketApi& market, const training::Program& program, const wallet::Segment& segment);

/// Loss of the last step of each committed segment, from the chain.
[[nodiscard]] Result<std::vector<training::LossPoint>, std::string> chain_losses(
    wallet::MarketApi& market, uint64_t id, const wallet::JobSpec& spec, const wallet::Job& job);

/// What is asked about a segment, of a node that need not be trusted with blobs.
[[nodiscard]] Result<verify::CaseRequest, verify::ReplayGap> case_of(
    wallet::MarketApi& market, uint64_t id, uint32_t seg, const wallet::Segment& segment);
/// Everything that replaying it takes, from chain and blobs.
[[nodiscard]] Result<verify::ReplayRequest, verify::ReplayGap> gather_replay(
    wallet::MarketApi& market, uint64_t id, uint32_t seg, const wallet::Segment& segment);

/// A read-only view needs no key of anyone; transactions from it would fail.
[[nodiscard]] Result<std::unique_ptr<wallet::MarketApi>, std::string> open_reader(
    const std::string& rpc);
[[nodiscard]] Result<std::unique_ptr<wallet::MarketApi>, std::string> open_account(
    const std::string& rpc, const KeyChoice& key, wallet::SenderOptions sending = {});

/// Fetches the model of a job, whole or up to its last final segment, into a folder.
struct Download {
    std::optional<float> held_out_loss;
    float train_loss = 0;
    Hash state_root;
    std::vector<training::LossPoint> losses;
};
[[nodiscard]] Result<Download, std::string> download_model(wallet::MarketApi& market,
                                                           wallet::EthClient& client, uint64_t id,
                                                           const std::string& folder,
                                                           uint32_t threads);

}  // namespace trainyard::node::cli
