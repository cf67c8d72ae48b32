// SPDX-License-Identifier: Apache-2.0
// What a provider earns and loses, read from the market's events.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
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

/// Besides the pay of segments, all that makes a provider richer or poorer; gas is not in it.
enum class BookingKind : uint8_t {
    fine,            ///< of the bond, for a missed deadline, a job given back or an unsound one
    slash,           ///< of the bond, for a wrong segment or one that is not to be had
    appeal_bond,     ///< put up with an appeal
    appeal_return,   ///< came back, since the appeal was won or its segment fell
    challenge_half,  ///< of the bond of a challenge that was lost
    dispute_half,    ///< of the bond of a dispute that was lost
    fine_half,       ///< of the fines of auditors that were wrong
};
[[nodiscard]] std::string_view to_text(BookingKind kind);
[[nodiscard]] bool is_gain(BookingKind kind);

struct Booking {
    uint64_t job = 0;
    std::optional<uint32_t> seg;
    BookingKind kind = BookingKind::fine;
    Uint256 wei;
    uint64_t block = 0, time_s = 0;
    Hash tx;
    bool operator==(const Booking&) const = default;
};

struct Earnings {
    std::vector<EarnedSegment> segments;
    std::vector<Booking> bookings;
};

/// What came in and went out, pay too. The difference is that of the provider's balance, credit and
/// stake together, but for gas and what the account does in other roles.
struct Flow {
    Uint256 in_wei, out_wei;
};
[[nodiscard]] Flow flow_of(const Earnings& earnings);

struct JobTerms {
    Uint256 price_wei, fee_bps;  ///< of a segment; the fee is taken from the price
    uint64_t steps = 1;          ///< of a segment; at least 1
    Uint256
        committee_fees_wei;  ///< that a lost challenge pays before the rest of its bond is halved
    /// For so many steps, after the fee.
    [[nodiscard]] Uint256 pay_wei(uint64_t done) const;
};

/// Adds what `events`, those of one job from the oldest on, mean for `who`; times stay 0. A segment
/// is paid to who committed it last; a void one takes all later ones with it; after a slash the
/// job's other segments are worth nothing.
void add_job(Earnings& to, const Address& who, const std::vector<MarketEvent>& events,
             const JobTerms& terms);

/// The first block whose time is not before `time_s`, at most `head`. `time_of` gives nullopt for a
/// block that the node no longer has, which counts as before.
[[nodiscard]] Answer<uint64_t> block_at(
    uint64_t time_s, uint64_t head,
    const std::function<Answer<std::optional<uint64_t>>(uint64_t)>& time_of);

/// Earnings of the blocks from `from_block` to `to_block`, with times: jobs in which events of
/// these blocks name `who` as provider. `progress` hears how much of a long range is read; it may
/// be empty.
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
