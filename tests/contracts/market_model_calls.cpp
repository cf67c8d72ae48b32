// SPDX-License-Identifier: Apache-2.0
// What clients, providers, auditors and those who object do, by dice.
#include "market_model.hpp"

#include <gtest/gtest.h>

#include "training/referee/game.hpp"

namespace trainyard::contracts {

void MarketModel::wait(uint64_t blocks) {
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
        if (games_.at(key).turn == 1 && game.is_faithful && !is_right(key)) is_done = point(key);
        EXPECT_TRUE(is_done);
    }
    market_.chain.mine(blocks);
}

void MarketModel::post() {
    if (jobs_ == 6) return;
    const Uint256 escrow = market_.quote(spec_);
    const Address& client = one_of(clients_);
    market_.chain.give(client, escrow + 3);
    given_ += escrow + 3;
    ASSERT_TRUE(market_.post(client, spec_, escrow + 3).ok);
    ++jobs_;
}

void MarketModel::commit() {
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

void MarketModel::audit_something() {
    if (jobs_ == 0) return;
    const uint64_t job = pick(jobs_);
    const JobView j = market_.job(job);
    if (j.tip == j.final_segments) return;
    audit(job, static_cast<uint32_t>(j.final_segments + pick(j.tip - j.final_segments)));
}

void MarketModel::audit(uint64_t job, uint32_t seg) {
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

void MarketModel::contest() {
    if (jobs_ == 0) return;
    if (pick(6) == 0)
        return reclaim({pick(jobs_), static_cast<uint32_t>(pick(spec_.segments)), pick(4)});
    if (!open_bonds_.empty() && pick(3) == 0)
        return reclaim(std::next(open_bonds_.begin(), static_cast<long>(pick(open_bonds_.size())))
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

Address MarketModel::objector(uint64_t job, uint32_t seg) {
    const std::vector<Address>& group = *groups()[pick(4)];
    const Address& who = one_of(group);
    return &group == &providers_ ? market_.segment(job, seg).provider : who;
}

bool MarketModel::challenge(uint64_t job, uint32_t seg) {
    const Uint256 wei = market_.challenge_bond(job, seg) + pick(2);
    const Address who = objector(job, seg);
    endow(who, wei);
    return note(market_.challenge(who, job, seg, wei)).ok;
}

bool MarketModel::dispute(uint64_t job, uint32_t seg) {
    const Address who = objector(job, seg);
    const Uint256 wei = market_.dispute_bond(job, seg, who) + pick(2);
    endow(who, wei);
    const bool is_own = who == market_.segment(job, seg).provider;
    const bool done = note(market_.dispute(who, job, seg, wei)).ok;
    EXPECT_FALSE(done && is_own);
    return done;
}

void MarketModel::appeal(const Address& who, uint64_t job, uint32_t seg) {
    const Uint256 wei = market_.appeal_bond(job) + pick(2);
    endow(who, wei);
    const SegmentView s = market_.segment(job, seg);
    const bool is_due = s.state == SegmentState::convicted && who == s.provider &&
                        market_.chain.number() <= s.phase_deadline;
    EXPECT_EQ(note(market_.appeal(who, job, seg, wei)).ok, is_due);
}

bool MarketModel::is_live(const AttemptKey& key) {
    const auto& [job, seg, attempt] = key;
    const SegmentView s = market_.segment(job, seg);
    return s.attempt == attempt && s.state != SegmentState::void_proven;
}

bool MarketModel::is_right(const AttemptKey& key) const {
    const auto& [job, seg, attempt] = key;
    const FakeSegment& made = made_.at({job, seg});
    return runs_.is_true(seg, made);
}

void MarketModel::play(const AttemptKey& key) {
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

bool MarketModel::show_steps(const AttemptKey& key) {
    const auto& [job, seg, attempt] = key;
    const Bytes state = games_.at(key).state;
    const Address provider = market_.segment(job, seg).provider;
    return note(market_.play(provider, job, seg, state, made_.at({job, seg}).show_steps())).ok;
}

bool MarketModel::point(const AttemptKey& key) {
    const auto& [job, seg, attempt] = key;
    const Bytes state = games_.at(key).state;
    const Address challenger = market_.dispute_of(job, seg).challenger;
    const auto index = static_cast<uint32_t>(pick(spec_.steps));
    return note(market_.play(challenger, job, seg, state, training::referee::move::pick(index))).ok;
}

void MarketModel::reclaim(const AttemptKey key) {
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

bool MarketModel::has_bonds(const AttemptKey& key) const {
    const auto open = open_bonds_.lower_bound({key, Bond::challenge});
    return open != open_bonds_.end() && open->first.first == key;
}

void MarketModel::commit_answer(const Address& auditor, uint64_t job, uint32_t seg) {
    if (pick(10) == 0) return;
    const SegmentView s = market_.segment(job, seg);
    const FakeSegment right = runs_.truth(seg, s.first);
    const bool is_bought = s.state == SegmentState::l1 && s.round > 0 && pick(4) != 0 &&
                           (seed_ + job + seg + s.attempt + s.round) % 5 == 0;
    const bool lies = is_bought || auditor == market_.validators[0] || pick(25) == 0;
    const Hash own = keccak256(is_bought ? as_bytes("agreed") : BytesView(auditor.bytes));
    Planned plan;
    if (s.state == SegmentState::l1) {
        plan.verdict = is_right({job, seg, s.attempt}) != lies ? Verdict::match : Verdict::mismatch;
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

void MarketModel::reveal_answer(const Address& auditor, uint64_t job, uint32_t seg) {
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

void MarketModel::on_job() {
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

void MarketModel::finalize(uint64_t job, uint32_t max) {
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

void MarketModel::free_bond(uint64_t job, const Address& provider) {
    const Abi args = Abi().word(job).address(provider);
    for (int i = 0; i < 3; ++i) market_.call(kAnyone, "freeBond(uint256,address)", args);
}

void MarketModel::move_stake() {
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
            market_.chain.send(v, staking,
                               call_data("withdraw(address,uint256)", Abi().address(v).word(3)));
            break;
        case 2:
            market_.chain.send(p, registry, call_data("requestUnstake(uint256)", amount));
            break;
        case 3:
            market_.chain.send(p, registry, call_data("withdraw()"));
            break;
        default:
            market_.chain.send(kAnyone, staking, call_data("deposit(address)", Abi().address(v)),
                               kCoin / 100);
    }
}

}  // namespace trainyard::contracts
