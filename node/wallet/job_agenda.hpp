// SPDX-License-Identifier: Apache-2.0
// Which of many jobs to look at next, so that the work of a look at the chain is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace trainyard::node::wallet {

/// Jobs whose time has come go first, the one that is due longest before the others; what is left
/// of a turn goes to the idle ones, in rotation. A job is in one of the two or unknown.
class JobAgenda {
public:
    /// Look at it from this block on; an earlier date that it has stays.
    void look_at(uint64_t job, uint64_t block);
    /// Nothing is expected of it: only in rotation.
    void rest(uint64_t job);
    void drop(uint64_t job);
    [[nodiscard]] bool knows(uint64_t job) const;
    [[nodiscard]] size_t size() const { return due_at_.size() + idle_.size(); }

    struct Turn {
        size_t due_max = 32;
        size_t idle_max = 4;
    };
    /// Takes the jobs of a turn out; whoever looks at one says when to look again, or drops it.
    [[nodiscard]] std::vector<uint64_t> take(uint64_t head, const Turn& turn);

private:
    std::map<uint64_t, uint64_t> due_at_;               ///< job -> block
    std::set<std::pair<uint64_t, uint64_t>> by_block_;  ///< the same, as (block, job)
    std::set<uint64_t> idle_;
    uint64_t next_idle_ = 0;
};

}  // namespace trainyard::node::wallet
