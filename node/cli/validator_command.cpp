// SPDX-License-Identifier: Apache-2.0
// `trainyard validator`: register, delegate, undelegate, withdraw, commission, unjail, status,
// list.
#include <algorithm>
#include <cstdio>
#include <map>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/wallet/staking.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::StakingApi;

constexpr uint64_t kBlocksShownMax = 1'000'000;

Result<std::unique_ptr<StakingApi>, std::string> open_staking(const std::string& rpc,
                                                              const SecretKey& key) {
    auto staking = wallet::StakingApi::open(rpc, key);
    if (!staking) return unexpected(staking.error().text);
    return std::move(*staking);
}

Result<std::unique_ptr<StakingApi>, std::string> open_own(const ValidatorArgs& args) {
    const auto key = open_key(args.key);
    if (!key) return unexpected(key.error());
    return open_staking(args.rpc, *key);
}

/// A view needs no key of anyone; transactions from it would fail.
Result<std::unique_ptr<StakingApi>, std::string> open_viewer(const ValidatorArgs& args) {
    if (!args.key.key.empty()) return open_own(args);
    SecretKey nobody;
    nobody[31] = 1;
    return open_staking(args.rpc, nobody);
}

Address operator_of(const ValidatorArgs& args, const StakingApi& staking) {
    if (args.operator_address.empty()) return staking.self();
    return *fixed_from_hex<Address>(args.operator_address);  // the command line has seen it
}

