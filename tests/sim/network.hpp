// SPDX-License-Identifier: Apache-2.0
// The simulated network: which messages arrive, when, and how often.
#pragma once

#include <map>
#include <vector>

#include "tests/sim/random.hpp"
#include "tests/sim/simulation.hpp"

namespace trainyard::sim {

/// Bad until healed, then every message arrives within Delta.
class Network {
public:
    Network(const Faults& faults, unsigned nodes, uint64_t delta_ms, Random& random);

    /// Arrival times of a message sent now: none, one or two.
    [[nodiscard]] std::vector<uint64_t> arrivals(unsigned from, unsigned to, uint64_t now_ms);
    /// Splits the nodes into groups at random, or joins them again.
    void split();
    void join();
    /// From now on nothing is lost, and the partition is over.
    void heal();
    /// Keeps the given groups apart until healed; group 0 hears everybody.
    void force_groups(std::vector<unsigned> groups);
    [[nodiscard]] bool is_split() const { return is_split_; }

private:
    [[nodiscard]] bool is_cut(unsigned from, unsigned to) const;

    Faults faults_;
    uint64_t delta_ms_;
    Random& random_;
    uint64_t loss_percent_ = 0;
    bool healed_ = false, is_split_ = false, forced_ = false;
    std::vector<unsigned> groups_;
    std::map<std::pair<unsigned, unsigned>, uint64_t> last_;  ///< for links that keep order
};

}  // namespace trainyard::sim
