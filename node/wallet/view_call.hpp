// SPDX-License-Identifier: Apache-2.0
// A view function of a contract, asked through a node: private to node/wallet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/wallet/abi.hpp"
#include "node/wallet/eth_client.hpp"

namespace trainyard::node::wallet {

struct ViewCall {
    Address contract;
    std::string_view signature;  ///< "name(types)"
    std::vector<AbiValue> arguments;
    std::string returns;  ///< a tuple type
};

/// The error of an answer that is not what the contracts give.
[[nodiscard]] WalletError unreadable(std::string_view signature);

/// What the function returns at the latest block. Error malformed: not of the type; the chain is
/// perhaps none of ours. Precondition: the arguments fit the signature.
[[nodiscard]] Answer<AbiValue> ask(EthClient& client, const ViewCall& view);

/// The type as the only member of a tuple.
[[nodiscard]] std::string in_parentheses(std::string_view type);

}  // namespace trainyard::node::wallet