/// "7.5" percent -> 750 basis points.
std::optional<uint32_t> parse_percent(const std::string& text) {
    const auto scaled = parse_coins(text);  // 10^18 a percent
    const auto bps = scaled ? divmod(*scaled, Uint256(10'000'000'000'000'000)) : DivResult{};
    if (!scaled || !bps.remainder.is_zero() || bps.quotient > Uint256(10'000)) return std::nullopt;
    return static_cast<uint32_t>(bps.quotient.low());
}

std::string percent(uint32_t bps) {
    char text[16];
    std::snprintf(text, sizeof text, "%u.%02u %%", bps / 100, bps % 100);
    return text;
}

int tell_sent(const Output& out, const wallet::Answer<wallet::TxReceipt>& sent,
              const std::string& what) {
    if (!sent) return out.fail(sent.error().text);
    if (out.json)
        out.line(json::serialize(
            json::object{{"tx", to_hex0x(sent->tx.bytes)}, {"block", sent->block}}));
    else
        out.line(what + " in block " + std::to_string(sent->block));
    return kOk;
}

std::string standing_of(const wallet::Candidate& c) {
    if (c.tombstoned) return "tombstoned: slashed for conflicting votes, never elected again";
    if (c.jailed_until != 0)
        return "jailed for absence; `trainyard validator unjail` works from block " +
               std::to_string(c.jailed_until);
    if (!c.contends) return "displaced: more than 1000 candidates outweigh it";
    if (c.weight_gwei == 0) return "not eligible: less self stake than the minimum";
    return "eligible";
}

json::object candidate_json(const wallet::Candidate& c, uint64_t seat_weight_gwei) {
    return {{"operator", to_hex0x(c.operator_address.bytes)},
            {"standing", standing_of(c)},
            {"jailedUntil", c.jailed_until},
            {"tombstoned", c.tombstoned},
            {"commissionBps", c.commission_bps},
            {"selfWei", to_decimal(c.self_wei)},
            {"delegatedWei", to_decimal(c.delegated_wei)},
            {"leavingWei", to_decimal(c.leaving_wei)},
            {"weightGwei", c.weight_gwei},
            {"seatWeightGwei", seat_weight_gwei},
            {"led", c.led},
            {"missed", c.missed}};
}

/// Weights in the last set that is fixed, by operator.
Result<std::map<Address, uint64_t>, std::string> seats(StakingApi& staking, uint64_t* epoch) {
    const auto set = staking.next_set(epoch);
    if (!set) return unexpected(set.error().text);
    std::map<Address, uint64_t> out;
    for (const auto& seat : *set) out[seat.operator_address] = seat.weight_gwei;
    return out;
}

/// What this account has with the operator.
struct OwnPart {
    wallet::Delegation delegation;
    std::vector<wallet::Exit> exits;
    Uint256 rewards_wei;
};

Result<OwnPart, std::string> own_part(StakingApi& staking, const Address& at) {
    const auto delegation = staking.delegation(at, staking.self());
    if (!delegation) return unexpected(delegation.error().text);
    const auto exits = staking.exits(at, staking.self());
    if (!exits) return unexpected(exits.error().text);
    const auto booked = staking.rewards(staking.self());
    if (!booked) return unexpected(booked.error().text);
    return OwnPart{*delegation, *exits, *booked + delegation->rewards_wei};
}

json::object own_json(const OwnPart& own) {
    json::array exits;
    for (const auto& exit : own.exits)
        exits.push_back(json::object{{"amountWei", to_decimal(exit.amount_wei)},
                                     {"releaseBlock", exit.release_block}});
    return {{"delegatedWei", to_decimal(own.delegation.amount_wei)},
            {"rewardsWei", to_decimal(own.rewards_wei)},
            {"exits", std::move(exits)}};
}

std::string own_text(const OwnPart& own) {
    std::string text = "\n  yours: " + in_coins(own.delegation.amount_wei) + " delegated, " +
                       in_coins(own.rewards_wei) +
                       " of rewards (`trainyard validator withdraw` pays them)";
    for (const auto& exit : own.exits)
        text += "\n  yours: " + in_coins(exit.amount_wei) + " leaving at block " +
                std::to_string(exit.release_block);
    return text;
}

std::string candidate_text(const wallet::Candidate& c, uint64_t seat_weight_gwei, uint64_t epoch) {
    std::string text =
        "operator " + to_hex0x(c.operator_address.bytes) + "\n  " + standing_of(c) +
        "\n  stake: " + in_coins(c.self_wei) + " of its own, " + coins(c.delegated_wei) +
        " delegated, " + coins(c.leaving_wei) + " leaving; commission " +
        percent(c.commission_bps) + "\n  turns in this epoch: led " + std::to_string(c.led) +
        ", missed " + std::to_string(c.missed) + "\n  set of epoch " + std::to_string(epoch) + ": ";
    return text +
           (seat_weight_gwei == 0
                ? "not a member"
                : coins(Uint256(seat_weight_gwei) * Uint256(1'000'000'000)) + " coins' weight");
}

}  // namespace

int run_validator_register(const Output& out, const ValidatorArgs& args) {
    const auto stake = parse_coins(args.amount);
    const auto bps = parse_percent(args.commission);
    if (!stake) return out.fail("--stake '" + args.amount + "' is no amount like 100"), kUsage;
    if (!bps)
        return out.fail("--commission '" + args.commission + "' is no percentage like 7.5"), kUsage;
    const auto keys = wallet::load_validator_keys(args.keys);
    if (!keys) return out.fail(keys.error().text);
    const auto staking = open_staking(args.rpc, keys->account);
    if (!staking) return out.fail(staking.error());
    const Address self = (*staking)->self();
    const auto known = (*staking)->candidate(self);
    if (!known) return out.fail(known.error().text);
    if (known->known)
        return out.fail("this operator is registered already; see `trainyard validator status " +
                        to_hex0x(self.bytes) + "`");
    return tell_sent(out, (*staking)->join(*keys, *bps, *stake),
                     "operator " + to_hex0x(self.bytes) + " registered with " + in_coins(*stake) +
                         "; it can be elected at the end of this epoch, for the one after "
                         "the next. Registered");
}

int run_validator_delegate(const Output& out, const ValidatorArgs& args) {
    const auto amount = parse_coins(args.amount);
    if (!amount || amount->is_zero())
        return out.fail("--amount '" + args.amount + "' is no amount like 10 or 0.5"), kUsage;
    const auto staking = open_own(args);
    if (!staking) return out.fail(staking.error());
    const Address at = operator_of(args, **staking);
    if (at == (*staking)->self())
        return tell_sent(out, (*staking)->deposit(at, *amount),
                         in_coins(*amount) + " added to this operator's own stake");
    return tell_sent(out, (*staking)->delegate(at, *amount),
                     in_coins(*amount) + " delegated to " + to_hex0x(at.bytes));
}

int run_validator_undelegate(const Output& out, const ValidatorArgs& args) {
    const bool all = args.amount == "all";
    const auto amount = all ? std::optional(Uint256()) : parse_coins(args.amount);
    if (!amount || (!all && amount->is_zero()))
        return out.fail("--amount '" + args.amount + "' is no amount like 10, nor `all`"), kUsage;
    const auto staking = open_own(args);
    if (!staking) return out.fail(staking.error());
    const Address at = operator_of(args, **staking);
    const std::string hint = "; `trainyard validator withdraw` pays it when it is released";
    if (at == (*staking)->self()) {
        const auto self = (*staking)->candidate(at);
        if (!self) return out.fail(self.error().text);
        return tell_sent(out, (*staking)->unbond(all ? self->self_wei : *amount),
                         "this operator's own stake leaves" + hint + ". Requested");
    }
    const auto own = (*staking)->delegation(at, (*staking)->self());
    if (!own) return out.fail(own.error().text);
    if (own->amount_wei.is_zero())
        return out.fail("this account has nothing delegated to " + to_hex0x(at.bytes));
    if (!all && *amount > own->amount_wei)
        return out.fail("only " + in_coins(own->amount_wei) + " delegated to " +
                        to_hex0x(at.bytes));
    const Uint256 shares = all ? own->shares : *amount * own->shares / own->amount_wei;
    return tell_sent(out, (*staking)->undelegate(at, shares),
                     "the delegation leaves" + hint + ". Requested");
}

int run_validator_withdraw(const Output& out, const ValidatorArgs& args) {
    const auto staking = open_own(args);
    if (!staking) return out.fail(staking.error());
    const Address at = operator_of(args, **staking);
    const auto own = own_part(**staking, at);
    if (!own) return out.fail(own.error());
    const auto block = (*staking)->block_number();
    if (!block) return out.fail(block.error().text);
    Uint256 released, leaving;
    for (const auto& exit : own->exits)
        (exit.release_block <= *block + 1 ? released : leaving) += exit.amount_wei;
    if (!released.is_zero())
        if (auto sent = (*staking)->withdraw(at); !sent) return out.fail(sent.error().text);
    if (!own->rewards_wei.is_zero())
        if (auto sent = (*staking)->claim(at); !sent) return out.fail(sent.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"withdrawnWei", to_decimal(released)},
                                              {"rewardsWei", to_decimal(own->rewards_wei)}}));
    else
        out.line(in_coins(released) + " of stake and " + in_coins(own->rewards_wei) +
                 " of rewards paid out" +
                 (leaving.is_zero() ? ""
                                    : "; " + in_coins(leaving) +
                                          " still leaving, `trainyard validator status` says "
                                          "until when"));
    return kOk;
}

int run_validator_commission(const Output& out, const ValidatorArgs& args) {
    const auto bps = parse_percent(args.commission);
    if (!bps) return out.fail("'" + args.commission + "' is no percentage like 7.5"), kUsage;
    const auto staking = open_own(args);
    if (!staking) return out.fail(staking.error());
    return tell_sent(out, (*staking)->set_commission(*bps), "commission is " + percent(*bps));
}

int run_validator_unjail(const Output& out, const ValidatorArgs& args) {
    const auto staking = open_own(args);
    if (!staking) return out.fail(staking.error());
    const auto self = (*staking)->candidate((*staking)->self());
    const auto block = (*staking)->block_number();
    if (!self) return out.fail(self.error().text);
    if (!block) return out.fail(block.error().text);
    if (self->known && self->jailed_until > *block + 1 &&
        self->jailed_until - *block < kBlocksShownMax)
        return out.fail("still jailed: try again in " +
                        std::to_string(self->jailed_until - *block) + " blocks, from block " +
                        std::to_string(self->jailed_until) + " on");
    return tell_sent(out, (*staking)->unjail(),
                     "free again: it can be elected at the end of this epoch. Freed");
}

int run_validator_status(const Output& out, const ValidatorArgs& args) {
    if (args.operator_address.empty() && args.key.key.empty())
        return out.fail("name an operator, or give --key for your own"), kUsage;
    const auto staking = open_viewer(args);
    if (!staking) return out.fail(staking.error());
    const Address at = operator_of(args, **staking);
    const auto c = (*staking)->candidate(at);
    if (!c) return out.fail(c.error().text);
    if (!c->known)
        return out.fail(to_hex0x(at.bytes) +
                        " is not registered; `trainyard validator register --help` shows how");
    uint64_t epoch = 0;
    const auto set = seats(**staking, &epoch);
    if (!set) return out.fail(set.error());
    const uint64_t weight = set->contains(at) ? set->at(at) : 0;
    json::object object = candidate_json(*c, weight);
    object["epoch"] = epoch;
    std::string text = candidate_text(*c, weight, epoch);
    if (!args.key.key.empty()) {
        const auto own = own_part(**staking, at);
        if (!own) return out.fail(own.error());
        object["own"] = own_json(*own);
        text += own_text(*own);
    }
    out.line(out.json ? json::serialize(object) : text);
    return kOk;
}

int run_validator_list(const Output& out, const ValidatorArgs& args) {
    const auto staking = open_viewer(args);
    if (!staking) return out.fail(staking.error());
    const auto all = (*staking)->contenders();
    if (!all) return out.fail(all.error().text);
    uint64_t epoch = 0;
    const auto set = seats(**staking, &epoch);
    if (!set) return out.fail(set.error());
    std::vector<wallet::Candidate> list;
    for (const Address& who : *all) {
        const auto c = (*staking)->candidate(who);
        if (!c) return out.fail(c.error().text);
        list.push_back(*c);
    }
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.weight_gwei > b.weight_gwei; });
    for (const auto& c : list) {
        const auto seat = set->find(c.operator_address);
        const uint64_t weight = seat == set->end() ? 0 : seat->second;
        if (out.json) {
            out.line(json::serialize(candidate_json(c, weight)));
            continue;
        }
        out.line(to_hex0x(c.operator_address.bytes) + "  " +
                 in_coins(c.self_wei + c.delegated_wei) + "  commission " +
                 percent(c.commission_bps) +
                 (weight == 0 ? "" : "  in the set of epoch " + std::to_string(epoch)) +
                 (c.weight_gwei == 0 ? "  " + standing_of(c) : ""));
    }
    return kOk;
}

}  // namespace trainyard::node::cli
