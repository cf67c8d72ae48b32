// SPDX-License-Identifier: Apache-2.0
// What the market holds of an account and gives back only if it is asked: bonds of segments that
// fell, and credit.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/wallet/market.hpp"

namespace trainyard::node::wallet {

/// Bonds of one account at one attempt of a segment: of a challenge, a dispute, an appeal. They
/// come back together.
struct PutUp {
    uint64_t job = 0;
    uint32_t seg = 0, attempt = 0;
    auto operator<=>(const PutUp&) const = default;
};

enum class BondFate : uint8_t {
    open,     ///< its segment may still be judged
    decided,  ///< whoever judged it has paid it out
    fell,     ///< with an earlier segment: nobody judges it any more
};
/// `segment`: as it is now, whichever attempt that is.
[[nodiscard]] BondFate fate_of(const PutUp& bond, const Job& job, const Segment& segment);

/// What `who` has put up in a job, by its events from the first on.
[[nodiscard]] std::set<PutUp> put_up_in(const std::vector<MarketEvent>& events, const Address& who);

struct Withdrawal {
    Uint256 wei;
    TxReceipt receipt;
};

/// What one look fetched. Bonds that were reclaimed are credit now.
struct Collected {
    std::vector<PutUp> reclaimed;
    std::optional<Withdrawal> withdrawn;
};
/// A line for each.
[[nodiscard]] std::vector<std::string> lines_of(const Collected& collected);

/// Nothing is asked for that its gas makes worthless; what cannot be fetched now is later. The
/// bonds stand in a file, a line `job,segment,attempt` for each: what fell while no process ran is
/// fetched by the next one. Thread-safe.
class Dues {
public:
    /// `path`: of the file.
    explicit Dues(std::string path);

    /// Before the bond is sent, or when it is found on the chain. Known at least until the process
    /// ends, also where the file cannot be written.
    void note(const PutUp& bond);
    /// Every few blocks: reclaims some of the bonds that fell, and forgets those that are decided.
    [[nodiscard]] Collected reclaim(MarketApi& market, uint64_t head);
    /// The same; and now and then withdraws the credit, if that is a hundred times its gas.
    [[nodiscard]] Collected collect(MarketApi& market, uint64_t head);
    [[nodiscard]] size_t size() const;

private:
    [[nodiscard]] std::vector<PutUp> next_turn();
    [[nodiscard]] bool look_at(MarketApi& market, const PutUp& bond);
    void forget(const PutUp& bond);
    void write() const;

    const std::string path_;
    mutable std::mutex mutex_;  ///< guards what follows
    std::set<PutUp> bonds_;
    PutUp looked_at_;           ///< last, of the rotation
    uint64_t reclaim_at_ = 0;   ///< block
    uint64_t withdraw_at_ = 0;  ///< block
};

}  // namespace trainyard::node::wallet
