// SPDX-License-Identifier: Apache-2.0
// `trainyard status`: one node on one screen, and an exit code for scripts.
#include "node/cli/commands.hpp"
#include "node/cli/health.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::cli {
namespace {

std::optional<wallet::Candidate> stake_of(wallet::EthClient& client, const Address& who) {
    wallet::CallSpec call;
    call.to = wallet::kStaking;
    call.data = wallet::candidate_call(who);
    const auto answer = client.call(call);
    return answer ? wallet::candidate_from(who, *answer) : std::nullopt;
}

}  // namespace

int run_status(const Output& out, const StatusArgs& args) {
    auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    const auto status = (*client)->raw("yard_status", "[]");
    if (!status) return out.fail(status.error().text);
    const auto syncing = (*client)->raw("eth_syncing", "[]");
    if (!syncing) return out.fail(syncing.error().text);
    auto facts = facts_from(*status, *syncing);
    if (!facts) return out.fail(args.rpc + " is not a node of Trainyard");
    if (facts->operator_address) facts->stake = stake_of(**client, *facts->operator_address);
    const uint64_t now_s = unix_seconds();
    const auto findings = judge(*facts, now_s);
    out.line(out.json ? json_of(*facts, findings) : screen_of(*facts, findings, now_s));
    return findings.empty() ? kOk : static_cast<int>(findings.front().trouble);
}

}  // namespace trainyard::node::cli
