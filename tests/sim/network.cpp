// SPDX-License-Identifier: Apache-2.0
// Loss, delay, repetition and partition.
#include "tests/sim/network.hpp"

#include <algorithm>

namespace trainyard::sim {

Network::Network(const Faults& faults, unsigned nodes, uint64_t delta_ms, Random& random)
    : faults_(faults), delta_ms_(delta_ms), random_(random), groups_(nodes, 0) {
    if (faults_.loss) loss_percent_ = random_.between(0, 30);
}

bool Network::is_cut(unsigned from, unsigned to) const {
    if (!is_split_ || healed_) return false;
    if (forced_ && (groups_[from] == 0 || groups_[to] == 0)) return false;
    return groups_[from] != groups_[to];
}

std::vector<uint64_t> Network::arrivals(unsigned from, unsigned to, uint64_t now_ms) {
    if (is_cut(from, to)) return {};
    if (healed_) return {now_ms + random_.between(1, delta_ms_ * 3 / 4)};
    if (random_.percent(loss_percent_)) return {};
    const auto one = [&] {
        uint64_t at = now_ms + random_.between(1, delta_ms_ / 2);
        if (faults_.delay && random_.percent(10)) at += random_.between(0, 20 * delta_ms_);
        if (faults_.reorder) return at;
        auto& last = last_[{from, to}];
        return last = std::max(last, at);
    };
    std::vector<uint64_t> out{one()};
    if (faults_.duplicate && random_.percent(10)) out.push_back(one());
    return out;
}

void Network::split() {
    if (forced_) return;
    is_split_ = true;
    for (auto& group : groups_) group = static_cast<unsigned>(random_.between(0, 1));
}

void Network::join() {
    if (!forced_) is_split_ = false;
}

void Network::heal() {
    healed_ = true;
    is_split_ = false;
}

void Network::force_groups(std::vector<unsigned> groups) {
    groups_ = std::move(groups);
    is_split_ = forced_ = true;
}

}  // namespace trainyard::sim
