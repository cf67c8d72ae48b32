// SPDX-License-Identifier: Apache-2.0
// One replay, or two that agree.
#include "node/verify/claim_check.hpp"

#include "node/wallet/market.hpp"

namespace trainyard::node::verify {
namespace {

/// The digests "unsound" and "withheld" say that there was nothing to replay.
bool was_replayed(const VerifyAnswer& answer) {
    return answer.answers.size() == 1 && answer.answers[0] != wallet::kUnsound &&
           answer.answers[0] != wallet::kWithheld;
}

}  // namespace

CheckedClaim check_claim(Verifier& verifier, const std::function<Verifier&()>& again,
                         const ReplayRequest& request) {
    const auto first = verifier.replay(request);
    if (!first) return {Finding::unjudged, first.error().text};
    if (first->matches) return {Finding::match, first->finding};
    if (!was_replayed(*first)) return {Finding::unjudged, first->finding};
    if (!again) return {Finding::mismatch, first->finding};
    const auto second = again().replay(request);
    if (!second)
        return {Finding::unjudged,
                first->finding + ", but the CPU cannot confirm it: " + second.error().text};
    if (second->matches || second->answers != first->answers)
        return {Finding::unjudged,
                "two replays on this machine differ, so that one of them is wrong: test it with "
                "`trainyard verifier`"};
    return {Finding::mismatch, second->finding};
}

}  // namespace trainyard::node::verify
