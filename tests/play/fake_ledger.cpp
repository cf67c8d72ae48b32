// SPDX-License-Identifier: Apache-2.0
// Jobs that are posted, fall and open again; draws.
#include "fake_ledger.hpp"

#include <utility>

#include "core/hash.hpp"

namespace trainyard::test {

using wallet::JobState;
using wallet::Phase;
using wallet::SegmentState;

Hash FakeLedger::random(std::string_view purpose, uint64_t a, uint64_t b) const {
    Bytes data(purpose.begin(), purpose.end());
    append_le(data, seed);
    append_le(data, a);
    append_le(data, b);
    return keccak256(data);
}

void FakeLedger::decide(uint64_t id, uint32_t seg) {
    const uint32_t attempt = jobs[id].segments[seg].segment.attempt;
    std::erase_if(put_up, [&](const Bond& bond) {
        return bond.job == id && bond.seg == seg && bond.attempt == attempt;
    });
}

void FakeLedger::make_void(uint64_t id, uint32_t seg) {
    jobs[id].slashed = true;
    fall(id, seg);
}

void FakeLedger::refute(uint64_t id, uint32_t seg) {
    jobs[id].history.push_back("seg " + std::to_string(seg) + " no divergence");
    fall(id, seg);
}

void FakeLedger::fall(uint64_t id, uint32_t seg) {
    auto& j = jobs[id];
    decide(id, seg);
    j.segments[seg].segment.state = SegmentState::void_;
    j.segments[seg].phase = Phase::done;
    j.segments[seg].challenge.challenger = {};
    j.segments[seg].dispute.challenger = {};
    j.history.push_back("seg " + std::to_string(seg) + " void");
    j.job.tip = seg;
    j.job.attempt++;
    j.job.tip_root = seg == 0 ? Hash{} : j.segments[seg].segment.first;
    reopen(id);
}

void FakeLedger::reopen(uint64_t id) {
    jobs[id].job.state = JobState::open;
    jobs[id].job.outcome = wallet::Outcome::none;
    jobs[id].job.provider = Address{};
}

uint64_t FakeLedger::post(const wallet::JobSpec& spec, const Address& client) {
    JobBook book;
    book.spec = spec;
    book.job.client = client;
    book.job.state = JobState::open;
    book.job.run_seed = random("run", jobs.size(), 0);
    jobs.push_back(std::move(book));
    return jobs.size() - 1;
}

}  // namespace trainyard::test
