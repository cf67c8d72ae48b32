// SPDX-License-Identifier: Apache-2.0
// Somebody floods the auditors with jobs of its own while a colluding provider cheats. Auditors do
// only so much in a block.
#include <algorithm>
#include <deque>

#include "market_fixture.hpp"

namespace trainyard::contracts {
namespace {

constexpr uint64_t kRate = 1'000;  ///< multiply-adds that a validator really does in a block

/// Validators whose time is short: each works off what it is asked, first come first served, and
/// answers honestly what it has finished in time.
class Yard : public MarketFixture {
public:
    /// `promised` per block: what the market counts on.
    explicit Yard(const Uint256& promised)
        : MarketFixture({{"workPerBlock", promised},
                         {"substRounds", 0},
                         {"serveBlocks", 4},
                         {"commitBlocks", 4},
                         {"commitBlocksL1", 4},
                         {"revealBlocks", 4},
                         {"openBlocks", 4}}) {
        spec.segments = 1;
        spec.unit_work = kRate / 4;
        spec.price = kCoin / 100;
        spec.segment_blocks = 20;
    }

    uint64_t commit(const FakeSegment& made) {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, made).ok);
        made_.push_back(made);
        return job;
    }
    /// Until nothing is left to do.
    void run() {
        for (int blocks = 0; blocks < 1'000 && !is_done(); ++blocks) {
            // The flood's segments are opened and served first: whoever floods pays for that.
            for (uint64_t job = made_.size(); job > 0; --job) move(job - 1);
            work();
            market.chain.mine();
        }
        EXPECT_TRUE(is_done());
    }
    [[nodiscard]] SegmentState state(uint64_t job) { return market.segment(job, 0).state; }
    [[nodiscard]] size_t unaudited() const {
        static const Hash accepted = keccak256(as_bytes("SegmentAccepted(uint256,uint32,bool)"));
        return count([](const Log& log) {
            return log.topics[0] == accepted && word_at(log.data, 0).is_zero();
        });
    }
    [[nodiscard]] size_t silent() const {
        static const Hash fined =
            keccak256(as_bytes("AuditorFined(uint256,uint32,address,uint256,string)"));
        return count([](const Log& log) { return log.topics[0] == fined; });
    }

private:
    void TestBody() override {}
    struct Task {
        uint64_t job = 0, round = 0, work = 0;
        SegmentState level = SegmentState::none;
        bool operator<(const Task& o) const {
            return std::tie(job, round, level) < std::tie(o.job, o.round, o.level);
        }
    };

