// SPDX-License-Identifier: Apache-2.0
// Which peer to ask for which part of a snapshot, and which snapshot to take: decisions only, time
// and answers come as input (docs/spec/state-sync.md).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/keys.hpp"
#include "node/blobs/fetch_plan.hpp"
#include "node/p2p/messages.hpp"

namespace trainyard::sync {

using blobs::Outcome;

struct StateLimits {
    size_t in_flight_per_peer = 4;
    size_t in_flight_max = 32;
    unsigned strikes_max = 3;                 ///< lost answers in a row after which a peer rests
    uint64_t rest_ms = 5'000;                 ///< so long
    uint64_t slow_ms = 20'000;                ///< who needs longer for a part of 1 MiB is slow
    uint64_t throttle_ms = 200;               ///< pause after a peer asked for one
    uint64_t reask_ms = 5'000;                ///< for offers, and for boundaries of who had no more
    uint64_t gather_ms = 2'000;               ///< for offers of others after the first
    uint64_t orphaned_ms = 15'000;            ///< nobody offers it any more: another is taken
    uint64_t chunks_max = uint64_t{1} << 20;  ///< offers of more are passed over
    uint64_t patience_ms = 30'000;  ///< without an offer that is proven there is nothing to take
    uint64_t stalled_ms = 60'000;   ///< nothing of a target has come: another is taken
};

struct StateAsk {
    enum class What : uint8_t { offers, boundaries, manifest, chunk };
    What what;
    PublicKey peer;
    Hash id{};           ///< of the snapshot
    uint64_t index = 0;  ///< the first epoch, the part of the manifest, the chunk
    uint64_t round = 0;  ///< targets before the one that it is for
    bool operator==(const StateAsk&) const = default;
};

/// First the boundaries from the trusted one up to the last that anybody has, one question after
/// the other, since each is proven by those before; meanwhile what all peers offer. Of the offers
/// of proven blocks the highest is taken, of several at one height that of most peers. Its manifest
/// comes from one peer, its chunks from all who offer the same at once. Who is slow is asked last,
/// for one part at a time, and what it owes for long is asked from a faster one as well. Every
/// StateAsk is followed by exactly one on_… call for it.
class StatePlan {
public:
    StatePlan(const StateLimits& limits, Epoch next) : limits_(limits), next_epoch_(next) {}

    /// What to ask now, given who is connected.
    [[nodiscard]] std::vector<StateAsk> next(const std::vector<PublicKey>& connected,
                                             uint64_t now_ms);

    void on_offers(const StateAsk& ask, Outcome outcome, std::vector<p2p::SnapshotOffer> offers,
                   uint64_t now_ms);
    /// `next` is the first epoch whose boundary is not proven yet: that of the ask if the peer had
    /// no more.
    void on_boundaries(const StateAsk& ask, Outcome outcome, Epoch next, uint64_t now_ms);
    /// Knowledge of the caller: the block that is final at this height.
    void on_proven(Height height, const Hash& block);
    /// A snapshot that was begun before: taken if anybody offers it.
    void prefer(const Hash& id) { preferred_ = id; }
    /// `size_bytes`: of the part, where one came; each but the last is whole.
    void on_manifest_part(const StateAsk& ask, Outcome outcome, uint64_t size_bytes,
                          uint64_t now_ms);
    /// The manifest fits the target, and these chunks are still to come.
    void on_manifest(std::set<uint64_t> missing);
    /// What came last does not fit: `manifest_peer` is at fault, and another is asked.
    void on_wrong_manifest();
    void on_chunk(const StateAsk& ask, Outcome outcome, uint64_t now_ms);
    /// The whole of the target is a lie: who offered it is not asked again.
    [[nodiscard]] std::vector<PublicKey> reject_target();

