// SPDX-License-Identifier: Apache-2.0
// Random calls by honest, lying and vanishing roles; after each, money and segments obey the
// invariants.
#include <gtest/gtest.h>

#include <random>

#include "books.hpp"
#include "core/hash.hpp"
#include "market.hpp"
#include "model_runs.hpp"
#include "queue_books.hpp"
#include "training/referee/game.hpp"

namespace trainyard::contracts {
namespace {

using node::wallet::BookingKind;
using node::wallet::PutUp;

#if defined(__SANITIZE_ADDRESS__)
constexpr int kSeeds = 16;  // each takes more than twenty times as long
#else
constexpr int kSeeds = 64;
#endif
constexpr int kSeedsForAll = 64;  ///< what is rare has happened, too
constexpr int kSteps = 900;
constexpr int kStepsPerCheck = 4;
constexpr int kStepsPerBooks = 100;
const Address kAnyone = actor("anyone");

/// What a validator decided to answer in one round, until it has revealed.
struct Planned {
    Verdict verdict = Verdict::match;
    std::vector<Hash> answers;
};

/// What somebody sends along when it objects.
enum class Bond { challenge, dispute, appeal };

/// A dispute as its players see it. Segments are made up, so the provider's sequence is all that it
/// can show: whoever is pointed at a step of its own has lost.
struct Game {
    bool is_faithful = false;  ///< the challenger wants to win
    uint64_t turn = 0;
    Bytes state;
};

/// How often something happened, by name.
using Counts = std::map<std::string, size_t>;

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
                      {"moveBlocks", 10},
                      {"workPerBlock", seed % 3 == 0 ? 500'000 : 10'000'000'000},
                      {"windowBlocks", seed % 4 == 0 ? 0 : 20}}),
          random_(seed),
          seed_(seed) {
        for (int i = 0; i < 3; ++i) {
            clients_.push_back(actor("client " + std::to_string(i)));
            providers_.push_back(actor("provider " + std::to_string(i)));
            market_.add_provider(providers_.back(), kCoin * 40);
            endowed_[providers_.back()] = wealth_of(market_, providers_.back());
            outsiders_.push_back(actor("outsider " + std::to_string(i)));
        }
        market_.chain.give(kAnyone, kCoin);
        given_ = market_.chain.supply();
        spec_.segment_blocks = 60;
    }

    void step() {
        const uint64_t dice = pick(100);
        if (dice < 16)  // now and then for so long that what is committed must be drawn anew
            wait(pick(100) == 0 ? 450 : 1 + pick(6));
        else if (dice < 20)
            post();
        else if (dice < 26)
            take();
        else if (dice < 40)
            commit();
        else if (dice < 78)
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
        queues_.check(market_);
        for (uint64_t job = 0; job < jobs_; ++job) check_job(job);
    }

    /// What events tell of a provider is all that made it richer or poorer.
    void check_earnings() {
        for (const Address& p : providers_) {
            const auto flow = node::wallet::flow_of(earnings_of(market_, p, spec_));
            EXPECT_EQ(to_decimal(endowed_.at(p) + flow.in_wei),
                      to_decimal(wealth_of(market_, p) + flow.out_wei));
        }
    }

    /// Events tell what everybody has put up, and at which attempt.
    void check_put_up() {
        const auto events = events_of(market_);
        for (const auto& [who, expected] : put_up_) {
            std::set<PutUp> told;
            for (const auto& [job, list] : events) told.merge(node::wallet::put_up_in(list, who));
            EXPECT_EQ(told, expected);
        }
    }

    /// Everyone but `kAnyone` has vanished; all jobs still close, and then all money can leave.
    void wind_up() {
        diligent_.clear();
        for (auto& [key, game] : games_) game.is_faithful = false;
        market_.chain.skip_seconds(100'000);
        for (int round = 0; round < 400 && !all_closed(); ++round) {
            for (uint64_t job = 0; job < jobs_; ++job) {
                for (uint32_t seg = 0; seg < spec_.segments; ++seg)
                    for (const char* call : {"advance", "timeout"})
                        note(market_.on_segment(kAnyone, call, job, seg));
                finalize(job, spec_.segments);
                note(market_.simple(kAnyone, "expire", job));
                note(market_.simple(kAnyone, "close", job));
            }
            wait(8);
        }
        ASSERT_TRUE(all_closed());
        for (uint64_t job = 0; job < jobs_; ++job)
            for (uint32_t seg = 0; seg < spec_.segments; ++seg)
                for (uint64_t attempt = 0; attempt <= market_.job(job).attempt; ++attempt)
                    reclaim({job, seg, attempt});
        EXPECT_TRUE(open_bonds_.empty()) << "a bond is locked";
        check();
        for (uint64_t job = 0; job < jobs_; ++job) {
            EXPECT_EQ(market_.job(job).escrow, 0);
            for (const Address& p : providers_) free_bond(job, p);
        }
        check_earnings();
        check_put_up();
        for (const Address& p : providers_)
            for (const auto& booking : earnings_of(market_, p, spec_).bookings)
                ++counts_[std::string(node::wallet::to_text(booking.kind))];
        for (const Address& p : providers_)
            EXPECT_EQ(market_.provider_money(p)[1], 0) << "reserved";
        for (const std::vector<Address>* group : groups())
            for (const Address& who : *group) market_.withdraw(who);
        EXPECT_EQ(market_.chain.balance(market_.at()), 0);
    }

    [[nodiscard]] const Counts& counts() const { return counts_; }

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

    /// Nobody diligent lets a deadline pass.
    void wait(uint64_t blocks) {
        for (const AttemptKey& key : std::set<AttemptKey>(convicted_)) {
            const auto& [job, seg, attempt] = key;
            if (!is_live(key))
                convicted_.erase(key);
            else if (diligent_.contains(key))
                appeal(market_.segment(job, seg).provider, job, seg);
        }
        for (const auto& [key, game] : std::map<AttemptKey, Game>(games_)) {
            if (!is_live(key)) continue;
            bool is_done = true;
            if (game.turn == 0 && diligent_.contains(key)) is_done = show_steps(key);
            if (games_.at(key).turn == 1 && game.is_faithful && !is_right(key))
                is_done = point(key);
            EXPECT_TRUE(is_done);
        }
        market_.chain.mine(blocks);
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

    void commit() {
        if (jobs_ == 0) return;
        const uint64_t job = pick(jobs_);
        const JobView j = market_.job(job);
        const uint32_t seg = static_cast<uint32_t>(j.tip);
        const Hash first = seg == 0 ? runs_.initial_state(job) : j.tip_root;
        const bool lies = pick(4) == 0;
        const FakeSegment made = lies ? runs_.lie(seg, first, random_()) : runs_.truth(seg, first);
        if (!note(market_.commit(j.provider, job, seg, made)).ok) return;
        made_.insert_or_assign({job, seg}, made);
        if (!lies && pick(4) != 0) diligent_.insert({job, seg, j.attempt});
    }

    void audit_something() {
        if (jobs_ == 0) return;
        const uint64_t job = pick(jobs_);
        const JobView j = market_.job(job);
        if (j.tip == j.final_segments) return;
        audit(job, static_cast<uint32_t>(j.final_segments + pick(j.tip - j.final_segments)));
    }

    void audit(uint64_t job, uint32_t seg) {
        const SegmentView s = market_.segment(job, seg);
        const Address provider = s.provider;
        if (s.state == SegmentState::disputed) return play({job, seg, s.attempt});
        if (s.state == SegmentState::convicted && pick(2) == 0)  // liars too
            appeal(pick(4) == 0 ? one_of(*groups()[pick(4)]) : provider, job, seg);
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

    /// Whoever likes challenges or disputes whatever is there; the model knows what must come of
    /// it.
    void contest() {
        if (jobs_ == 0) return;
        if (pick(6) == 0)
            return reclaim({pick(jobs_), static_cast<uint32_t>(pick(spec_.segments)), pick(4)});
        if (!open_bonds_.empty() && pick(3) == 0)
            return reclaim(
                std::next(open_bonds_.begin(), static_cast<long>(pick(open_bonds_.size())))
                    ->first.first);
        uint64_t job = pick(jobs_);
        auto seg = static_cast<uint32_t>(pick(spec_.segments));
        for (size_t left = jobs_ * spec_.segments; left > 0 && pick(16) != 0; --left) {
            const SegmentState state = market_.segment(job, seg).state;
            const bool is_open = state == SegmentState::accepted || state == SegmentState::appealed;
            if (is_open && (pick(3) == 0 || !is_right({job, seg, 0}))) break;
            seg = (seg + 1) % spec_.segments;
            if (seg == 0) job = (job + 1) % jobs_;
        }
        if (!(pick(2) == 0 ? challenge(job, seg) : dispute(job, seg))) return;
        for (uint64_t left = pick(40); left > 0; --left) {  // few would come to their end else
            wait(market_.segment(job, seg).state == SegmentState::disputed ? 20 : 2);
            pick(3) == 0 ? audit_something() : audit(job, seg);
        }
    }

    /// Providers object to their own segments only, in vain: it would not be earned as a provider.
    Address objector(uint64_t job, uint32_t seg) {
        const std::vector<Address>& group = *groups()[pick(4)];
        const Address& who = one_of(group);
        return &group == &providers_ ? market_.segment(job, seg).provider : who;
    }

    /// What calls of the market are given to send along.
    void endow(const Address& who, const Uint256& wei) {
        given_ += wei;
        endowed_[who] += wei;
    }

    bool challenge(uint64_t job, uint32_t seg) {
        const Uint256 wei = market_.challenge_bond(job, seg) + pick(2);
        const Address who = objector(job, seg);
        endow(who, wei);
        return note(market_.challenge(who, job, seg, wei)).ok;
    }

    bool dispute(uint64_t job, uint32_t seg) {
        const Address who = objector(job, seg);
        const Uint256 wei = market_.dispute_bond(job, seg, who) + pick(2);
        endow(who, wei);
        const bool is_own = who == market_.segment(job, seg).provider;
        const bool done = note(market_.dispute(who, job, seg, wei)).ok;
        EXPECT_FALSE(done && is_own);
        return done;
    }

    void appeal(const Address& who, uint64_t job, uint32_t seg) {
        const Uint256 wei = market_.appeal_bond(job) + pick(2);
        endow(who, wei);
        const SegmentView s = market_.segment(job, seg);
        const bool is_due = s.state == SegmentState::convicted && who == s.provider &&
                            market_.chain.number() <= s.phase_deadline;
        EXPECT_EQ(note(market_.appeal(who, job, seg, wei)).ok, is_due);
    }

    using AttemptKey = std::tuple<uint64_t, uint32_t, uint64_t>;
    using BondKey = std::pair<AttemptKey, Bond>;
    [[nodiscard]] bool is_live(const AttemptKey& key) {
        const auto& [job, seg, attempt] = key;
        const SegmentView s = market_.segment(job, seg);
        return s.attempt == attempt && s.state != SegmentState::void_proven;
    }
    /// Of the attempt that was committed last.
    [[nodiscard]] bool is_right(const AttemptKey& key) const {
        const auto& [job, seg, attempt] = key;
        const FakeSegment& made = made_.at({job, seg});
        return runs_.is_true(seg, made);
    }

    /// Whoever is not diligent does what it likes; a stranger can do nothing.
    void play(const AttemptKey& key) {
        const auto& [job, seg, attempt] = key;
        const Bytes state = games_.at(key).state;
        EXPECT_FALSE(market_.play(kAnyone, job, seg, state, Bytes{0xc1, 0x80}).ok);
        const uint64_t turn = games_.at(key).turn;
        if (turn == 0 && pick(2) == 0) show_steps(key);
        if (turn == 1 && !diligent_.contains(key) && pick(4) == 0) point(key);
        if (pick(4) != 0) return;
        const bool is_over = market_.chain.number() > market_.segment(job, seg).phase_deadline;
        EXPECT_EQ(note(market_.timeout(job, seg)).ok, is_over);
    }

    bool show_steps(const AttemptKey& key) {
        const auto& [job, seg, attempt] = key;
        const Bytes state = games_.at(key).state;
        const Address provider = market_.segment(job, seg).provider;
        return note(market_.play(provider, job, seg, state, made_.at({job, seg}).show_steps())).ok;
    }

    bool point(const AttemptKey& key) {
        const auto& [job, seg, attempt] = key;
        const Bytes state = games_.at(key).state;
        const Address challenger = market_.dispute_of(job, seg).challenger;
        const auto index = static_cast<uint32_t>(pick(spec_.steps));
        return note(market_.play(challenger, job, seg, state, training::referee::move::pick(index)))
            .ok;
    }

    void reclaim(const AttemptKey key) {
        const auto& [job, seg, attempt] = key;
        const bool is_due = has_bonds(key) && !is_live(key);
        EXPECT_TRUE(!is_due || has_fallen(market_, {job, seg, static_cast<uint32_t>(attempt)}))
            << "its owner would not ask for it";
        reclaiming_ = key;
        EXPECT_EQ(note(market_.reclaim(job, seg, attempt)).ok, is_due)
            << "bonds come back undecided only if the segment fell, and once";
        reclaiming_.reset();
        EXPECT_FALSE(is_due && has_bonds(key));
    }
    [[nodiscard]] bool has_bonds(const AttemptKey& key) const {
        const auto open = open_bonds_.lower_bound({key, Bond::challenge});
        return open != open_bonds_.end() && open->first.first == key;
    }

    void commit_answer(const Address& auditor, uint64_t job, uint32_t seg) {
        if (pick(10) == 0) return;
        const SegmentView s = market_.segment(job, seg);
        const FakeSegment right = runs_.truth(seg, s.first);
        const bool is_bought = s.state == SegmentState::l1 && s.round > 0 && pick(4) != 0 &&
                               (seed_ + job + seg + s.attempt + s.round) % 5 == 0;
        const bool lies = is_bought || auditor == market_.validators[0] || pick(25) == 0;
        const Hash own = keccak256(is_bought ? as_bytes("agreed") : BytesView(auditor.bytes));
        Planned plan;
        if (s.state == SegmentState::l1) {
            plan.verdict =
                is_right({job, seg, s.attempt}) != lies ? Verdict::match : Verdict::mismatch;
            const Hash digest = s.round == 0 ? sha256(right.digest().bytes) : right.digest();
            plan.answers = {lies ? own : digest};
            if (lies && !is_bought && pick(3) == 0)
                plan = {Verdict::mismatch, {to_hash(Uint256(pick(2)))}};
        } else {
            for (const UnitAt& unit : market_.units_of(job, seg, auditor))
                plan.answers.push_back(lies ? own : right.unit_leaf(unit));
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
            const Uint256 weight = market_.weight_of(auditor, s.seed_epoch);
            const Hash digest = runs_.truth(seg, s.first).digest();
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
                finalize(job, 1 + static_cast<uint32_t>(pick(3)));
                break;
        }
    }

    /// Pays no more than the price and those who answered and were not fined for it.
    void finalize(uint64_t job, uint32_t max) {
        const JobView before = market_.job(job);
        note(market_.finalize(job, max));
        const JobView after = market_.job(job);
        Uint256 most;
        for (uint64_t seg = before.final_segments; seg < after.final_segments; ++seg) {
            most += spec_.price;
            const auto number = static_cast<uint32_t>(seg);
            const uint64_t attempt = market_.segment(job, number).attempt;
            for (const Address& v : market_.validators)
                most += spec_.audit_fee * seats_[{job, number, attempt, v}];
        }
        EXPECT_LE(before.escrow - after.escrow, most);
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

    static Hash topic(std::string_view signature) { return keccak256(as_bytes(signature)); }
    /// The last call told such an event.
    [[nodiscard]] bool has_told(const Hash& event) const {
        return std::any_of(last_.logs.begin(), last_.logs.end(),
                           [&](const Log& log) { return log.topics[0] == event; });
    }

    /// Reads the events of a call: nothing is final twice, and who is right is not slashed.
    const Sent& note(Sent sent) {
        last_ = std::move(sent);
        static const Hash final_topic = topic("SegmentFinal(uint256,uint32,uint256,uint256)");
        static const Hash void_topic = topic("SegmentVoid(uint256,uint32,address,uint256)");
        static const Hash accepted_topic = topic("SegmentAccepted(uint256,uint32,bool)");
        static const Hash postponed_topic = topic("AuditPostponed(uint256,uint32,uint64)");
        for (const Log& log : last_.logs) {
            if (log.address != market_.at()) continue;
            const auto job = from_hash(log.topics.size() > 1 ? log.topics[1] : Hash{}).low();
            const auto seg = static_cast<uint32_t>(
                from_hash(log.topics.size() > 2 ? log.topics[2] : Hash{}).low());
            if (log.topics[0] == final_topic) {
                EXPECT_TRUE(paid_.insert({job, seg}).second)
                    << "job " << job << " segment " << seg << " paid twice";
                ++counts_["segments paid"];
                const Uint256 sum = word_at(log.data, 0) + word_at(log.data, 1);
                EXPECT_TRUE(sum == runs_.price_of(made_.at({job, seg})) || sum.is_zero());
                if (made_.at({job, seg}).diverges_at() > 0) ++counts_["divergences paid"];
                roots_[{job, seg}] = market_.segment(job, seg).root;
            }
            if (log.topics[0] == void_topic)
                word_at(log.data, 0).is_zero() ? expect_doubted(job, seg) : expect_guilty(job, seg);
            if (log.topics[0] == accepted_topic) {
                const bool is_audited = word_at(log.data, 0) == 1;
                EXPECT_TRUE(is_audited || made_.at({job, seg}).diverges_at() == 0);
                expect_unseen_or_right(job, seg);
            }
            if (log.topics[0] == postponed_topic) ++counts_["audits postponed"];
            if (queues_.note(market_, log, spec_)) ++counts_["audits that waited"];
            note_bond(log, job, seg);
            note_game(log, job, seg);
            note_fine(log, job, seg);
        }
        return last_;
    }

    void note_bond(const Log& log, uint64_t job, uint32_t seg) {
        static const Hash made[] = {topic("SegmentChallenged(uint256,uint32,address,uint256)"),
                                    topic("SegmentDisputed(uint256,uint32,address,uint256)"),
                                    topic("SegmentAppealed(uint256,uint32,address,uint256)")};
        static const std::string kNames[] = {"challenges", "disputes", "appeals"};
        const Hash settled[] = {topic("ChallengeSettled(uint256,uint32,address,bool,uint256)"),
                                dispute_settled_, appeal_settled_};
        const AttemptKey now{job, seg, market_.segment(job, seg).attempt};
        for (const Bond kind : {Bond::challenge, Bond::dispute, Bond::appeal}) {
            const auto i = static_cast<size_t>(kind);
            if (log.topics[0] == made[i]) {
                EXPECT_TRUE(open_bonds_.emplace(BondKey{now, kind}, word_at(log.data, 0)).second);
                Address who;
                std::copy(log.topics[3].begin() + 12, log.topics[3].end(), who.begin());
                put_up_[who].insert(
                    {job, seg, static_cast<uint32_t>(market_.segment(job, seg).attempt)});
                on_objection(now, kind);
            }
            if (log.topics[0] != settled[i]) continue;
            const AttemptKey key = reclaiming_.value_or(now);
            const auto at = open_bonds_.find({key, kind});
            ASSERT_TRUE(at != open_bonds_.end());
            const bool has_won = word_at(log.data, 0) == 1;
            const Uint256 returned = word_at(log.data, 1);
            EXPECT_TRUE(returned == at->second || (returned.is_zero() && !has_won));
            open_bonds_.erase(at);
            if (!reclaiming_) {
                if (has_won || returned.is_zero())
                    ++counts_[kNames[i] + (has_won ? " won" : " lost")];
                on_settled(key, kind, has_won, returned.is_zero());
                continue;
            }
            EXPECT_FALSE(has_won || returned.is_zero());
            ++counts_[kNames[i] + " reclaimed"];
            if (kind == Bond::dispute) games_.erase(key);
        }
    }

    void on_objection(const AttemptKey& key, Bond kind) {
        if (kind == Bond::challenge) tallies_[key] = {0, 0, true};
        if (kind == Bond::dispute) games_[key] = {pick(4) != 0, 0, {}};
        if (kind == Bond::appeal) convicted_.erase(key);
    }

    void on_settled(const AttemptKey& key, Bond kind, bool has_won, bool is_kept) {
        EXPECT_TRUE(kind == Bond::challenge || has_won != is_kept);
        if (kind == Bond::challenge && is_kept) paid_in_[std::get<0>(key)] += spec_.audit_fee * 7;
        if (kind == Bond::appeal && has_won && !is_right(key)) ++counts_["frauds acquitted"];
        if (kind != Bond::dispute) return;
        expect_fair(key, has_won);
        games_.erase(key);
    }

    void note_game(const Log& log, uint64_t job, uint32_t seg) {
        static const Hash moved_topic = topic("DisputeMoved(uint256,uint32,uint8,bytes)");
        static const Hash convicted_topic =
            topic("SegmentConvicted(uint256,uint32,address,uint64)");
        const AttemptKey now{job, seg, market_.segment(job, seg).attempt};
        if (log.topics[0] == moved_topic) {
            const Moved moved = *moved_in(last_);
            games_.at(now).turn = moved.turn;
            games_.at(now).state = moved.state;
        }
        if (log.topics[0] == convicted_topic) {
            ++counts_["convictions"];
            convicted_.insert(now);
        }
    }

    /// Stake decides nothing here, but who does not move.
    void expect_fair(const AttemptKey& key, bool has_won) {
        const Game& game = games_.at(key);
        EXPECT_EQ(has_won, game.turn == 0);
        EXPECT_TRUE(has_won || !game.is_faithful || is_right(key)) << "a fraud was not proven";
        EXPECT_FALSE(has_won && diligent_.contains(key)) << "an honest provider lost a dispute";
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
        ++counts_["bonds slashed"];
        const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
        if (has_told(dispute_settled_)) return;  // expect_fair has judged it
        EXPECT_FALSE(convicted_.contains(key) && diligent_.contains(key)) << "it had appealed";
        convicted_.erase(key);
        const Tally& tally = tallies_[key];
        EXPECT_FALSE(tally.truth * 2 > tally.all && is_right(key))
            << "an honest provider was slashed";
    }

    /// A segment fell without a slash. That it does not diverge is for a majority to say, as that
    /// its job is unsound.
    void expect_doubted(uint64_t job, uint32_t seg) {
        static const Hash fined_topic = topic("ProviderFined(uint256,address,uint256)");
        const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
        if (made_.at({job, seg}).diverges_at() == 0 || !has_told(fined_topic)) return;
        ++counts_["divergences refuted"];
        const Tally& tally = tallies_[key];
        EXPECT_FALSE(tally.truth * 2 > tally.all && is_right(key)) << "it does diverge";
    }

    /// One honest auditor of the pair or one challenger is enough to bring a lie before a
    /// committee, and a majority there to end it, if its provider does not appeal.
    void expect_unseen_or_right(uint64_t job, uint32_t seg) {
        const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
        if (is_right(key) || has_told(dispute_settled_) || has_told(appeal_settled_)) return;
        const auto found = tallies_.find(key);
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
            for (const Address& p : providers_) bonds += market_.bond_of(job, p);
        EXPECT_EQ(bonds, reserved_all);
        expect_stakes_backed(market_);
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
        bool has_end = true;
        for (uint32_t seg = 0; seg < j.tip; ++seg) {
            const SegmentView s = market_.segment(job, seg);
            EXPECT_TRUE(has_end) << "something follows a divergence";
            has_end = s.diverges_at == 0;
            EXPECT_EQ(s.state == SegmentState::final_paid, seg < j.final_segments);
            EXPECT_TRUE(seg == 0 || s.first == last);
            EXPECT_TRUE(seg >= j.final_segments || (s.root == roots_[{job, seg}]));
            last = s.last;
        }
        EXPECT_EQ(j.outcome == Outcome::diverged, !has_end);
        if (j.state == JobState::closed) check_token(j, j.final_segments - (has_end ? 0 : 1));
    }

    /// A model of the segments that have an end, if there are any.
    void check_token(const JobView& j, uint64_t trained) {
        ASSERT_EQ(j.model_token > 0, trained > 0);
        if (trained == 0) return;
        EXPECT_EQ(market_.segments_of_model(j.model_token - 1), trained);
    }

    Market market_;
    std::mt19937_64 random_;
    uint64_t seed_;
    QueueBooks queues_{market_};
    JobSpec spec_;
    Runs runs_{spec_, seed_};
    std::vector<Address> clients_, providers_, outsiders_;
    uint64_t jobs_ = 0;
    Uint256 given_;
    std::map<Address, Uint256> endowed_;
    Sent last_;
    Counts counts_;
    const Hash dispute_settled_ = topic("DisputeSettled(uint256,uint32,address,bool,uint256)");
    const Hash appeal_settled_ = topic("AppealSettled(uint256,uint32,address,bool,uint256)");
    std::map<BondKey, Uint256> open_bonds_;
    std::map<Address, std::set<PutUp>> put_up_;
    std::map<AttemptKey, Game> games_;
    std::set<AttemptKey> convicted_;  ///< and not yet appealed or void
    std::set<AttemptKey> diligent_;   ///< right, and its provider misses no deadline over it
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
    Counts n;
    for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Model model(seed);
        for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE("step " + std::to_string(i));
            model.step();
            if (i % kStepsPerCheck == 0) model.check();
            if (i % kStepsPerBooks == 0) model.check_earnings();
        }
        model.wind_up();
        for (const auto& [what, count] : model.counts()) n[what] += count;
    }
    EXPECT_GT(n["segments paid"], kSeeds * 2u) << "the runs must reach the end of audits";
    EXPECT_GT(n["bonds slashed"], kSeeds / 2u) << "and find frauds";
    if (kSeeds < kSeedsForAll) return;
    for (const char* what : {"audits postponed", "audits that waited", "challenges won",
                             "challenges lost", "disputes won", "disputes lost", "appeals won",
                             "appeals lost", "divergences paid", "divergences refuted"})
        EXPECT_GT(n[what], 0u) << what;
    for (const auto kind : {BookingKind::fine, BookingKind::slash, BookingKind::appeal_bond,
                            BookingKind::appeal_return, BookingKind::challenge_half,
                            BookingKind::dispute_half, BookingKind::fine_half})
        EXPECT_GT(n[std::string(node::wallet::to_text(kind))], 0u) << node::wallet::to_text(kind);
    EXPECT_GT(n["challenges reclaimed"] + n["disputes reclaimed"] + n["appeals reclaimed"], 0u);
    for (const auto& [what, count] : n) std::printf("%zu %s\n", count, what.c_str());
}

}  // namespace
}  // namespace trainyard::contracts
