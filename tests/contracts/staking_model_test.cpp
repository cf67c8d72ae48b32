// SPDX-License-Identifier: Apache-2.0
// Random calls of random actors on Staking and on its model: both must say and hold the same, and
// money, shares and sets keep their invariants after every call.
#include <gtest/gtest.h>

#include <random>

#include "core/hash.hpp"
#include "market.hpp"
#include "staking.hpp"
#include "staking_model.hpp"

namespace trainyard::contracts {
namespace {

using consensus::bft::VoteKind;

constexpr uint64_t kSeeds = 4;
constexpr int kSteps = 400;

class RandomRun {
public:
    explicit RandomRun(uint64_t seed)
        : random_(seed), s_(make_validators(5)), model_(make_validators(5)) {
        for (const auto& v : make_validators(5)) operators_.push_back(v.operator_address);
        for (int i = 0; i < 4; ++i) operators_.push_back(actor("operator " + std::to_string(i)));
        for (int i = 0; i < 4; ++i) people_.push_back(actor("person " + std::to_string(i)));
        people_.insert(people_.end(), operators_.begin(), operators_.end());
        for (const auto& who : people_) s_.chain.give(who, kCoin * 100'000);
        given_ = s_.chain.supply();
        // The chain's first block was mined when it was made.
        model_.block(1, 1, 0, s_.chain.beacon_at(0), 0);
    }

    void step() {
        switch (pick(16)) {
            case 0: {
                const Address who = one_of(operators_);
                const Uint256 stake = amount();
                const uint64_t bps = pick(11'000);
                const Sent sent = s_.join(who, stake, bps);
                if (sent.ok) put_in_[who] += stake;
                return both("join", sent, model_.join(who, stake, bps));
            }
            case 1:
            case 2:
                return money_in();
            case 3:
            case 4:
            case 5:
                return money_out();
            case 6: {
                const Address who = one_of(people_), at = one_of(operators_);
                const uint64_t max = pick(4);
                return both("withdraw", s_.withdraw(who, at, max), model_.withdraw(who, at, max));
            }
            case 7: {
                const Address who = one_of(people_), at = one_of(operators_);
                return both("claim", s_.claim(who, at), model_.claim(who, at));
            }
            case 8:
                return standing();
            case 9:
                return punish();
            default:
                return mine();
        }
    }

    void check() {
        EXPECT_EQ(s_.chain.supply(), given_);
        EXPECT_EQ(word_at(s_.view("totalStake()"), 0), model_.bonded());
        EXPECT_EQ(s_.chain.balance(s_.at()), model_.held + fees_);
        EXPECT_LE(model_.owed(), model_.held);
        EXPECT_LE(model_.held - model_.owed(), Uint256(calls_ + blocks_)) << "left by division";
        EXPECT_EQ(s_.chain.balance(Address{}), model_.burned);
        EXPECT_EQ(s_.chain.balance(s_.chain.address("ComputeMarket")), model_.fined);
        for (const Address& at : operators_) check_candidate(at);
        for (const Address& who : people_) {
            EXPECT_EQ(word_at(s_.view("rewardsOf(address)", Abi().address(who)), 0),
                      model_.rewards[who]);
            EXPECT_EQ(s_.chain.balance(who), kCoin * 100'000 - put_in_[who] + model_.paid_out[who]);
        }
    }

    [[nodiscard]] size_t slashes() const { return slashes_; }
    [[nodiscard]] size_t jailed() const { return jailed_; }
    [[nodiscard]] size_t succeeded() const { return succeeded_; }

private:
    uint64_t pick(uint64_t n) { return random_() % n; }
    const Address& one_of(const std::vector<Address>& list) { return list[pick(list.size())]; }
    /// Mostly coins, sometimes crumbs, sometimes a great deal.
    Uint256 amount() {
        switch (pick(6)) {
            case 0:
                return pick(3);
            case 1:
                return Uint256(pick(1'000'000'000'000));
            case 2:
                return kCoin * Uint256(pick(1'000));
            default:
                return kCoin * Uint256(pick(40)) + Uint256(pick(1'000'000));
        }
    }

    void both(const char* what, const Sent& sent, const std::string& expected) {
        ++calls_;
        succeeded_ += sent.ok ? 1 : 0;
        EXPECT_EQ(sent.error(), expected) << what;
        EXPECT_EQ(sent.ok, expected.empty()) << what;
    }

    void money_in() {
        const Address who = one_of(people_), to = one_of(operators_);
        const Uint256 wei = amount();
        const bool joins = pick(3) == 0;
        const Sent sent = joins ? s_.deposit(who, to, wei) : s_.delegate(who, to, wei);
        if (sent.ok) put_in_[who] += wei;
        both(joins ? "deposit" : "delegate", sent,
             joins ? model_.deposit(to, wei) : model_.delegate(who, to, wei));
    }

    void money_out() {
        if (pick(3) == 0) {
            const Address who = one_of(operators_);
            const Uint256 wei = pick(8) == 0 ? s_.candidate(who).self : amount();
            return both("unbond", s_.unbond(who, wei), model_.unbond(who, wei));
        }
        const Address who = one_of(people_), at = one_of(operators_);
        const auto known = model_.candidates.find(at);
        Uint256 shares = amount();
        if (known != model_.candidates.end() && pick(2) == 0) shares = known->second.shares[who];
        both("undelegate", s_.undelegate(who, at, shares), model_.undelegate(who, at, shares));
    }

    void standing() {
        const Address who = one_of(operators_);
        if (pick(2) == 0) return both("unjail", s_.unjail(who), model_.unjail(who));
        const auto before = model_.state_of(who).commission_bps;
        const uint64_t bps = std::min<uint64_t>(before + pick(13), 65'535);
        both("setCommission", s_.set_commission(who, bps), model_.set_commission(who, bps));
    }

    void punish() {
        const Address who = one_of(operators_);
        if (pick(6) != 0) {
            const Uint256 wei = amount();
            return both("fine", s_.fine(who, wei), model_.fine(who, wei));
        }
        const Address reporter = one_of(people_);
        const Bytes votes = s_.votes(who, VoteKind::notarize, VoteKind::notarize, pick(99));
        const Sent sent = s_.slash(reporter, who, votes);
        slashes_ += sent.ok ? 1 : 0;
        both("slash", sent, model_.slash(reporter, who));
    }

    void mine() {
        for (uint64_t n = 1 + pick(24); n > 0; --n) {
            const uint64_t parent_view = s_.chain.view();
            const uint64_t view = parent_view + 1 + (pick(4) == 0 ? pick(40) : 0);
            const uint64_t mini = s_.chain.number() / 8;
            const Hash seed = s_.chain.beacon_at(mini < 2 ? 0 : (mini - 1) * 8);
            s_.chain.mine_in_view(view);
            model_.block(s_.chain.number(), view, parent_view, seed, fees_);
            ++blocks_;
            fees_ = pick(3) == 0 ? Uint256(pick(kCoin.low())) : Uint256();
            if (!fees_.is_zero()) s_.pay_fees(fees_);
            given_ += fees_;
        }
        // Reading a set makes a ValidatorSet of it, which checks its rules.
        for (const uint64_t epoch : {s_.epoch(), model_.last_epoch})
            EXPECT_EQ(s_.set_of(epoch).all(), model_.set_of(epoch).all()) << "epoch " << epoch;
        const auto& set = model_.set_of(model_.last_epoch);
        for (const auto& v : set.all())
            EXPECT_TRUE(set.size() < 4 || model_.last_epoch == 1 ||
                        v.stake_gwei <= set.fault_bound());
        for (const Address& at : operators_)
            jailed_ += model_.state_of(at).jailed_until != 0 ? 1 : 0;
    }

    void check_candidate(const Address& at) {
        const auto expected = model_.state_of(at);
        EXPECT_EQ(s_.candidate(at), expected);
        EXPECT_LE(expected.delegated, expected.shares) << "a share is dearer than a wei";
        if (!expected.known) return;
        Uint256 worth, leaving;
        for (const Address& who : people_) {
            const Bytes d = s_.view("delegation(address,address)", Abi().address(at).address(who));
            const auto& c = model_.candidates.at(at);
            const auto shares = c.shares.find(who);
            EXPECT_EQ(word_at(d, 0), shares == c.shares.end() ? Uint256() : shares->second);
            EXPECT_EQ(word_at(d, 2), model_.earned(at, who));
            worth += word_at(d, 1);
            const Bytes queue =
                s_.view("unbonding(address,address)", Abi().address(at).address(who));
            const size_t count = array_at(queue, 0).size();
            for (size_t i = 0; i < count; ++i) leaving += word_at(queue, 2 + 2 * i);
        }
        EXPECT_LE(worth, expected.delegated) << "shares are worth more than there is";
        EXPECT_LE(leaving, expected.leaving);
    }

    std::mt19937_64 random_;
    StakingChain s_;
    StakingModel model_;
    std::vector<Address> operators_, people_;
    std::map<Address, Uint256> put_in_;
    Uint256 given_, fees_;
    uint64_t calls_ = 0, blocks_ = 0;
    size_t slashes_ = 0, jailed_ = 0, succeeded_ = 0;
};

TEST(staking_model, random_calls_agree_with_the_model_and_keep_the_invariants) {
    size_t slashes = 0, jailed = 0, succeeded = 0;
    for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        RandomRun run(seed);
        for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE("step " + std::to_string(i));
            run.step();
            run.check();
        }
        slashes += run.slashes();
        jailed += run.jailed();
        succeeded += run.succeeded();
    }
    EXPECT_GT(slashes, kSeeds);
    EXPECT_GT(jailed, 0u);
    EXPECT_GT(succeeded, kSeeds * kSteps / 5u);
    std::printf("calls that changed something %zu, slashes %zu\n", succeeded, slashes);
}

}  // namespace
}  // namespace trainyard::contracts
