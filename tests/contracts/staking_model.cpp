// SPDX-License-Identifier: Apache-2.0
// The plain model of Staking.
#include "staking_model.hpp"

#include <algorithm>

#include "consensus/beacon/beacon.hpp"
#include "core/assert.hpp"

namespace trainyard::contracts {
namespace {

const Uint256 kGweiWei = 1'000'000'000;
constexpr uint64_t kWeightMax = (uint64_t{1} << 54) - 1;

consensus::Validator member(const Address& who, uint64_t weight) {
    return {who, duty_public(who, Duty::consensus), duty_public(who, Duty::vrf),
            duty_public(who, Duty::p2p), weight};
}

consensus::ValidatorSet make_set(std::vector<consensus::Validator> members) {
    auto set = consensus::ValidatorSet::make(std::move(members));
    ASSERT(set.has_value());
    return std::move(*set);
}

/// The largest limit under which nobody has a third, by bisection.
uint64_t limit_of(const std::vector<std::pair<uint64_t, Address>>& weights) {
    if (weights.size() < 4) return UINT64_MAX;
    const auto is_fair = [&](uint64_t limit) {
        unsigned __int128 sum = 0;
        uint64_t most = 0;
        for (const auto& [weight, who] : weights) {
            sum += std::min(weight, limit);
            most = std::max(most, std::min(weight, limit));
        }
        return static_cast<unsigned __int128>(most) * 3 < sum;
    };
    uint64_t low = 0, high = kWeightMax;
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (is_fair(middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

}  // namespace

Uint256 ModelPool::add(const Uint256& amount) {
    const Uint256 made = shares.is_zero() ? amount : amount * shares / tokens;
    tokens += amount;
    shares += made;
    return made;
}

Uint256 ModelPool::remove(const Uint256& of) {
    const Uint256 amount = worth(of);
    tokens -= amount;
    shares -= of;
    return amount;
}

StakingModel::StakingModel(const std::vector<ChainValidator>& validators) {
    std::vector<consensus::Validator> members;
    for (const auto& v : validators) {
        candidates[v.operator_address].self = v.stake_wei;
        held += v.stake_wei;
        members.push_back(member(v.operator_address, (v.stake_wei / kGweiWei).low()));
    }
    sets_.emplace(0, make_set(std::move(members)));
}

uint64_t StakingModel::weight_of(const ModelCandidate& c) const {
    if (c.tombstoned || c.jailed_until != 0 || c.self < kCoin) return 0;
    return std::min((c.self + c.delegated.tokens) / kGweiWei, Uint256(kWeightMax)).low();
}

std::string StakingModel::closed(const Address& who) const {
    const auto found = candidates.find(who);
    if (found == candidates.end()) return "NotValidator";
    return found->second.tombstoned ? "Tombstoned" : "";
}

std::string StakingModel::join(const Address& who, const Uint256& stake, uint64_t bps) {
    if (candidates.contains(who)) return "BadValue(operator)";
    if (bps > 10'000) return "BadValue(commission)";
    if (stake < kCoin) return "BadValue(stake)";
    auto& c = candidates[who];
    c.self = stake;
    c.commission_bps = bps;
    held += stake;
    return "";
}

std::string StakingModel::deposit(const Address& to, const Uint256& wei) {
    if (const auto why = closed(to); !why.empty()) return why;
    if (wei.is_zero()) return "BadValue(value)";
    candidates.at(to).self += wei;
    held += wei;
    return "";
}

std::string StakingModel::leave(const Address& at, const Address& who, const Uint256& amount) {
    auto& c = candidates.at(at);
    c.exits[who].push_back({c.leaving.add(amount), number_ + StakingChain::kUnbond});
    return "";
}

std::string StakingModel::unbond(const Address& who, const Uint256& wei) {
    if (!candidates.contains(who)) return "NotValidator";
    auto& c = candidates.at(who);
    if (wei.is_zero() || wei > c.self) return "BadValue(amount)";
    if (c.exits[who].size() >= 32) return "QueueFull";
    c.self -= wei;
    return leave(who, who, wei);
}

std::string StakingModel::delegate(const Address& who, const Address& to, const Uint256& wei) {
    if (const auto why = closed(to); !why.empty()) return why;
    if (wei.is_zero()) return "BadValue(value)";
    settle(to, who);
    auto& c = candidates.at(to);
    c.shares[who] += c.delegated.add(wei);
    held += wei;
    return "";
}

std::string StakingModel::undelegate(const Address& who, const Address& at, const Uint256& shares) {
    if (!candidates.contains(at)) return "NotValidator";
    auto& c = candidates.at(at);
    if (shares.is_zero() || shares > c.shares[who]) return "BadValue(shares)";
    if (c.delegated.worth(shares).is_zero()) return "BadValue(shares)";
    if (c.exits[who].size() >= 32) return "QueueFull";
    settle(at, who);
    c.shares[who] -= shares;
    return leave(at, who, c.delegated.remove(shares));
}

void StakingModel::pay(const Address& who, const Uint256& amount) {
    held -= amount;
    paid_out[who] += amount;
}

std::string StakingModel::withdraw(const Address& who, const Address& at, uint64_t max) {
    if (!candidates.contains(at)) return "NotValidator";
    auto& c = candidates.at(at);
    auto& queue = c.exits[who];
    for (; max > 0 && !queue.empty() && number_ >= queue.front().release_block; --max) {
        pay(who, c.leaving.remove(queue.front().shares));
        queue.pop_front();
    }
    return "";
}

Uint256 StakingModel::earned(const Address& at, const Address& who) const {
    const auto& c = candidates.at(at);
    const auto shares = c.shares.find(who);
    if (shares == c.shares.end()) return 0;
    const auto paid = c.paid_per_share.find(who);
    const Uint256 since = paid == c.paid_per_share.end() ? Uint256() : paid->second;
    return (shares->second * (c.reward_per_share - since)) >> 96;
}

void StakingModel::settle(const Address& at, const Address& who) {
    rewards[who] += earned(at, who);
    candidates.at(at).paid_per_share[who] = candidates.at(at).reward_per_share;
}

std::string StakingModel::claim(const Address& who, const Address& at) {
    const Uint256 due = rewards[who] + (candidates.contains(at) ? earned(at, who) : Uint256());
    if (due.is_zero()) return "NothingDue";
    if (candidates.contains(at)) settle(at, who);
    pay(who, due);
    rewards[who] = 0;
    return "";
}

std::string StakingModel::set_commission(const Address& who, uint64_t bps) {
    if (!candidates.contains(who)) return "NotValidator";
    auto& c = candidates.at(who);
    if (bps > c.commission_bps) {
        if (bps > 10'000 || bps - c.commission_bps > 10) return "BadValue(commission)";
        const uint64_t epoch = (number_ - 1) / StakingChain::kEpoch;
        if (c.raised_in == epoch) return "NotYet";
        c.raised_in = epoch;
    }
    c.commission_bps = bps;
    return "";
}

std::string StakingModel::unjail(const Address& who) {
    if (const auto why = closed(who); !why.empty()) return why;
    auto& c = candidates.at(who);
    if (c.jailed_until == 0) return "NothingDue";
    if (number_ < c.jailed_until) return "NotYet";
    c.jailed_until = 0;
    return "";
}

std::string StakingModel::slash(const Address& reporter, const Address& who) {
    if (const auto why = closed(who); !why.empty()) return why;
    auto& c = candidates.at(who);
    const Uint256 own = c.self / 20;
    c.self -= own;
    const Uint256 lost = own + c.delegated.slash() + c.leaving.slash();
    c.tombstoned = true;
    rewards[reporter] += lost / 20;
    burned += lost - lost / 20;
    held -= lost - lost / 20;
    return "";
}

std::string StakingModel::fine(const Address& who, const Uint256& wei) {
    if (!candidates.contains(who)) return "NotValidator";
    auto& c = candidates.at(who);
    Uint256 taken = std::min(wei, c.self);
    c.self -= taken;
    auto& queue = c.exits[who];
    for (auto entry = queue.rbegin(); entry != queue.rend() && taken < wei; ++entry) {
        const Uint256 left = wei - taken;
        if (c.leaving.worth(entry->shares) <= left) {
            taken += c.leaving.remove(entry->shares);
            entry->shares = 0;
            continue;
        }
        const Uint256 cost =
            (left * c.leaving.shares + c.leaving.tokens - Uint256(1)) / c.leaving.tokens;
        c.leaving.tokens -= left;
        c.leaving.shares -= cost;
        entry->shares -= cost;
        taken = wei;
    }
    held -= taken;
    fined += taken;
    return "";
}

// --- blocks

const consensus::ValidatorSet& StakingModel::set_of(uint64_t epoch) const {
    ASSERT(epoch <= last_epoch);
    return std::prev(sets_.upper_bound(epoch))->second;
}

void StakingModel::book_fees(const Uint256& fees) {
    if (!last_leader_) return;
    auto& c = candidates.at(*last_leader_);
    Uint256 shared;
    if (!c.delegated.shares.is_zero()) {
        shared = fees * c.delegated.tokens / (c.self + c.delegated.tokens);
        shared -= shared * Uint256(c.commission_bps) / Uint256(10'000);
        c.reward_per_share += (shared << 96) / c.delegated.shares;
    }
    rewards[*last_leader_] += fees - shared;
    held += fees;
}

void StakingModel::turn(const Address& who, bool led) {
    auto& c = candidates.at(who);
    const uint64_t epoch = (number_ - 1) / StakingChain::kEpoch;
    if (c.turns_epoch != epoch) {
        c.turns_epoch = epoch;
        c.led = c.missed = 0;
    }
    ++(led ? c.led : c.missed);
}

void StakingModel::jail() {
    const uint64_t epoch = (number_ - 1) / StakingChain::kEpoch;
    const auto& set = set_of(epoch);
    uint64_t jailed = 0;
    for (const auto& v : set.all()) {
        auto& c = candidates.at(v.address);
        const bool absent = c.turns_epoch == epoch && c.led + c.missed >= 8 && c.missed > c.led;
        if (!absent || c.jailed_until != 0) continue;
        if (jailed + v.stake_gwei > set.total_weight() / 3) continue;
        jailed += v.stake_gwei;
        c.jailed_until = number_ + StakingChain::kEpoch;
    }
}

void StakingModel::elect() {
    last_epoch = (number_ - 1) / StakingChain::kEpoch + 2;
    std::vector<std::pair<uint64_t, Address>> weights;
    for (const auto& [who, c] : candidates)
        if (weight_of(c) > 0) weights.push_back({weight_of(c), who});
    std::stable_sort(weights.begin(), weights.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    if (weights.size() > 200) weights.resize(200);
    if (weights.empty()) return;
    const uint64_t limit = limit_of(weights);
    std::vector<consensus::Validator> members;
    for (const auto& [weight, who] : weights)
        members.push_back(member(who, std::min(weight, limit)));
    sets_.insert_or_assign(last_epoch, make_set(std::move(members)));
}

void StakingModel::block(uint64_t number, uint64_t view, uint64_t parent_view, const Hash& seed,
                         const Uint256& fees_before) {
    book_fees(fees_before);
    number_ = number;
    const auto& set = set_of((number - 1) / StakingChain::kEpoch);
    const auto leader = [&](uint64_t v) {
        return set.at(consensus::leader_of(set, seed, {v})).address;
    };
    for (uint64_t v = parent_view + 1; v < view && v <= parent_view + 32; ++v)
        turn(leader(v), false);
    last_leader_ = leader(view);
    turn(*last_leader_, true);
    if (number % StakingChain::kEpoch != 0) return;
    jail();
    elect();
}

// --- views

CandidateState StakingModel::state_of(const Address& who) const {
    CandidateState out;
    const auto found = candidates.find(who);
    if (found == candidates.end()) return out;
    const auto& c = found->second;
    out.known = out.contends = true;
    out.tombstoned = c.tombstoned;
    out.jailed_until = c.jailed_until;
    out.commission_bps = c.commission_bps;
    out.self = c.self;
    out.delegated = c.delegated.tokens;
    out.shares = c.delegated.shares;
    out.leaving = c.leaving.tokens;
    out.weight_gwei = weight_of(c);
    if (c.turns_epoch == (number_ - 1) / StakingChain::kEpoch) {
        out.led = c.led;
        out.missed = c.missed;
    }
    return out;
}

Uint256 StakingModel::bonded() const {
    Uint256 sum;
    for (const auto& [who, c] : candidates) sum += c.self + c.delegated.tokens;
    return sum;
}

Uint256 StakingModel::owed() const {
    Uint256 sum = bonded();
    for (const auto& [at, c] : candidates) {
        sum += c.leaving.tokens;
        for (const auto& [who, shares] : c.shares) sum += earned(at, who);
    }
    for (const auto& [who, amount] : rewards) sum += amount;
    return sum;
}

}  // namespace trainyard::contracts
