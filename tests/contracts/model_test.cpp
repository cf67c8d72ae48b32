// SPDX-License-Identifier: Apache-2.0
// Random calls by honest, lying and vanishing roles; after each, money and segments obey the
// invariants.
#include <gtest/gtest.h>

#include <random>

#include "core/hash.hpp"
#include "market.hpp"

namespace trainyard::contracts {
namespace {

constexpr int kSeeds = 16;
constexpr int kSteps = 800;
constexpr int kStepsPerCheck = 4;
const Address kAnyone = actor("anyone");

/// What a validator decided to answer in one round, until it has revealed.
struct Planned {
    Verdict verdict = Verdict::match;
    std::vector<Hash> answers;
};

/// What answered at level 1 of one attempt: stake of the last committee, and whether a committee
/// had to be asked because one of the pair was honest or somebody challenged the segment.
struct Tally {
    Uint256 truth, all;
    bool is_contested = false;
};

class Model {
public:
    explicit Model(uint64_t seed)
        : market_(5, {{"serveBlocks", 24},
                      {"commitBlocks", 24},
                      {"commitBlocksL1", 24},
                      {"revealBlocks", 24},
                      {"openBlocks", 24},
                      {"maxInFlight", 3},
                      {"replayBps", 5000},
                      {"windowBlocks", seed % 4 == 0 ? 0 : 20}}),
          random_(seed) {
        for (int i = 0; i < 3; ++i) {
            clients_.push_back(actor("client " + std::to_string(i)));
            providers_.push_back(actor("provider " + std::to_string(i)));
            market_.add_provider(providers_.back(), kCoin * 40);
            outsiders_.push_back(actor("outsider " + std::to_string(i)));
        }
        market_.chain.give(kAnyone, kCoin);
        given_ = market_.chain.supply();
        spec_.segment_blocks = 60;
    }

    void step() {
        const uint64_t dice = pick(100);
        if (dice < 16)  // now and then for so long that what is committed must be drawn anew
            market_.chain.mine(pick(100) == 0 ? 450 : 1 + pick(6));
        else if (dice < 20)
            post();
        else if (dice < 26)
            take();
        else if (dice < 40)
            commit();
        else if (dice < 82)
            audit_something();
        else if (dice < 88)
            contest();
        else if (dice < 96)
            on_job();
        else
            move_stake();
    }

    void check() {
        check_money();
        for (uint64_t job = 0; job < jobs_; ++job) check_job(job);
    }

