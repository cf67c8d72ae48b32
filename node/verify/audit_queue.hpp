// SPDX-License-Identifier: Apache-2.0
// Which of the audits that wait is judged next, so that jobs that pay little cannot crowd out
// others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "node/verify/case_builder.hpp"

namespace trainyard::node::verify {

/// The cases of one thread. Its clock is the block; what a case of a job takes it learns from those
/// that are done. As long as all can be in time the one due first goes first. Where they cannot,
/// those that pay least for the time they take wait until the others are done, since silence is
/// fined in multiples of the fee (docs/spec/audits.md, section 3).
/// The order is that of J. M. Moore, "An n job, one machine sequencing algorithm" (1968), with fees
/// for weights.
class AuditQueue {
public:
    /// `due`: the last block in which an answer counts.
    void add(CaseRequest request, uint64_t due);

    struct Batch {
        std::vector<CaseRequest> cases;  ///< of one job
        std::vector<Seat> late;          ///< nobody waits for these any more
    };
    /// What to judge now; none if nothing waits.
    [[nodiscard]] Batch take(uint64_t block);
    /// `cases` of the job took `blocks` together. Of one that was closed meanwhile nothing is kept.
    void learn(uint64_t job, size_t cases, uint64_t blocks);
    /// The job is closed.
    void forget(uint64_t job);

    [[nodiscard]] size_t size() const { return waiting_.size(); }
    [[nodiscard]] size_t remembered() const { return cost_.size(); }  ///< jobs

private:
    /// In 256ths of a block: a short case takes less than one.
    using Cost = uint64_t;
    struct Waiting {
        CaseRequest request;
        Cost cost;  ///< expected
    };
    using ByDue = std::multimap<uint64_t, Waiting>;
    using Order = std::vector<ByDue::iterator>;

    [[nodiscard]] Cost cost_of(uint64_t job) const;
    [[nodiscard]] std::vector<Seat> drop_late(uint64_t block);
    [[nodiscard]] Order in_time(uint64_t block);
    [[nodiscard]] Order with_others_of_its_job(uint64_t block, const Order& order) const;

    ByDue waiting_;
    /// By job, of all that are not forgotten; zero: none is done.
    std::map<uint64_t, Cost> cost_;
    std::optional<Cost> cost_of_any_;  ///< for jobs of which none is done
};

}  // namespace trainyard::node::verify
