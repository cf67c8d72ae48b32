// SPDX-License-Identifier: Apache-2.0
// The table of our own precompiles.
#include "consensus/transition/own_precompiles.hpp"

#include <optional>

#include "consensus/bft/evidence.hpp"
#include "consensus/transition/referee_call.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus {
namespace {

struct OwnCall {
    BytesView input;
    const ChainConfig& config;
    Caller caller = Caller::anyone;
};

/// Takes its price off `gas`; nothing if that is too little.
using Run = std::optional<Bytes> (*)(const OwnCall& call, int64_t& gas);

/// two votes 232 | compressed consensus key 33 -> a word: 0 no offence, 1 two NOTARIZE, 2 two
/// FINALIZE, 3 NULLIFY and FINALIZE. Input of any other form proves nothing either.
std::optional<Bytes> run_double_vote(const OwnCall& call, int64_t& gas) {
    if (gas < kDoubleVoteGas) return std::nullopt;
    gas -= kDoubleVoteGas;
    const BytesView input = call.input;
    Bytes word(32, 0);
    if (input.size() != bft::kEvidenceBytes + PublicKey::size()) return word;
    const auto key = *fixed_from<PublicKey>(input.subspan(bft::kEvidenceBytes));
    const auto offence = bft::judge_evidence(input.first(bft::kEvidenceBytes), key,
                                             {call.config.chain_id, call.config.genesis_hash});
    if (offence) word[31] = static_cast<uint8_t>(1 + static_cast<int>(*offence));
    return word;
}

std::optional<Bytes> run_referee_for_market(const OwnCall& call, int64_t& gas) {
    const bool is_markets = call.caller == Caller::market;
    return run_referee(is_markets ? call.input : BytesView{}, gas);
}

struct OwnPrecompile {
    Address address;
    std::string_view name;
    Run run;
};

constexpr OwnPrecompile kOwnPrecompiles[] = {
    {kRefereeAddress, "REFEREE", run_referee_for_market},
    {kDoubleVoteAddress, "DOUBLE_VOTE", run_double_vote},
};

const OwnPrecompile* find(const Address& address, const ChainConfig& config) {
    if (!config.staking_contract) return nullptr;
    for (const auto& row : kOwnPrecompiles)
        if (row.address == address) return &row;
    return nullptr;
}

}  // namespace

bool is_own_precompile(const Address& address, const ChainConfig& config) {
    return find(address, config) != nullptr;
}

std::vector<Address> own_precompiles(const ChainConfig& config) {
    std::vector<Address> out;
    for (const auto& row : kOwnPrecompiles)
        if (config.staking_contract) out.push_back(row.address);
    return out;
}

std::string_view own_precompile_name(const Address& address, const ChainConfig& config) {
    const auto* row = find(address, config);
    return row == nullptr ? std::string_view() : row->name;
}

vm::CallResult run_own_precompile(const Address& address, const ChainConfig& config,
                                  BytesView input, int64_t gas, Caller caller) {
    const auto* row = find(address, config);
    ASSERT(row != nullptr);
    vm::CallResult result;
    auto output = row->run({input, config, caller}, gas);
    if (!output) {
        result.status = vm::Status::out_of_gas;
        return result;
    }
    result.gas_left = gas;
    result.output = *std::move(output);
    return result;
}

}  // namespace trainyard::consensus