    /// Everyone but `kAnyone` has vanished; all jobs still close, and then all money can leave.
    void wind_up() {
        market_.chain.skip_seconds(100'000);
        for (int round = 0; round < 400 && !all_closed(); ++round) {
            for (uint64_t job = 0; job < jobs_; ++job) {
                for (uint32_t seg = 0; seg < spec_.segments; ++seg)
                    note(market_.on_segment(kAnyone, "advance", job, seg));
                note(market_.finalize(job));
                note(market_.simple(kAnyone, "expire", job));
                note(market_.simple(kAnyone, "close", job));
            }
            market_.chain.mine(8);
        }
        ASSERT_TRUE(all_closed());
        while (!open_bonds_.empty() && !testing::Test::HasFailure())
            reclaim(open_bonds_.begin()->first);
        check();
        for (uint64_t job = 0; job < jobs_; ++job) {
            EXPECT_EQ(market_.job(job).escrow, 0);
            for (const Address& p : providers_) free_bond(job, p);
        }
        for (const Address& p : providers_)
            EXPECT_EQ(market_.provider_money(p)[1], 0) << "reserved";
        for (const std::vector<Address>* group : groups())
            for (const Address& who : *group) market_.withdraw(who);
        EXPECT_EQ(market_.chain.balance(market_.at()), 0);
    }

    [[nodiscard]] size_t paid() const { return paid_.size(); }
    [[nodiscard]] size_t frauds() const { return frauds_; }
    [[nodiscard]] size_t postponed() const { return postponed_; }
    [[nodiscard]] size_t won() const { return won_; }
    [[nodiscard]] size_t lost() const { return lost_; }
    [[nodiscard]] size_t reclaimed() const { return reclaimed_; }

private:
    uint64_t pick(uint64_t below) { return random_() % below; }
    [[nodiscard]] std::array<const std::vector<Address>*, 4> groups() const {
        return {&clients_, &providers_, &market_.validators, &outsiders_};
    }
    const Address& one_of(const std::vector<Address>& list) { return list[pick(list.size())]; }

    [[nodiscard]] bool all_closed() {
        for (uint64_t job = 0; job < jobs_; ++job)
            if (market_.job(job).state != JobState::closed) return false;
        return true;
    }

    void post() {
        if (jobs_ == 6) return;
        const Uint256 escrow = market_.quote(spec_);
        const Address& client = one_of(clients_);
        market_.chain.give(client, escrow + 3);
        given_ += escrow + 3;
        ASSERT_TRUE(market_.post(client, spec_, escrow + 3).ok);
        ++jobs_;
    }

    void take() {
        if (jobs_ > 0) note(market_.take(one_of(providers_), pick(jobs_)));
    }

    [[nodiscard]] FakeSegment truth(uint32_t seg, const Hash& first) const {
        return {spec_, seg, "truth" + to_hex(first.bytes), first};
    }

    void commit() {
        if (jobs_ == 0) return;
        const uint64_t job = pick(jobs_);
        const JobView j = market_.job(job);
        const uint32_t seg = static_cast<uint32_t>(j.tip);
        const Hash first = seg == 0 ? keccak256(as_bytes("init")) : j.tip_root;
        const bool lies = pick(4) == 0;
        FakeSegment made = truth(seg, first);
        if (lies && pick(3) == 0)
            made = FakeSegment(spec_, seg, "lie", first);
        else if (lies)
            made = made.with_other_sums();  // which level 0 does not see
        if (note(market_.commit(j.provider, job, seg, made)).ok)
            made_.insert_or_assign({job, seg}, made);
    }

    void audit_something() {
        if (jobs_ == 0) return;
        const uint64_t job = pick(jobs_);
        const JobView j = market_.job(job);
        if (j.tip == j.final_segments) return;
        audit(job, static_cast<uint32_t>(j.final_segments + pick(j.tip - j.final_segments)));
    }

    void audit(uint64_t job, uint32_t seg) {
        const Address provider = market_.segment(job, seg).provider;
        switch (market_.phase(job, seg)) {
            case Phase::serve:
                if (pick(8) != 0) note(market_.serve(provider, job, seg));
                break;
            case Phase::commit:
                for (const Address& a : market_.auditors(job, seg)) commit_answer(a, job, seg);
                break;
            case Phase::reveal:
                for (const Address& a : market_.auditors(job, seg)) reveal_answer(a, job, seg);
                break;
            case Phase::open:
                if (pick(8) != 0) note(market_.open(provider, job, seg, made_.at({job, seg})));
                break;
            default:
                break;
        }
        if (pick(4) == 0) note(market_.on_segment(kAnyone, "advance", job, seg));
    }

    /// Whoever likes challenges whatever is there; the model knows what must come of it.
    void contest() {
        if (jobs_ == 0) return;
        if (!open_bonds_.empty() && pick(3) == 0)
            return reclaim(
                std::next(open_bonds_.begin(), static_cast<long>(pick(open_bonds_.size())))->first);
        uint64_t job = pick(jobs_);
        auto seg = static_cast<uint32_t>(pick(spec_.segments));
        for (size_t left = jobs_ * spec_.segments; left > 0 && pick(16) != 0; --left) {
            if (market_.segment(job, seg).state == SegmentState::accepted) break;
            seg = (seg + 1) % spec_.segments;
            if (seg == 0) job = (job + 1) % jobs_;
        }
        const Uint256 wei = market_.challenge_bond(job, seg) + pick(2);
        given_ += wei;
        if (!note(market_.challenge(one_of(*groups()[pick(4)]), job, seg, wei)).ok) return;
        for (uint64_t left = pick(40); left > 0; --left) {  // few would come to their end else
            market_.chain.mine(2);
            audit(job, seg);
        }
    }

    using AttemptKey = std::tuple<uint64_t, uint32_t, uint64_t>;
    void reclaim(const AttemptKey key) {
        const auto& [job, seg, attempt] = key;
        const SegmentView s = market_.segment(job, seg);
        const bool lives = s.attempt == attempt && s.state != SegmentState::void_proven;
        reclaiming_ = key;
        const bool done = note(market_.reclaim(job, seg, attempt)).ok;
        reclaiming_.reset();
        EXPECT_EQ(done, !lives)
            << "a bond comes back without its committee only if the segment fell";
        EXPECT_EQ(open_bonds_.contains(key), lives);
        if (done) ++reclaimed_;
    }

    void commit_answer(const Address& auditor, uint64_t job, uint32_t seg) {
        if (pick(10) == 0) return;
        const SegmentView s = market_.segment(job, seg);
        const FakeSegment right = truth(seg, s.first);
        const bool lies = auditor == market_.validators[0] || pick(25) == 0;
        Planned plan;
        if (s.state == SegmentState::l1) {
            const bool is_right = s.steps_root == right.steps_root();
            plan.verdict = is_right != lies ? Verdict::match : Verdict::mismatch;
            const Hash digest = s.round == 0 ? sha256(right.digest().bytes) : right.digest();
            plan.answers = {lies ? keccak256(auditor.bytes) : digest};
            if (lies && pick(3) == 0) plan = {Verdict::mismatch, {to_hash(Uint256(pick(2)))}};
        } else {
            for (const UnitAt& unit : market_.units_of(job, seg, auditor))
                plan.answers.push_back(lies ? keccak256(auditor.bytes) : right.unit_leaf(unit));
            if (lies && pick(2) == 0) plan.verdict = Verdict::mismatch;
        }
        if (note(market_.commit_answer(auditor, job, seg, plan.verdict, plan.answers)).ok)
            planned_[{job, seg, auditor}] = plan;
    }

    void reveal_answer(const Address& auditor, uint64_t job, uint32_t seg) {
        const auto plan = planned_.find({job, seg, auditor});
        if (plan == planned_.end() || pick(12) == 0) return;
        const SegmentView s = market_.segment(job, seg);
        if (s.state == SegmentState::l1) {
            // Counted before the call, because the last reveal already decides.
            Tally& tally = tallies_[{job, seg, s.attempt}];
            const Tally before = tally;
            const Uint256 weight = weight_of(auditor, s.seed_epoch);
            const Hash digest = truth(seg, s.first).digest();
            if (s.round == 0) {
                tally.is_contested |= plan->second.answers[0] == sha256(digest.bytes);
            } else {
                tally.all += weight;
                if (plan->second.answers[0] == digest) tally.truth += weight;
            }
            if (!note(market_.reveal_answer(auditor, job, seg, plan->second.verdict,
                                            plan->second.answers))
                     .ok)
                tallies_[{job, seg, s.attempt}] = before;
            return;
        }
        note(market_.reveal_answer(auditor, job, seg, plan->second.verdict, plan->second.answers));
    }

    [[nodiscard]] Uint256 weight_of(const Address& validator, uint64_t epoch) {
        const Abi args = Abi().address(validator).word(epoch);
        return word_at(market_.chain.call(market_.chain.address("Staking"),
                                          call_data("weightAt(address,uint256)", args)),
                       0);
    }

    void on_job() {
        if (jobs_ == 0) return;
        const uint64_t job = pick(jobs_);
        const JobView j = market_.job(job);
        switch (pick(9)) {
            case 0:
                if (pick(6) == 0) note(market_.simple(j.client, "cancel", job));
                break;
            case 1:
                if (pick(3) == 0) note(market_.simple(j.provider, "release", job));
                break;
            case 2:
                note(market_.simple(kAnyone, "evict", job));
                break;
            case 3:
                note(market_.simple(kAnyone, "close", job));
                break;
            case 4:
                free_bond(job, one_of(providers_));
                break;
            case 5:
                market_.withdraw(one_of(pick(2) == 0 ? providers_ : clients_));
                break;
            case 6:
                market_.withdraw(one_of(market_.validators));
                break;
            default:
                note(market_.finalize(job, 1 + static_cast<uint32_t>(pick(3))));
                break;
        }
    }

    void free_bond(uint64_t job, const Address& provider) {
        const Abi args = Abi().word(job).address(provider);
        for (int i = 0; i < 3; ++i) market_.call(kAnyone, "freeBond(uint256,address)", args);
    }

    void move_stake() {
        const Address& registry = market_.chain.address("ProviderRegistry");
        const Address& staking = market_.chain.address("Staking");
        const Address& v = one_of(market_.validators);
        const Address& p = one_of(providers_);
        const Abi amount = Abi().word(kCoin / 2 * pick(5));
        switch (pick(5)) {
            case 0:
                market_.chain.send(v, staking, call_data("unbond(uint256)", amount));
                break;
            case 1:
                market_.chain.send(
                    v, staking, call_data("withdraw(address,uint256)", Abi().address(v).word(3)));
                break;
            case 2:
                market_.chain.send(p, registry, call_data("requestUnstake(uint256)", amount));
                break;
            case 3:
                market_.chain.send(p, registry, call_data("withdraw()"));
                break;
            default:
                market_.chain.send(kAnyone, staking,
                                   call_data("deposit(address)", Abi().address(v)), kCoin / 100);
        }
    }

    /// Reads the events of a call: nothing is final twice, and who is right is not slashed.
    const Sent& note(Sent sent) {
        last_ = std::move(sent);
        static const Hash final_topic =
            keccak256(as_bytes("SegmentFinal(uint256,uint32,uint256,uint256)"));
        static const Hash void_topic =
            keccak256(as_bytes("SegmentVoid(uint256,uint32,address,uint256)"));
        static const Hash accepted_topic =
            keccak256(as_bytes("SegmentAccepted(uint256,uint32,bool)"));
        static const Hash postponed_topic =
            keccak256(as_bytes("AuditPostponed(uint256,uint32,uint64)"));
        for (const Log& log : last_.logs) {
            if (log.address != market_.at()) continue;
            const auto job = from_hash(log.topics.size() > 1 ? log.topics[1] : Hash{}).low();
            const auto seg = static_cast<uint32_t>(
                from_hash(log.topics.size() > 2 ? log.topics[2] : Hash{}).low());
            if (log.topics[0] == final_topic) {
                EXPECT_TRUE(paid_.insert({job, seg}).second)
                    << "job " << job << " segment " << seg << " paid twice";
                const Uint256 sum = word_at(log.data, 0) + word_at(log.data, 1);
                EXPECT_TRUE(sum == spec_.price || sum.is_zero());
                roots_[{job, seg}] = market_.segment(job, seg).root;
            }
            if (log.topics[0] == void_topic && !word_at(log.data, 0).is_zero())
                expect_guilty(job, seg);
            if (log.topics[0] == accepted_topic) expect_unseen_or_right(job, seg);
            if (log.topics[0] == postponed_topic) ++postponed_;
            note_challenge(log, job, seg);
            note_fine(log, job, seg);
        }
        return last_;
    }

    void note_challenge(const Log& log, uint64_t job, uint32_t seg) {
        static const Hash made_topic =
            keccak256(as_bytes("SegmentChallenged(uint256,uint32,address,uint256)"));
        static const Hash settled_topic =
            keccak256(as_bytes("ChallengeSettled(uint256,uint32,address,bool,uint256)"));
        if (log.topics[0] == made_topic) {
            const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
            EXPECT_TRUE(open_bonds_.emplace(key, word_at(log.data, 0)).second);
            tallies_[key] = {0, 0, true};
        }
        if (log.topics[0] != settled_topic) return;
        const AttemptKey now{job, seg, market_.segment(job, seg).attempt};
        const auto at = open_bonds_.find(reclaiming_.value_or(now));
        ASSERT_TRUE(at != open_bonds_.end());
        const bool has_won = word_at(log.data, 0) == 1;
        const Uint256 returned = word_at(log.data, 1);
        EXPECT_TRUE(returned == at->second || (returned.is_zero() && !has_won));
        if (has_won) ++won_;
        if (returned.is_zero()) ++lost_;
        if (returned.is_zero()) paid_in_[job] += spec_.audit_fee * 7;
        open_bonds_.erase(at);
    }

    /// Nobody pays twice for one seat.
    void note_fine(const Log& log, uint64_t job, uint32_t seg) {
        static const Hash opened_topic =
            keccak256(as_bytes("AuditOpened(uint256,uint32,uint8,uint8,address[],bytes32)"));
        static const Hash fined_topic =
            keccak256(as_bytes("AuditorFined(uint256,uint32,address,uint256,string)"));
        const uint64_t attempt = market_.segment(job, seg).attempt;
        if (log.topics[0] == opened_topic)
            for (size_t i = 0; i < word_at(log.data, 4).low(); ++i)
                ++seats_[{job, seg, attempt, address_at(log.data, 5 + i)}];
        if (log.topics[0] != fined_topic) return;
        Address who;
        std::copy(log.topics[3].begin() + 12, log.topics[3].end(), who.begin());
        size_t& left = seats_[{job, seg, attempt, who}];
        EXPECT_GT(left, 0u) << "fined more often than seated";
        if (left > 0) --left;
    }

    void expect_guilty(uint64_t job, uint32_t seg) {
        ++frauds_;
        const FakeSegment& made = made_.at({job, seg});
        const Tally& tally = tallies_[{job, seg, market_.segment(job, seg).attempt}];
        if (tally.truth * 2 > tally.all) {
            EXPECT_NE(made.steps_root(), truth(seg, made.first()).steps_root())
                << "an honest provider was slashed";
        }
    }

    /// One honest auditor of the pair or one challenger is enough to bring a lie before a
    /// committee, and a majority there to end it.
    void expect_unseen_or_right(uint64_t job, uint32_t seg) {
        const FakeSegment& made = made_.at({job, seg});
        if (made.steps_root() == truth(seg, made.first()).steps_root()) return;
        const auto found = tallies_.find({job, seg, market_.segment(job, seg).attempt});
        if (found == tallies_.end() || !found->second.is_contested) return;
        EXPECT_LE(found->second.truth * 2, found->second.all) << "the alarm was not heard";
    }

    void check_money() {
        EXPECT_EQ(market_.chain.supply(), given_);
        Uint256 owed;
        for (uint64_t job = 0; job < jobs_; ++job) owed += market_.job(job).escrow;
        for (const auto& [key, bond] : open_bonds_) owed += bond;
        for (const std::vector<Address>* group : groups())
            for (const Address& who : *group) owed += market_.credit(who);
        EXPECT_EQ(to_decimal(owed), to_decimal(market_.chain.balance(market_.at())));
        Uint256 stakes, reserved_all;
        for (const Address& p : providers_) {
            const std::vector<Uint256> money = market_.provider_money(p);
            stakes += money[0] + money[2];
            reserved_all += money[1];
            EXPECT_LE(money[1], money[0]);
        }
        EXPECT_EQ(stakes, market_.chain.balance(market_.chain.address("ProviderRegistry")));
        Uint256 bonds;
        for (uint64_t job = 0; job < jobs_; ++job)
            for (const Address& p : providers_) bonds += bond_of(job, p);
        EXPECT_EQ(bonds, reserved_all);
        check_validators();
    }

    void check_validators() {
        const Address& staking = market_.chain.address("Staking");
        Uint256 active, leaving;
        for (const Address& v : market_.validators) {
            active += market_.stake_of(v);
            const Bytes queue = market_.chain.call(
                staking, call_data("unbonding(address,address)", Abi().address(v).address(v)));
            const size_t count = array_at(queue, 0).size();
            for (size_t i = 0; i < count; ++i) leaving += word_at(queue, 2 + 2 * i);
        }
        EXPECT_EQ(active, word_at(market_.chain.call(staking, call_data("totalStake()")), 0));
        EXPECT_EQ(active + leaving, market_.chain.balance(staking));
    }

    [[nodiscard]] Uint256 bond_of(uint64_t job, const Address& p) {
        const Bytes data = call_data("bondOf(uint256,address)", Abi().word(job).address(p));
        return word_at(market_.chain.call(market_.at(), data), 0);
    }

    /// Final segments are a prefix that never changes, each starts where the one before ended.
    void check_job(uint64_t job) {
        const JobView j = market_.job(job);
        EXPECT_LE(j.final_segments, j.tip);
        EXPECT_LE(j.escrow, market_.quote(spec_) + paid_in_[job]);
        const Uint256 due =
            market_.quote(spec_) / spec_.segments * (spec_.segments - j.final_segments);
        EXPECT_TRUE(j.state == JobState::closed || j.escrow >= due)
            << "later segments are not covered";
        Hash last;
        for (uint32_t seg = 0; seg < j.tip; ++seg) {
            const SegmentView s = market_.segment(job, seg);
            EXPECT_EQ(s.state == SegmentState::final_paid, seg < j.final_segments);
            EXPECT_TRUE(seg == 0 || s.first == last);
            EXPECT_TRUE(seg >= j.final_segments || (s.root == roots_[{job, seg}]));
            last = s.last;
        }
    }

    Market market_;
    std::mt19937_64 random_;
    JobSpec spec_;
    std::vector<Address> clients_, providers_, outsiders_;
    uint64_t jobs_ = 0;
    Uint256 given_;
    Sent last_;
    size_t frauds_ = 0, postponed_ = 0, won_ = 0, lost_ = 0, reclaimed_ = 0;
    std::map<AttemptKey, Uint256> open_bonds_;
    std::optional<AttemptKey> reclaiming_;
    std::map<uint64_t, Uint256> paid_in_;  ///< by lost challenges: committees' fees
    std::map<std::tuple<uint64_t, uint32_t, uint64_t, Address>, size_t> seats_;  ///< not fined
    std::set<std::pair<uint64_t, uint32_t>> paid_;
    std::map<std::pair<uint64_t, uint32_t>, Hash> roots_;
    std::map<std::pair<uint64_t, uint32_t>, FakeSegment> made_;
    std::map<std::tuple<uint64_t, uint32_t, Address>, Planned> planned_;
    std::map<AttemptKey, Tally> tallies_;
};

TEST(market_model, random_calls_keep_money_and_segments_in_order) {
    size_t paid = 0, frauds = 0, postponed = 0, won = 0, lost = 0, reclaimed = 0;
    for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Model model(seed);
        for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE("step " + std::to_string(i));
            model.step();
            if (i % kStepsPerCheck == 0) model.check();
        }
        model.wind_up();
        paid += model.paid();
        frauds += model.frauds();
        postponed += model.postponed();
        won += model.won();
        lost += model.lost();
        reclaimed += model.reclaimed();
    }
    EXPECT_GT(paid, kSeeds * 2u) << "the runs must reach the end of audits";
    EXPECT_GT(frauds, kSeeds / 2u) << "and find frauds";
    EXPECT_GT(postponed, 0u) << "and audits that nobody opened in time";
    EXPECT_GT(won, 0u) << "and challenges that were right";
    EXPECT_GT(lost, 0u) << "and wrong";
    EXPECT_GT(reclaimed, 0u) << "and bonds of segments that fell with another";
    RecordProperty("paid", static_cast<int>(paid));
    RecordProperty("frauds", static_cast<int>(frauds));
    std::printf(
        "paid segments %zu, slashed frauds %zu, postponed audits %zu, challenges won %zu, lost "
        "%zu, reclaimed %zu\n",
        paid, frauds, postponed, won, lost, reclaimed);
}

}  // namespace
}  // namespace trainyard::contracts