    /// The snapshot that is being fetched.
    [[nodiscard]] const std::optional<p2p::SnapshotOffer>& target() const { return target_; }
    [[nodiscard]] const PublicKey& manifest_peer() const { return manifest_peer_; }
    [[nodiscard]] bool has_manifest_parts() const;  ///< all, and nobody has judged them yet
    [[nodiscard]] bool is_complete() const { return has_manifest_ && wanted_.empty(); }
    [[nodiscard]] uint64_t chunks_missing() const { return wanted_.size(); }
    /// Has it not come from somebody else?
    [[nodiscard]] bool wants_chunk(uint64_t index) const { return wanted_.contains(index); }
    [[nodiscard]] Epoch next_epoch() const { return next_epoch_; }
    /// Nobody who is connected has offered a snapshot of a proven block for too long.
    [[nodiscard]] bool is_hopeless(uint64_t now_ms) const;
    /// Peers that offered another block than the final one at its height, once.
    [[nodiscard]] std::vector<PublicKey> take_liars();

private:
    struct Owed {
        uint64_t since_ms = 0;
        bool is_given_up = false;  ///< another may be asked for it
    };
    struct Peer {
        bool is_connected = false;
        bool is_bad = false;
        bool is_idle = false;   ///< it offered what then did not come: its offers count no more
        uint64_t since_ms = 0;  ///< when it was first seen
        bool is_asked_for_offers = false;
        std::optional<uint64_t> offers_at_ms;  ///< when it last said what it has
        std::vector<p2p::SnapshotOffer> offers;
        std::optional<Epoch> has_no_boundary;  ///< it had none of this epoch
        uint64_t no_boundary_at_ms = 0;
        uint64_t not_before_ms = 0;
        unsigned strikes = 0;
        size_t in_flight = 0;  ///< parts and boundaries
        bool is_slow = false;
        std::map<std::pair<uint64_t, uint64_t>, Owed> owes;  ///< chunks, by round and index
        uint64_t manifest_asked_at_ms = 0;
    };
    [[nodiscard]] bool may_ask(const Peer& peer, uint64_t now_ms) const;
    [[nodiscard]] const p2p::SnapshotOffer* offer_of_target(const Peer& peer) const;
    void ask_offers(std::vector<StateAsk>& asks, uint64_t now_ms);
    void ask_boundaries(std::vector<StateAsk>& asks, uint64_t now_ms);
    void ask_manifest(std::vector<StateAsk>& asks, uint64_t now_ms);
    void ask_chunks(std::vector<StateAsk>& asks, bool slow_ones, uint64_t now_ms);
    void give_up_slow_chunks(uint64_t now_ms);
    [[nodiscard]] bool has_fast_one(uint64_t now_ms) const;
    [[nodiscard]] bool has_all_boundaries(uint64_t now_ms) const;
    [[nodiscard]] bool may_take(const p2p::SnapshotOffer& offer) const;
    void hope(uint64_t now_ms);
    void choose_target(uint64_t now_ms);
    void watch_target(uint64_t now_ms);
    void drop_target();
    void give_up_target();
    [[nodiscard]] bool is_manifest_part(uint64_t index, uint64_t size_bytes) const;
    void note(Peer& peer, Outcome outcome, uint64_t now_ms);
    void judge_offers(const PublicKey& id, Peer& peer);

    StateLimits limits_;
    std::map<PublicKey, Peer> peers_;
    Epoch next_epoch_;
    bool is_asking_boundaries_ = false;
    std::optional<uint64_t> boundary_at_ms_;  ///< when one last came, or could have
    std::map<Height, Hash> proven_;           ///< the latest boundaries
    std::set<Hash> rejected_;
    std::optional<Hash> preferred_;
    std::vector<PublicKey> liars_;
    std::optional<uint64_t> hope_at_ms_;  ///< since when nobody has had a snapshot to take
    std::optional<uint64_t> first_offer_at_ms_;

    std::optional<p2p::SnapshotOffer> target_;
    uint64_t round_ = 0;
    uint64_t offered_at_ms_ = 0;           ///< when somebody last offered the target
    std::optional<uint64_t> moved_at_ms_;  ///< when something of the target last came
    bool has_stalled_ = false;             ///< one did: who was here first is tried first
    PublicKey manifest_peer_;
    uint64_t manifest_parts_ = 0;  ///< that are here
    uint64_t manifest_parts_due_ = 0;
    bool is_asking_manifest_ = false;
    bool has_manifest_ = false;
    std::set<uint64_t> wanted_;   ///< chunks that are not here
    std::set<uint64_t> missing_;  ///< of those, the ones that nobody is waited for with
    size_t open_ = 0;             ///< questions for chunks of the target that are not given up
};

}  // namespace trainyard::sync
