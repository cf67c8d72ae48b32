// SPDX-License-Identifier: Apache-2.0
// The table of our own precompiles.
#include "consensus/transition/own_precompiles.hpp"

#include "consensus/bft/evidence.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus {
namespace {

/// two votes 232 | compressed consensus key 33 -> a word: 0 no offence, 1 two NOTARIZE, 2 two
/// FINALIZE, 3 NULLIFY and FINALIZE. Input of any other form proves nothing either.
Bytes run_double_vote(BytesView input, const ChainConfig& config) {
    Bytes word(32, 0);
    if (input.size() != bft::kEvidenceBytes + PublicKey::size()) return word;
    const auto key = *fixed_from<PublicKey>(input.subspan(bft::kEvidenceBytes));
    const auto offence = bft::judge_evidence(input.first(bft::kEvidenceBytes), key,
                                             {config.chain_id, config.genesis_hash});
    if (offence) word[31] = static_cast<uint8_t>(1 + static_cast<int>(*offence));
    return word;
}

struct OwnPrecompile {
    Address address;
    int64_t gas;
    Bytes (*run)(BytesView input, const ChainConfig& config);
};

constexpr OwnPrecompile kOwnPrecompiles[] = {
    {kDoubleVoteAddress, kDoubleVoteGas, run_double_vote},
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

vm::CallResult run_own_precompile(const Address& address, const ChainConfig& config,
                                  BytesView input, int64_t gas) {
    const auto* row = find(address, config);
    ASSERT(row != nullptr);
    vm::CallResult result;
    if (row->gas > gas) {
        result.status = vm::Status::out_of_gas;
        return result;
    }
    result.gas_left = gas - row->gas;
    result.output = row->run(input, config);
    return result;
}

}  // namespace trainyard::consensus
