// SPDX-License-Identifier: Apache-2.0
// Which peer to ask for which part of one blob: decisions only, time and answers come as input.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/keys.hpp"
#include "node/blobs/blob.hpp"

namespace trainyard::blobs {

struct FetchLimits {
    size_t in_flight_per_peer = 8;
    size_t in_flight_max = 32;
    unsigned strikes_max = 3;          ///< lost answers after which a peer is left alone
    uint64_t reask_ms = 2'000;         ///< a peer that had nothing is asked again after this
    uint64_t slow_ms = 3'000;          ///< who needs longer for a chunk of 256 KiB is slow
    uint64_t throttle_ms = 100;        ///< pause after a peer asked for one
    uint64_t no_progress_ms = 60'000;  ///< then the fetch fails
};

enum class Outcome : uint8_t {
    good,
    lost,       ///< no answer, or not served
    throttled,  ///< the peer is busy
    wrong,      ///< an answer that does not fit the id: the peer is at fault
};

struct Ask {
    enum class What : uint8_t { have, manifest, chunk };
    What what;
    PublicKey peer;
    uint64_t chunk = 0;
    bool operator==(const Ask&) const = default;
};

/// First who has the blob, then its manifest from one of those, then chunks from all of those at
/// once; who is slow is asked last, for one at a time. Every Ask is followed by exactly one on_…
/// call for it.
class FetchPlan {
public:
    FetchPlan(const FetchLimits& limits, uint64_t now_ms)
        : limits_(limits), progress_at_ms_(now_ms) {}

    /// What to ask now, given who is connected.
    [[nodiscard]] std::vector<Ask> next(const std::vector<PublicKey>& connected, uint64_t now_ms);

    void on_have(const PublicKey& peer, std::optional<bool> has, uint64_t now_ms);
    void on_manifest(const PublicKey& peer, Outcome outcome, uint64_t chunks, uint64_t now_ms);
    void on_chunk(const PublicKey& peer, uint64_t chunk, Outcome outcome, uint64_t now_ms);

    [[nodiscard]] bool is_complete() const {
        return has_manifest_ && missing_.empty() && in_flight_ == 0;
    }
    [[nodiscard]] bool has_stalled(uint64_t now_ms) const {
        return now_ms - progress_at_ms_ > limits_.no_progress_ms;
    }
    /// Those that are connected, still owe an answer, or gave a wrong one.
    [[nodiscard]] size_t peers_known() const { return peers_.size(); }
    [[nodiscard]] uint64_t chunks_done() const { return done_; }
    [[nodiscard]] uint64_t chunks_total() const { return total_; }

private:
    struct Peer {
        enum class Answer : uint8_t { unknown, asked, has, has_not };
        Answer answer = Answer::unknown;
        uint64_t again_at_ms = 0;  // throttled, or has_not: not before this
        unsigned strikes = 0;
        bool is_bad = false;
        bool is_slow = false;
        std::map<uint64_t, uint64_t> asked_at_ms;  // by chunk
        size_t in_flight = 0;
        bool is_connected = false;
    };
    [[nodiscard]] bool may_ask(const Peer& peer, uint64_t now_ms) const;
    void ask_who_has(std::vector<Ask>& asks, uint64_t now_ms);
    void ask_manifest(std::vector<Ask>& asks, uint64_t now_ms);
    void ask_chunks(std::vector<Ask>& asks, bool slow_ones, uint64_t now_ms);
    void note(Peer& peer, Outcome outcome, uint64_t now_ms);

    FetchLimits limits_;
    std::map<PublicKey, Peer> peers_;
    bool has_manifest_ = false;
    bool is_manifest_asked_ = false;
    std::set<uint64_t> missing_;  // neither here nor asked for
    size_t in_flight_ = 0;
    uint64_t done_ = 0;
    uint64_t total_ = 0;
    uint64_t progress_at_ms_;
};

}  // namespace trainyard::blobs
