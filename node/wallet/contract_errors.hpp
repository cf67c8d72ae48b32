// SPDX-License-Identifier: Apache-2.0
// Custom errors of the system contracts, so that a revert can be told in words.
#pragma once

#include <string_view>

namespace trainyard::node::wallet {

struct ContractError {
    std::string_view signature;
    std::string_view words;
};

inline constexpr ContractError kContractErrors[] = {
    {"NotAllowed()", "the caller has no such role here"},
    {"WrongState()", "the job or segment is not in a state for this call"},
    {"Held(uint256)", "an audit may still fine the operator; withdraw after it"},
    {"NotYet()", "a deadline or a seed is still ahead"},
    {"TooLate()", "a deadline has passed"},
    {"NothingDue()", "nothing is due"},
    {"BadValue(string)", "a wrong value"},
    {"NotEnoughStake(uint256,uint256)", "not enough free stake in the provider registry"},
    {"NotRegistered()", "not registered as a provider; `trainyard provider` registers"},
    {"NotMarket()", "only the market may call this"},
    {"NotValidator()", "no such validator is registered"},
    {"Tombstoned()", "this validator was slashed and takes no more stake"},
    {"NoOffence()", "the two votes prove no offence of this validator"},
    {"NotPayer()", "only the one who paid for the model may call this"},
    {"BadOpening(uint256,string)", "an opening that does not lead to the commitment"},
    {"QueueFull()", "too many withdrawals wait already"},
    {"NotSystem()", "only the protocol may call this"},
    {"BadInput()", "malformed input"},
    {"ERC721NonexistentToken(uint256)", "there is no such token"},
};

}  // namespace trainyard::node::wallet
