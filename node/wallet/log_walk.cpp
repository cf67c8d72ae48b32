// SPDX-License-Identifier: Apache-2.0
// Long pieces, and shorter ones where a node refuses them.
#include "node/wallet/log_walk.hpp"

#include <algorithm>

namespace trainyard::node::wallet {
namespace {

constexpr uint64_t kSpanLeast = 500;  ///< blocks in one query for logs

}  // namespace

Answer<Done> each_log(EthClient& client, LogQuery query,
                      const std::function<bool(const PlacedLog&)>& take,
                      const std::function<void(uint64_t)>& progress) {
    const uint64_t last = query.to_block;
    uint64_t span = kLogSpanMost;
    while (query.from_block <= last) {
        query.to_block = std::min(last, query.from_block + span - 1);
        const auto logs = client.logs(query);
        if (!logs && logs.error().code == WalletErrorCode::rpc && span > kSpanLeast) {
            span = std::max(kSpanLeast, span / 4);
            continue;
        }
        if (!logs) return unexpected(logs.error());
        for (const auto& log : *logs)
            if (!take(log)) return Done{};
        if (progress) progress(query.to_block - query.from_block + 1);
        query.from_block = query.to_block + 1;
    }
    return Done{};
}

}  // namespace trainyard::node::wallet
