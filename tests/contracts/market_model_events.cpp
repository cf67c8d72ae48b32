// SPDX-License-Identifier: Apache-2.0
// What the events of each call tell: nothing is final twice, and who is right is not slashed.
#include "market_model.hpp"

#include <gtest/gtest.h>

namespace trainyard::contracts {

const Sent& MarketModel::note(Sent sent) {
    last_ = std::move(sent);
    static const Hash final_topic = topic("SegmentFinal(uint256,uint32,uint256,uint256)");
    static const Hash void_topic = topic("SegmentVoid(uint256,uint32,address,uint256)");
    static const Hash accepted_topic = topic("SegmentAccepted(uint256,uint32,bool)");
    static const Hash postponed_topic = topic("AuditPostponed(uint256,uint32,uint64)");
    for (const Log& log : last_.logs) {
        if (log.address != market_.at()) continue;
        const auto job = from_hash(log.topics.size() > 1 ? log.topics[1] : Hash{}).low();
        const auto seg =
            static_cast<uint32_t>(from_hash(log.topics.size() > 2 ? log.topics[2] : Hash{}).low());
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

void MarketModel::note_bond(const Log& log, uint64_t job, uint32_t seg) {
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
            if (has_won || returned.is_zero()) ++counts_[kNames[i] + (has_won ? " won" : " lost")];
            on_settled(key, kind, has_won, returned.is_zero());
            continue;
        }
        EXPECT_FALSE(has_won || returned.is_zero());
        ++counts_[kNames[i] + " reclaimed"];
        if (kind == Bond::dispute) games_.erase(key);
    }
}

void MarketModel::on_objection(const AttemptKey& key, Bond kind) {
    if (kind == Bond::challenge) tallies_[key] = {0, 0, true};
    if (kind == Bond::dispute) games_[key] = {pick(4) != 0, 0, {}};
    if (kind == Bond::appeal) convicted_.erase(key);
}

void MarketModel::on_settled(const AttemptKey& key, Bond kind, bool has_won, bool is_kept) {
    EXPECT_TRUE(kind == Bond::challenge || has_won != is_kept);
    if (kind == Bond::challenge && is_kept) paid_in_[std::get<0>(key)] += spec_.audit_fee * 7;
    if (kind == Bond::appeal && has_won && !is_right(key)) ++counts_["frauds acquitted"];
    if (kind != Bond::dispute) return;
    expect_fair(key, has_won);
    games_.erase(key);
}

void MarketModel::note_game(const Log& log, uint64_t job, uint32_t seg) {
    static const Hash moved_topic = topic("DisputeMoved(uint256,uint32,uint8,bytes)");
    static const Hash convicted_topic = topic("SegmentConvicted(uint256,uint32,address,uint64)");
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

void MarketModel::expect_fair(const AttemptKey& key, bool has_won) {
    const Game& game = games_.at(key);
    EXPECT_EQ(has_won, game.turn == 0);
    EXPECT_TRUE(has_won || !game.is_faithful || is_right(key)) << "a fraud was not proven";
    EXPECT_FALSE(has_won && diligent_.contains(key)) << "an honest provider lost a dispute";
}

void MarketModel::note_fine(const Log& log, uint64_t job, uint32_t seg) {
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

void MarketModel::expect_guilty(uint64_t job, uint32_t seg) {
    ++counts_["bonds slashed"];
    const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
    if (has_told(dispute_settled_)) return;  // expect_fair has judged it
    EXPECT_FALSE(convicted_.contains(key) && diligent_.contains(key)) << "it had appealed";
    convicted_.erase(key);
    const Tally& tally = tallies_[key];
    EXPECT_FALSE(tally.truth * 2 > tally.all && is_right(key)) << "an honest provider was slashed";
}

void MarketModel::expect_doubted(uint64_t job, uint32_t seg) {
    static const Hash fined_topic = topic("ProviderFined(uint256,address,uint256)");
    const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
    if (made_.at({job, seg}).diverges_at() == 0 || !has_told(fined_topic)) return;
    ++counts_["divergences refuted"];
    const Tally& tally = tallies_[key];
    EXPECT_FALSE(tally.truth * 2 > tally.all && is_right(key)) << "it does diverge";
}

void MarketModel::expect_unseen_or_right(uint64_t job, uint32_t seg) {
    const AttemptKey key{job, seg, market_.segment(job, seg).attempt};
    if (is_right(key) || has_told(dispute_settled_) || has_told(appeal_settled_)) return;
    const auto found = tallies_.find(key);
    if (found == tallies_.end() || !found->second.is_contested) return;
    EXPECT_LE(found->second.truth * 2, found->second.all) << "the alarm was not heard";
}

}  // namespace trainyard::contracts