    template <class F>
    [[nodiscard]] size_t count(F is_one) const {
        size_t out = 0;
        for (const std::vector<Log>& logs : market.told())
            out += static_cast<size_t>(std::count_if(logs.begin(), logs.end(), is_one));
        return out;
    }
    [[nodiscard]] bool is_done() {
        for (uint64_t job = 0; job < made_.size(); ++job) {
            const SegmentState s = state(job);
            if (s != SegmentState::accepted && s != SegmentState::void_proven) return false;
        }
        return true;
    }
    /// What provider and passers-by do for a segment in this block, and who is asked for answers.
    void move(uint64_t job) {
        const SegmentView s = market.segment(job, 0);
        const bool is_over = market.chain.number() > s.phase_deadline;
        switch (s.state) {
            case SegmentState::committed:
                if (market.audit_wait(job, 0) == 0) market.on_segment(kAnyone, "openAudit", job, 0);
                return;
            case SegmentState::l0:
            case SegmentState::l1:
                if (is_over) {
                    market.on_segment(kAnyone, "advance", job, 0);
                    return;
                }
                break;
            default:
                return;
        }
        switch (market.phase(job, 0)) {
            case Phase::serve:
                market.serve(kProvider, job, 0);
                break;
            case Phase::commit:
                ask(job, s);
                break;
            case Phase::reveal:
                for (const Address& a : market.auditors(job, 0))
                    if (done_[a].contains({job, s.round, 0, s.state}))
                        market.reveal_answer(a, job, 0, verdict(job, s), answers(a, job, s));
                break;
            case Phase::open:
                market.open(kProvider, job, 0, made_.at(job));
                break;
            default:
                break;
        }
    }
    void ask(uint64_t job, const SegmentView& s) {
        const bool is_replay = s.state == SegmentState::l1;
        const uint64_t units = is_replay ? spec.steps * spec.micro_batches : 4;
        const Task task{job, s.round, units * spec.unit_work, s.state};
        for (const Address& a : market.auditors(job, 0))
            if (asked_[a].insert(task).second) (is_replay ? replays_ : audits_)[a].push_back(task);
    }
    /// A block's time: half for audits, half for replays, all of it for the one if there is nothing
    /// else to do.
    void work() {
        for (const Address& a : market.validators) {
            const uint64_t left = spend(a, audits_[a], replays_[a].empty() ? kRate : kRate / 2);
            spend(a, replays_[a], audits_[a].empty() ? kRate : kRate / 2 + left);
        }
    }
    uint64_t spend(const Address& who, std::deque<Task>& tasks, uint64_t time) {
        while (time > 0 && !tasks.empty()) {
            Task& task = tasks.front();
            const SegmentView s = market.segment(task.job, 0);
            const bool is_asked = s.state == task.level && s.round == task.round &&
                                  market.phase(task.job, 0) == Phase::commit &&
                                  market.chain.number() <= s.phase_deadline;
            const uint64_t spent = is_asked ? std::min(task.work, time) : 0;
            task.work -= spent, time -= spent;
            if (is_asked && task.work > 0) return 0;
            if (is_asked) {
                const Verdict v = verdict(task.job, s);
                if (market.commit_answer(who, task.job, 0, v, answers(who, task.job, s)).ok)
                    done_[who].insert({task.job, s.round, 0, s.state});
            }
            tasks.pop_front();
        }
        return time;
    }
    Verdict verdict(uint64_t job, const SegmentView& s) const {
        const bool is_right = made_.at(job).claims_the_same(honest(0));
        return s.state == SegmentState::l0 || is_right ? Verdict::match : Verdict::mismatch;
    }
    std::vector<Hash> answers(const Address& who, uint64_t job, const SegmentView& s) {
        if (s.state == SegmentState::l1)
            return {s.round == 0 ? sha256(honest(0).digest().bytes) : honest(0).digest()};
        std::vector<Hash> out;
        for (const UnitAt& at : market.units_of(job, 0, who))
            out.push_back(honest(0).unit_leaf(at));
        return out;
    }

    std::vector<FakeSegment> made_;
    std::map<Address, std::deque<Task>> audits_, replays_;
    std::map<Address, std::set<Task>> asked_, done_;
};

/// The flood: 30 jobs, each with three audits of a block of a validator's time. Ten validators have
/// four blocks in a phase. Its victim is the client of the first job.
constexpr size_t kFlood = 30;

TEST(flood, without_a_limit_a_fraud_passes_that_nobody_had_time_for) {
    Yard yard(Uint256(1) << 62);
    const uint64_t cheat = yard.commit(yard.fake(0));
    for (size_t i = 0; i < kFlood; ++i) yard.commit(yard.honest(0));
    yard.run();
    EXPECT_EQ(yard.state(cheat), SegmentState::accepted);
    EXPECT_GT(yard.unaudited(), 0u);
    EXPECT_GT(yard.silent(), kFlood) << "honest auditors pay for it";
}

TEST(flood, with_the_limit_it_is_found_and_every_audit_is_done_in_time) {
    Yard yard(kRate);
    const uint64_t cheat = yard.commit(yard.fake(0));
    for (size_t i = 0; i < kFlood; ++i) yard.commit(yard.honest(0));
    yard.run();
    EXPECT_EQ(yard.state(cheat), SegmentState::void_proven);
    EXPECT_EQ(yard.unaudited(), 0u);
    EXPECT_EQ(yard.silent(), 0u);
}

}  // namespace
}  // namespace trainyard::contracts
