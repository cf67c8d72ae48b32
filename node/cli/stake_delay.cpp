// SPDX-License-Identifier: Apache-2.0
// Asking the registry for its delay, and saying what it does.
#include "node/cli/stake_delay.hpp"

#include "node/cli/output.hpp"

namespace trainyard::node::cli {
namespace {

std::string when(uint64_t block, const StakeDelay& delay) {
    std::string text = "from block " + std::to_string(block) + " on";
    if (delay.block_seconds <= 0 || block < delay.head) return text;
    const double left_s = static_cast<double>(block - delay.head) * delay.block_seconds;
    return text + ", about " + utc_text(delay.now_s + static_cast<uint64_t>(left_s));
}

}  // namespace

wallet::Answer<StakeDelay> stake_delay(wallet::MarketApi& market) {
    const auto head = market.block_number();
    if (!head) return unexpected(head.error());
    const auto blocks = market.unstake_blocks();
    if (!blocks) return unexpected(blocks.error());
    StakeDelay out{*head, *blocks, 0, unix_seconds()};
    if (const auto pace = market.block_seconds()) out.block_seconds = *pace;
    return out;
}

std::string delay_text(const wallet::ProviderRecord& record, const StakeDelay& delay) {
    if (record.leaving_wei.is_zero()) return "";
    const uint64_t next = delay.head + 1;  // the first block that can have the request
    const bool is_released = record.release_block <= next;
    return in_coins(record.leaving_wei) + " already leaving, which will wait anew:\n" +
           "  so far  " +
           (is_released ? "paid now by `trainyard provider withdraw`"
                        : "paid " + when(record.release_block, delay)) +
           "\n  then    with the others " + when(next + delay.blocks, delay);
}

}  // namespace trainyard::node::cli
