// SPDX-License-Identifier: Apache-2.0
// A client for one call.
#include "node/cli/ask.hpp"

#include "node/wallet/eth_client.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::cli {

Result<boost::json::value, std::string> ask(const std::string& rpc, const std::string& method,
                                            const boost::json::array& params) {
    auto client = wallet::EthClient::open(rpc);
    if (!client) return unexpected(client.error().text);
    const auto answer = (*client)->raw(method, boost::json::serialize(params));
    if (!answer) return unexpected(answer.error().text);
    auto parsed = wallet::parse_json(*answer);
    if (!parsed) return unexpected(method + ": the answer is not JSON");
    return std::move(*parsed);
}

}  // namespace trainyard::node::cli
