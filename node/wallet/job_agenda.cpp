// SPDX-License-Identifier: Apache-2.0
// Two orders of jobs: by block, and by number in rotation.
#include "node/wallet/job_agenda.hpp"

namespace trainyard::node::wallet {

void JobAgenda::look_at(uint64_t job, uint64_t block) {
    const auto found = due_at_.find(job);
    if (found != due_at_.end() && found->second <= block) return;
    drop(job);
    due_at_[job] = block;
    by_block_.emplace(block, job);
}

void JobAgenda::rest(uint64_t job) {
    drop(job);
    idle_.insert(job);
}

void JobAgenda::drop(uint64_t job) {
    idle_.erase(job);
    const auto found = due_at_.find(job);
    if (found == due_at_.end()) return;
    by_block_.erase({found->second, job});
    due_at_.erase(found);
}

bool JobAgenda::knows(uint64_t job) const {
    return due_at_.contains(job) || idle_.contains(job);
}

std::vector<uint64_t> JobAgenda::take(uint64_t head, const Turn& turn) {
    std::vector<uint64_t> out;
    for (auto it = by_block_.begin();
         it != by_block_.end() && it->first <= head && out.size() < turn.due_max;) {
        out.push_back(it->second);
        due_at_.erase(it->second);
        it = by_block_.erase(it);
    }
    for (size_t i = 0; i < turn.idle_max && !idle_.empty(); ++i) {
        auto it = idle_.lower_bound(next_idle_);
        if (it == idle_.end()) it = idle_.begin();
        next_idle_ = *it + 1;
        out.push_back(*it);
        idle_.erase(it);
    }
    return out;
}

}  // namespace trainyard::node::wallet
