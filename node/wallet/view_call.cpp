// SPDX-License-Identifier: Apache-2.0
// eth_call with ABI on both sides.
#include "node/wallet/view_call.hpp"

#include "core/assert.hpp"
#include "node/wallet/market_abi.hpp"

namespace trainyard::node::wallet {

WalletError unreadable(std::string_view signature) {
    return {WalletErrorCode::malformed,
            "the contract's answer to " + std::string(signature) +
                " is not of the right form; is this a trainyard chain?"};
}

Answer<AbiValue> ask(EthClient& client, const ViewCall& view) {
    const auto output =
        client.call({{}, view.contract, {}, call_data(view.signature, view.arguments)});
    if (!output) return unexpected(output.error());
    const auto type = parse_abi_type(view.returns);
    ASSERT(type.has_value());
    auto value = abi_decode(*type, *output);
    if (!value) return unexpected(unreadable(view.signature));
    return std::move(*value);
}

std::string in_parentheses(std::string_view type) {
    return "(" + std::string(type) + ")";
}

}  // namespace trainyard::node::wallet
