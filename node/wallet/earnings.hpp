// SPDX-License-Identifier: Apache-2.0
// What a provider earns and loses, read from the market's events.
#pragma once

#include <functional>
#include <vector>

#include "node/wallet/market.hpp"

namespace trainyard::node::wallet {

struct EarnedSegment {
    uint64_t job = 0;
    uint32_t seg = 0;
    SegmentState state = SegmentState::committed;  ///< committed: pending; else final_ or void_
    Uint256 wei;          ///< paid after the fee; pending: what will be, if it is right
    uint64_t block = 0;   ///< where it was committed, became final or void
    uint64_t time_s = 0;  ///< of that block
    Hash tx;
    bool operator==(const EarnedSegment&) const = default;
};

struct Loss {
    uint64_t job = 0;
    bool is_slash = false;  ///< a bond for a wrong segment; else a fine for a missed deadline
    Uint256 wei;
    uint64_t block = 0, time_s = 0;
    Hash tx;
    bool operator==(const Loss&) const = default;
};

struct Earnings {
    std::vector<EarnedSegment> segments;
    std::vector<Loss> losses;
};

/// Adds what `events`, those of one job from the oldest on, mean for `who`; times stay 0. A segment
/// is paid to who committed it last; a void one takes all later ones with it; after a slash the
/// job's other segments are worth nothing. `pending_wei`: of one segment, after the fee.
void add_job(Earnings& to, const Address& who, const std::vector<MarketEvent>& events,
             const Uint256& pending_wei);

/// The first block whose time is not before `time_s`, at most `head`. `time_of` gives nullopt for a
/// block that the node no longer has, which counts as before.
[[nodiscard]] Answer<uint64_t> block_at(
    uint64_t time_s, uint64_t head,
    const std::function<Answer<std::optional<uint64_t>>(uint64_t)>& time_of);

/// Earnings of the blocks from `from_block` to `to_block`, with times: jobs that `who` takes or
/// commits segments of in these blocks. `progress` hears how much of
/// a long range is read; it may be empty.
struct EarningsQuery {
    Address who;
    uint64_t from_block = 0, to_block = 0;
    std::function<void(uint64_t done, uint64_t all)> progress;
};
[[nodiscard]] Answer<Earnings> read_earnings(EthClient& client, const EarningsQuery& query);
/// As block_at, of the chain.
[[nodiscard]] Answer<uint64_t> find_block(EthClient& client, uint64_t time_s, uint64_t head);
/// What the market owes an account.
[[nodiscard]] Answer<Uint256> market_credit(EthClient& client, const Address& who);

}  // namespace trainyard::node::wallet
