// SPDX-License-Identifier: Apache-2.0
// From a seat on the chain to a verdict: fetches the blobs, asks the verifier.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/verify/answer_book.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

/// A blob that this machine holds, without a copy; nothing where it does not, where it has more
/// bytes or is damaged: the node is asked for it then. May be called by several threads.
using MapBlob = std::function<std::optional<Content>(const Hash& id, uint64_t bytes_max)>;

struct CaseRequest {
    wallet::JobSpec spec;
    Hash run_seed;
    Seat seat;
    wallet::Segment segment;
    Address auditor;
    training::AuditLimits limits = {};
    uint64_t blob_bytes_max = 4ull << 30;
    uint64_t give_up_at = UINT64_MAX;  ///< block; from it on "not to be had" is the answer
    MapBlob map_blob = {};
    bool trusts_node = true;  ///< to give the blobs that were asked for; else they are hashed
    bool waits = true;        ///< for blobs that its node has to look for; else tried again later
};

struct Judgement {
    wallet::RevealedAnswer answer;  ///< without its salt
    std::string finding;
    Content unserved = {};  ///< the state at the end of a replay, where nobody has it
};

/// Why no verdict is possible now; try again later.
struct NotJudged {
    std::string text;
    bool was_tried = false;  ///< by the verifier, which took its time
};
using CaseResult = Result<Judgement, NotJudged>;
/// Called once for each request, by its number, as soon as it is judged.
using OnJudged = std::function<void(size_t at, CaseResult result)>;

struct ReplayGap {
    std::string text;  ///< what is missing or not sound, and why
    bool node_is_away = false;
};
/// What replaying a segment takes, without a wish for its last state and without an end of
/// patience. What no auditor could check is refused before its data set is fetched.
[[nodiscard]] Result<ReplayRequest, ReplayGap> gather_replay(wallet::MarketApi& market,
                                                             const CaseRequest& request);

/// Milliseconds in which an answer, or a move of a dispute, is of use. Error: its time is over.
[[nodiscard]] Result<uint64_t, std::string> patience_ms(wallet::MarketApi& market,
                                                        const CaseRequest& request);

/// Audits of one job travel to the verifier together, at most kAuditsMax at once.
void judge_cases(wallet::MarketApi& market, Verifier& verifier,
                 const std::vector<CaseRequest>& requests, const OnJudged& on_judged);

}  // namespace trainyard::node::verify
