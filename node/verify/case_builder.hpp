// SPDX-License-Identifier: Apache-2.0
// From a seat on the chain to a verdict: fetches the blobs, asks the verifier.
#pragma once

#include <string>

#include "node/verify/answer_book.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

struct CaseRequest {
    wallet::JobSpec spec;
    Hash run_seed;
    Seat seat;
    wallet::Segment segment;
    Address auditor;
    uint32_t tiles = 4;
    uint64_t blob_bytes_max = 4ull << 30;
    bool is_last_chance = false;  ///< an absent blob now means "not served"
};

struct Judgement {
    wallet::RevealedAnswer answer;  ///< without its salt
    std::string finding;
};

/// The error tells why no verdict is possible now; try again later.
[[nodiscard]] Result<Judgement, std::string> judge_case(wallet::MarketApi& market,
                                                        Verifier& verifier,
                                                        const CaseRequest& request);

}  // namespace trainyard::node::verify
