// SPDX-License-Identifier: Apache-2.0
// The books of the market in memory: jobs, segments, money, and what changes them without a call.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "node/wallet/market.hpp"

namespace trainyard::test {

namespace wallet = node::wallet;

/// All accounts of the test share it. A block passes with every transaction and with `pass`.
class FakeLedger {
public:
    struct Seat {
        Address who;
        Hash commitment;
        wallet::Verdict verdict = wallet::Verdict::none;
        std::vector<Hash> answers;
        std::vector<wallet::UnitDrawing> units;
        Hash tile_seed;
        bool raised = false;
    };
    struct SegmentBook {
        wallet::Segment segment;
        wallet::Phase phase = wallet::Phase::none;
        std::vector<Seat> seats;     ///< of this round
        std::vector<Seat> answered;  ///< of level 0
        bool raised = false;
        wallet::Challenge challenge;
        wallet::Dispute dispute;
        Bytes dispute_state;
        bool is_appealed = false;
        std::set<Address> disputed_by;  ///< of those who convicted, for the first price
    };
    /// What somebody has put up at an attempt of a segment that nobody has decided.
    struct Bond {
        enum class Kind { challenge, dispute, appeal } kind = Kind::challenge;
        uint64_t job = 0;
        uint32_t seg = 0, attempt = 0;
        Address who;
        Uint256 wei;
    };
    struct JobBook {
        wallet::JobSpec spec;
        wallet::Job job;
        std::vector<SegmentBook> segments;
        std::vector<std::string> history;  ///< "seg 0 accepted"
        bool slashed = false;
        size_t replays = 0;  ///< seats at level 1
    };

    std::recursive_mutex mutex;
    std::vector<JobBook> jobs;
    std::vector<Address> validators;
    std::map<Hash, Bytes> blobs;
    std::map<Hash, size_t> blob_reads;
    uint64_t wait_blocks = 0;  ///< that pass while somebody waits for a blob that is absent
    bool seeks_long = false;   ///< what is absent has not been sought for long
    std::map<Hash, std::set<Address>> owners;  ///< of those that are not kept for good
    std::map<uint64_t, uint64_t> changed_at;   ///< job -> block of its last transaction
    size_t reads = 0;                          ///< of jobs and segments
    std::map<Address, wallet::ProviderRecord> providers;
    std::map<std::pair<uint64_t, Address>, uint64_t> bonds;  ///< job and provider -> wei
    std::set<std::pair<uint64_t, Address>> held_bonds;  ///< that come free when their job closes
    std::vector<Bond> put_up;
    std::map<Address, Uint256> credits, withdrawn;
    Uint256 gas_price;
    size_t calls = 0;                      ///< transactions that were sent, refused ones too
    std::map<Address, uint64_t> balances;  ///< wei; of others a million
    uint64_t block = 1, now_s = 1000;
    uint64_t seed = 1;  ///< of the draws
    uint32_t auditors = 2, units = 4;
    uint64_t phase_blocks = 1'000'000;  ///< deadline of every phase
    uint64_t window_blocks = 0;         ///< for challenges, disputes, and appeals if not 0
    uint64_t move_blocks = 1000;        ///< for a move of a dispute
    uint64_t seed_delay_blocks = 3;
    uint64_t room_at = 0;  ///< block from which auditors have room
    training::AuditLimits limits{4, 4, 1000, 1000, 1'000'000'000, 1ull << 30};
    bool tells_events = true;
    bool is_away = false;                           ///< no node answers
    bool refuses_commits = false;                   ///< for want of gas, say
    size_t uploads = 0;                             ///< blobs that were brought
    bool loses_receipts = false;                    ///< of commitments: they seem to fail
    std::function<void()> before_take, after_take;  ///< of the next one; may be empty
    bool loses_take = false;                        ///< the answer of the next one; it counts
    uint32_t moves_to_lose = 0;                     ///< calls of `play` that fail
    bool draws_lots = false;  ///< two replay every segment that level 0 passes

    uint64_t post(const wallet::JobSpec& spec, const Address& client);
    void pass(uint64_t blocks) { block += blocks; }
    /// As the contract does when a provider is late, gives back or is caught.
    void reopen(uint64_t id);
    /// As the contract does where a segment is found wrong: it falls, and later ones with it.
    void make_void(uint64_t id, uint32_t seg);
    /// The same where it does not diverge as its provider claims, which costs that one little.
    void refute(uint64_t id, uint32_t seg);
    /// Bonds at this attempt go to whom they may; none waits any more.
    void decide(uint64_t id, uint32_t seg);
    [[nodiscard]] Hash random(std::string_view purpose, uint64_t a, uint64_t b) const;

private:
    void fall(uint64_t id, uint32_t seg);
};

}  // namespace trainyard::test
