// SPDX-License-Identifier: Apache-2.0
// Decisions about peers without any I/O: which of two connections stays, when to dial again, who is
// banned.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/p2p/network.hpp"

namespace trainyard::p2p {

/// One of our connections to a peer.
struct Link {
    bool is_inbound = false;
    uint64_t instance = 0;  ///< the peer's, from its hello
};

/// What is said to the connection that has to go.
inline constexpr std::string_view kDuplicate = "duplicate connection";

/// Both ends of two connections between the same two nodes must keep the same one. Another instance
/// means that the peer restarted: the newer wins. Otherwise the one that the smaller key dialled
/// wins, and of two in the same direction the newer.
[[nodiscard]] bool newer_link_wins(const PeerId& self, const PeerId& peer, const Link& older,
                                   const Link& newer);

/// A connection from a peer that no setting names.
struct Guest {
    PeerId id;
    std::array<uint8_t, 5> group{};  ///< of its IP
    uint64_t since_ms = 0;
};
/// Who leaves, where all places are taken, for a newcomer of another network: the latest of the
/// network that has the most places, if that still has more afterwards than the newcomer's.
[[nodiscard]] std::optional<PeerId> whom_to_replace(const std::vector<Guest>& guests,
                                                    const std::array<uint8_t, 5>& newcomer);

/// Someone who has connected and not said hello yet.
struct Greeter {
    std::array<uint8_t, 5> group{};  ///< of its IP
    uint64_t since_ms = 0;
};
/// Whose handshake ends for a newcomer's, by index: the earliest of the network that has the most.
/// Precondition: there is one.
[[nodiscard]] size_t whom_to_cut_short(const std::vector<Greeter>& greeters);

/// min · 2^failures, at most max, then a random part of its upper half taken away, so that peers of
/// a node that comes back do not all knock in the same moment.
[[nodiscard]] runtime::Duration backoff(const NetworkOptions& options, unsigned failures,
                                        uint64_t random);

/// So many peers' clocks make a judgement on ours.
inline constexpr size_t kClocksLeast = 3;

/// The middle one, of an even number the smaller of the two; nullopt of fewer than `least`.
[[nodiscard]] std::optional<int64_t> median(std::vector<int64_t> values, size_t least);

/// Points and bans by identity; remembers a bounded number of peers.
class Scores {
public:
    static constexpr int kSpotless = 100;
    static constexpr size_t kRecordsMax = 4096;

    [[nodiscard]] int score(const PeerId& peer, uint64_t now_ms) const;
    /// Takes points away. True if the score reached 0: the peer is then banned for `ban_ms`.
    bool punish(const PeerId& peer, int points, std::string_view reason, uint64_t ban_ms,
                uint64_t now_ms);
    /// The reason and the time left, or nullopt.
    struct Ban {
        std::string reason;
        uint64_t left_ms = 0;
    };
    [[nodiscard]] std::optional<Ban> ban(const PeerId& peer, uint64_t now_ms) const;
    /// Bans for so long; afterwards the peer has half its points, as after any ban.
    void set_ban(const PeerId& peer, std::string_view reason, uint64_t ban_ms, uint64_t now_ms);
    void lift_ban(const PeerId& peer) { records_.erase(peer); }
    [[nodiscard]] std::vector<std::pair<PeerId, Ban>> bans(uint64_t now_ms) const;

private:
    struct Record {
        int score = kSpotless;
        uint64_t at_ms = 0;
        uint64_t banned_until_ms = 0;
        std::string reason;
    };
    static int regained(const Record& record, uint64_t now_ms);
    void make_room(uint64_t now_ms);

    std::map<PeerId, Record> records_;
};

}  // namespace trainyard::p2p
