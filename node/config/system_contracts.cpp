// SPDX-License-Identifier: Apache-2.0
// Calls of the contracts' getters on the state of block 0.
#include "node/config/system_contracts.hpp"

#include <optional>

#include "consensus/params.hpp"
#include "consensus/transition/simulate.hpp"
#include "core/hash.hpp"

namespace trainyard::node::config {
namespace {

constexpr uint64_t kGasMax = 1'000'000;

struct Agreement {
    const char* contract;
    Address address;
    const char* getter;
    const char* setting;
    uint64_t Genesis::*value;
    const char* options;  ///< of `genesis build` and `devnet`
};
constexpr Agreement kAgreements[] = {
    {"Beacon", consensus::address::kBeacon, "epochLength()", "miniEpochLength",
     &Genesis::mini_epoch_length, "--set miniEpochLength=N --set Beacon.epochLength=N"},
    {"Beacon", consensus::address::kBeacon, "cutoff()", "cutoff", &Genesis::cutoff,
     "--set cutoff=N --set Beacon.cutoff=N"},
    {"Staking", consensus::address::kStaking, "epochLength()", "epochLength",
     &Genesis::epoch_length, "--set epochLength=N"},
};

std::optional<Uint256> ask(const state::StateView& view, const Genesis& genesis,
                           const Agreement& question) {
    consensus::ChainConfig chain;
    chain.chain_id = genesis.chain_id;
    consensus::BlockEnv env;
    env.timestamp = genesis.timestamp;
    env.gas_limit = kGasMax;
    const consensus::ExecutionContext context{chain, env, {}};
    const Hash selector = keccak256(as_bytes(question.getter));
    consensus::CallRequest request;
    request.to = question.address;
    request.data.assign(selector.begin(), selector.begin() + 4);
    const auto outcome = consensus::simulate_call(view, context, request);
    const bool answered = outcome && outcome->status == vm::Status::success;
    if (!answered || outcome->output.size() != Hash::size()) return std::nullopt;
    return from_be(outcome->output);
}

}  // namespace

Result<Done, ConfigError> check_system_contracts(const Genesis& genesis) {
    const EmptyView nothing;
    const auto diff = genesis_state(genesis);
    const state::OverlayView view(nothing, diff);
    for (const Agreement& each : kAgreements) {
        const auto found = ask(view, genesis, each);
        const std::string where = std::string("alloc.") + each.contract;
        if (!found)
            return unexpected(
                ConfigError{ConfigErrorCode::missing, where,
                            "there is no such contract at " + to_hex0x(each.address.bytes),
                            "`trainyard genesis build` makes genesis files"});
        if (*found == Uint256(genesis.*each.value)) continue;
        return unexpected(
            ConfigError{ConfigErrorCode::mismatch, where,
                        std::string(each.getter) + " is " + to_decimal(*found) + ", but " +
                            each.setting + " is " + std::to_string(genesis.*each.value),
                        std::string("build it anew with one number for both: ") + each.options});
    }
    return Done{};
}

}  // namespace trainyard::node::config
