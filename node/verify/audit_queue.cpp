// SPDX-License-Identifier: Apache-2.0
// Earliest due date first, without those whose absence costs least.
#include "node/verify/audit_queue.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace trainyard::node::verify {
namespace {

constexpr uint64_t kBlock = 256;  ///< the unit of costs

/// Until the end of the block in which the answer is due.
uint64_t time_left(uint64_t block, uint64_t due) {
    return (due - block + 1) * kBlock - 1;
}

/// The next estimate: three quarters of what was thought, one of what was seen.
uint64_t learned(uint64_t before, uint64_t seen) {
    return before - before / 4 + seen / 4;
}

}  // namespace

void AuditQueue::add(CaseRequest request, uint64_t due) {
    cost_.try_emplace(request.seat.job, 0);
    const Cost cost = cost_of(request.seat.job);
    waiting_.emplace(due, Waiting{std::move(request), cost});
}

void AuditQueue::learn(uint64_t job, size_t cases, uint64_t blocks) {
    if (cases == 0) return;
    const Cost all = std::min<uint64_t>(blocks, UINT32_MAX) * kBlock;
    const Cost seen = std::max<Cost>(all / cases, 1);  // never zero: fees are divided by it
    cost_of_any_ = cost_of_any_ ? learned(*cost_of_any_, seen) : seen;
    const auto it = cost_.find(job);
    if (it == cost_.end()) return;
    it->second = it->second == 0 ? seen : learned(it->second, seen);
    for (auto& [due, waiting] : waiting_)
        if (waiting.request.seat.job == job) waiting.cost = it->second;
}

void AuditQueue::forget(uint64_t job) {
    cost_.erase(job);
}

AuditQueue::Cost AuditQueue::cost_of(uint64_t job) const {
    const auto found = cost_.find(job);
    const bool is_known = found != cost_.end() && found->second != 0;
    return is_known ? found->second : cost_of_any_.value_or(1);
}

std::vector<Seat> AuditQueue::drop_late(uint64_t block) {
    std::vector<Seat> out;
    const auto end = waiting_.lower_bound(block);
    for (auto it = waiting_.begin(); it != end; ++it) out.push_back(it->second.request.seat);
    waiting_.erase(waiting_.begin(), end);
    return out;
}

/// By due date, as many as can be done in time; what is left out for that pays least for its time.
AuditQueue::Order AuditQueue::in_time(uint64_t block) {
    const auto pays_less = [](const ByDue::iterator& a, const ByDue::iterator& b) {
        const Waiting &x = a->second, &y = b->second;
        return x.request.spec.audit_fee_wei * Uint256(y.cost) <
               y.request.spec.audit_fee_wei * Uint256(x.cost);
    };
    std::multiset<ByDue::iterator, decltype(pays_less)> kept(pays_less);
    Cost busy = 0;
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
        const Cost left = time_left(block, it->first);
        if (it->second.cost > left) continue;  // nothing that makes room for it would help
        kept.insert(it);
        busy += it->second.cost;
        for (; busy > left; kept.erase(kept.begin())) busy -= (*kept.begin())->second.cost;
    }
    Order out(kept.begin(), kept.end());
    std::stable_sort(out.begin(), out.end(),
                     [](const auto& a, const auto& b) { return a->first < b->first; });
    return out;
}

/// The first of the order, and others of its job, which travel with it, as long as all between them
/// stay in time.
AuditQueue::Order AuditQueue::with_others_of_its_job(uint64_t block, const Order& order) const {
    Order out{order.front()};
    const uint64_t job = order.front()->second.request.seat.job;
    Cost busy = order.front()->second.cost;
    Cost slack = UINT64_MAX;  // of those that the next one would overtake
    for (size_t i = 1; i < order.size() && out.size() < kAuditsMax; ++i) {
        const auto& [due, waiting] = *order[i];
        busy += waiting.cost;
        if (waiting.request.seat.job != job) {
            const Cost left = time_left(block, due);
            slack = std::min(slack, left - std::min(left, busy));
        } else if (waiting.cost <= slack) {
            out.push_back(order[i]);
            if (slack != UINT64_MAX) slack -= waiting.cost;
        }
    }
    return out;
}

AuditQueue::Batch AuditQueue::take(uint64_t block) {
    Batch out;
    out.late = drop_late(block);
    if (waiting_.empty()) return out;
    Order order = in_time(block);
    // Nothing seems to be in time: estimates err, and the first may still be.
    if (order.empty()) order.push_back(waiting_.begin());
    for (const auto& it : with_others_of_its_job(block, order)) {
        out.cases.push_back(std::move(it->second.request));
        waiting_.erase(it);
    }
    return out;
}

}  // namespace trainyard::node::verify
