// SPDX-License-Identifier: Apache-2.0
// How far the work that a chain's auditors were given reaches, computed beside the contract.
#pragma once

#include <gtest/gtest.h>

#include <array>

#include "core/hash.hpp"
#include "market.hpp"

namespace trainyard::contracts {

enum class QueueKind : uint8_t { audits, replays };

/// docs/spec/audits.md, section 3. Counts in blocks times 2^32, as the contract does.
class QueueBooks {
public:
    explicit QueueBooks(Market& market) {
        const Bytes params = market.chain.call(market.at(), call_data("params()", Abi()));
        work_per_block_ = word_at(params, 23);
        slack_blocks_ = {word_at(params, 15).low() / 2, word_at(params, 16).low() / 2};
    }

    [[nodiscard]] uint64_t blocks_to_room(QueueKind kind, uint64_t block) const {
        const Uint256 busy = (of(kind) + ((uint64_t{1} << 32) - 1)) >> 32;
        const uint64_t free_at = busy.low(), room_at = block + slack(kind);
        return free_at > room_at ? free_at - room_at : 0;
    }
    /// In a set whose heaviest member has `largest` of `total`.
    void seat(QueueKind kind, uint64_t seats, uint64_t work, const Uint256& largest,
              const Uint256& total, uint64_t block) {
        Uint256& busy = busy_until_[static_cast<size_t>(kind)];
        const Uint256 from = std::max(busy, Uint256(block) << 32);
        const Uint256 added = ((Uint256(seats) * Uint256(work) * Uint256(4) * largest) << 32) /
                              (work_per_block_ * total);
        busy = from + added;
    }
    /// An event of a call in this block: who is seated without need has found room, who waits has
    /// not. True where somebody waits.
    bool note(Market& market, const Log& log, const JobSpec& spec) {
        static const Hash opened =
            keccak256(as_bytes("AuditOpened(uint256,uint32,uint8,uint8,address[],bytes32)"));
        static const Hash waits = keccak256(as_bytes("AuditWaits(uint256,uint32,uint256)"));
        if (log.topics[0] != opened && log.topics[0] != waits) return false;
        const uint64_t job = from_hash(log.topics[1]).low(), now = market.chain.number();
        const auto seg = static_cast<uint32_t>(from_hash(log.topics[2]).low());
        if (log.topics[0] == waits) {
            const uint64_t blocks = market.audit_wait(job, seg);
            EXPECT_GT(blocks, 0u);
            EXPECT_EQ(word_at(log.data, 0), now + blocks);
            return true;
        }
        const bool is_replay = word_at(log.data, 0) == Uint256(3);
        const auto kind = is_replay ? QueueKind::replays : QueueKind::audits;
        const bool is_substitute = !is_replay && !word_at(log.data, 1).is_zero();
        EXPECT_TRUE(is_substitute || blocks_to_room(kind, now) == 0);
        Uint256 total, largest;
        for (const Address& v : market.validators) {
            const Uint256 weight = market.weight_of(v, market.segment(job, seg).seed_epoch);
            total += weight;
            largest = std::max(largest, weight);
        }
        const uint64_t units = is_replay ? spec.steps * spec.micro_batches : 4;
        seat(kind, word_at(log.data, 4).low(), units * spec.unit_work, largest, total, now);
        return false;
    }
    void check(Market& market) const {
        const uint64_t now = market.chain.number();
        EXPECT_EQ(market.audit_queue(), (QueueView{blocks_to_room(QueueKind::audits, now),
                                                   blocks_to_room(QueueKind::replays, now)}));
    }

private:
    [[nodiscard]] const Uint256& of(QueueKind kind) const {
        return busy_until_[static_cast<size_t>(kind)];
    }
    [[nodiscard]] uint64_t slack(QueueKind kind) const {
        return slack_blocks_[static_cast<size_t>(kind)];
    }

    Uint256 work_per_block_;
    std::array<uint64_t, 2> slack_blocks_{};  ///< of audits, of replays
    std::array<Uint256, 2> busy_until_;
};

}  // namespace trainyard::contracts
