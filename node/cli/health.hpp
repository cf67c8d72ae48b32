// SPDX-License-Identifier: Apache-2.0
// Is a node well? What `trainyard status` finds in its answers, and the words for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/wallet/staking.hpp"

namespace trainyard::node::cli {

/// What a node says of itself.
struct NodeFacts {
    std::string version, role, waits_for;
    std::string halted, why_not_voting;  ///< empty: it is not, it does
    uint64_t chain_id = 0, epoch = 0, view = 0, uptime_s = 0;
    uint64_t head = 0, head_time_s = 0, final = 0, final_time_s = 0;
    std::optional<uint64_t> highest;  ///< what it catches up to
    size_t peers_in = 0, peers_out = 0;
    std::optional<Address> operator_address;
    std::optional<uint64_t> disk_free_bytes;
    std::optional<int64_t> clock_ahead_ms;   ///< of its peers
    std::optional<wallet::Candidate> stake;  ///< of the operator, where it is registered
};

/// From the answers of yard_status and eth_syncing; nullopt: not those of a node of ours.
[[nodiscard]] std::optional<NodeFacts> facts_from(const std::string& status,
                                                  const std::string& syncing);

/// Exit codes of `trainyard status`, the worst first; 0, 1 and 2 are those of every command.
enum class Trouble : int {
    halted = 3,      ///< it stands still and does nothing more
    punished = 4,    ///< its validator is tombstoned or jailed
    not_voting = 5,  ///< its validator signs nothing
    stalled = 6,     ///< nothing became final for a while
    behind = 7,      ///< it catches up
    warning = 8,     ///< it goes on, and somebody should look
};
struct Finding {
    Trouble trouble;
    std::string row;    ///< of the screen, where it is seen
    std::string words;  ///< what is wrong, and what to do
};
/// The worst first; empty: it is well.
[[nodiscard]] std::vector<Finding> judge(const NodeFacts& facts, uint64_t now_s);

/// One screen.
[[nodiscard]] std::string screen_of(const NodeFacts& facts, const std::vector<Finding>& findings,
                                    uint64_t now_s);
[[nodiscard]] std::string json_of(const NodeFacts& facts, const std::vector<Finding>& findings);

}  // namespace trainyard::node::cli
