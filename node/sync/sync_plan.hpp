// SPDX-License-Identifier: Apache-2.0
// Which peer to ask for which final blocks: decisions only, time and answers come as input.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/keys.hpp"
#include "core/units.hpp"
#include "node/p2p/messages.hpp"

namespace trainyard::sync {

struct SyncLimits {
    uint32_t range_blocks = 32;  ///< at most p2p::kBlocksPerRequestMax
    size_t ranges_ahead = 8;     ///< asked for or waiting to be applied
    size_t in_flight_per_peer = 2;
    uint64_t lag_blocks = 3;    ///< so far behind, catching up starts at once
    uint64_t lag_ms = 3'000;    ///< behind at all for so long, too
    uint64_t pause_ms = 1'000;  ///< a peer that failed us is left alone for this
};

struct RangeAsk {
    PublicKey peer;
    Height from;
    uint32_t count = 0;
    bool operator==(const RangeAsk&) const = default;
};

/// Blocks that follow what was applied, and who gave them.
struct Batch {
    PublicKey peer;
    Height from;
    std::vector<p2p::FinalisedBlock> blocks;
};

/// Peers say how high they are; ranges above our height are asked from those that have them,
/// several at once, and handed out for application in order. What a peer says is believed only as
/// far as it delivers.
class SyncPlan {
public:
    SyncPlan(const SyncLimits& limits, Height finalised)
        : limits_(limits), applied_(finalised), finalised_(finalised) {}

    void on_status(const PublicKey& peer, Height finalised);
    void on_peer_down(const PublicKey& peer);
    /// Our own height, also when consensus raised it; resets what was planned below it.
    void on_own_height(Height finalised, uint64_t now_ms);
    /// Someone knows of a final block so high: catch up without waiting for a lag.
    void want(Height height);

    [[nodiscard]] std::vector<RangeAsk> next(uint64_t now_ms);
    /// Every RangeAsk is followed by exactly one of these. An answer may be shorter than asked for;
    /// an empty one means that the peer has not what it claimed.
    void on_blocks(const RangeAsk& ask, std::vector<p2p::FinalisedBlock> blocks, uint64_t now_ms);
    void on_failed(const RangeAsk& ask, uint64_t now_ms);

    /// The next batch to apply, one at a time; then on_applied with our height after it, or
    /// on_rejected from its first block. Blocks above that height wait for the certificate of a
    /// later one, and prove nothing so far: their giver alone is asked for what follows them.
    [[nodiscard]] std::optional<Batch> take_ready();
    void on_applied(const Batch& batch, Height finalised, uint64_t now_ms);
    void on_rejected(const Batch& batch, Height finalised, uint64_t now_ms);

    [[nodiscard]] Height best_known() const;
    [[nodiscard]] bool is_catching_up() const { return is_active_; }
    /// How high the chain is for all that was shown: by a certificate that consensus saw, or by a
    /// peer's claim if what it gave last was final.
    [[nodiscard]] Height best_shown() const;

private:
    struct Peer {
        Height finalised;
        uint64_t not_before_ms = 0;
        size_t in_flight = 0;
        bool is_up = true;
        bool has_given = false;  ///< final blocks, and has answered since
    };
    struct Range {
        uint32_t count = 0;
        std::optional<PublicKey> asked;  // in flight
        std::optional<PublicKey> given;  // arrived
        std::vector<p2p::FinalisedBlock> blocks;
    };
    void decide(uint64_t now_ms);
    void plan_ranges();
    void hold_to_giver(uint64_t now_ms);
    Peer* pick(Height last, uint64_t now_ms, PublicKey& id);
    Peer* release(const RangeAsk& ask);
    void pause(Peer& peer, uint64_t now_ms) const;
    Range* find(const RangeAsk& ask);
    void restart_at(Height finalised);

    SyncLimits limits_;
    std::map<PublicKey, Peer> peers_;
    std::map<Height, Range> ranges_;  // by first height, without gaps, above applied_
    Height applied_;                  ///< blocks that wait for a certificate count
    Height finalised_;
    std::optional<PublicKey> giver_;  ///< of blocks that wait for a certificate
    Height taken_;                    ///< the last block that was handed out for application
    Height wanted_;
    std::optional<uint64_t> behind_since_ms_;
    bool is_active_ = false;
    bool is_applying_ = false;
};

}  // namespace trainyard::sync
