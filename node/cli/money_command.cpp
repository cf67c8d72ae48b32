// SPDX-License-Identifier: Apache-2.0
// `trainyard account balance`, `job reclaim`, `provider unstake` and `provider withdraw`: money
// that lies elsewhere, and how it comes home.
#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/confirm.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/stake_delay.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/staking.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::MarketApi;

// --- what an account has

struct Balance {
    Address who;
    uint64_t block = 0;
    Uint256 coins_wei, credit_wei;
    wallet::ProviderRecord provider;
    wallet::Candidate validator;  ///< as operator
    std::vector<wallet::Exit> exits;
    Uint256 rewards_wei;
};

Result<Address, std::string> account_of(const BalanceArgs& args) {
    if (args.address.empty() == args.key.key.empty())
        return unexpected(std::string("name an account: its address, or --key"));
    if (args.address.empty()) {
        const auto key = open_key(args.key);
        if (!key) return unexpected(key.error());
        return *address_of(*key);
    }
    return *fixed_from_hex<Address>(args.address);  // one, as the command line has seen
}

template <class T>
bool put(T& into, wallet::Answer<T> answer, std::string& trouble) {
    if (answer)
        into = std::move(*answer);
    else
        trouble = answer.error().text;
    return answer.has_value();
}

Result<Balance, std::string> read_balance(const std::string& rpc, const Address& who) {
    const auto market = open_reader(rpc);
    if (!market) return unexpected(market.error());
    SecretKey nobody;
    nobody.bytes[31] = 1;
    const auto staking = wallet::StakingApi::open(rpc, nobody);
    if (!staking) return unexpected(staking.error().text);
    Balance out;
    out.who = who;
    wallet::Delegation own;
    std::string trouble;
    const bool is_read = put(out.block, (*market)->block_number(), trouble) &&
                         put(out.coins_wei, (*market)->balance(who), trouble) &&
                         put(out.credit_wei, (*market)->credit(who), trouble) &&
                         put(out.provider, (*market)->provider(who), trouble) &&
                         put(out.validator, (*staking)->candidate(who), trouble) &&
                         put(out.exits, (*staking)->exits(who, who), trouble) &&
                         put(own, (*staking)->delegation(who, who), trouble) &&
                         put(out.rewards_wei, (*staking)->rewards(who), trouble);
    if (!is_read) return unexpected(trouble);
    out.rewards_wei += own.rewards_wei;
    return out;
}

json::object as_json(const Balance& b) {
    json::array exits;
    for (const auto& exit : b.exits)
        exits.push_back(json::object{{"amountWei", to_decimal(exit.amount_wei)},
                                     {"releaseBlock", exit.release_block}});
    const Uint256 bound = b.provider.stake_wei - b.provider.free_wei;
    return {{"address", to_hex0x(b.who.bytes)},
            {"block", b.block},
            {"balanceWei", to_decimal(b.coins_wei)},
            {"creditWei", to_decimal(b.credit_wei)},
            {"provider", json::object{{"stakeWei", to_decimal(b.provider.stake_wei)},
                                      {"boundWei", to_decimal(bound)},
                                      {"leavingWei", to_decimal(b.provider.leaving_wei)},
                                      {"releaseBlock", b.provider.release_block}}},
            {"validator", json::object{{"stakeWei", to_decimal(b.validator.self_wei)},
                                       {"rewardsWei", to_decimal(b.rewards_wei)},
                                       {"exits", std::move(exits)}}}};
}

std::string release_text(uint64_t release_block, uint64_t block, const char* command) {
    if (release_block > block) return "from block " + std::to_string(release_block) + " on";
    return "now: " + std::string(command);
}

void tell(const Output& out, const Balance& b) {
    const auto row = [&](const std::string& name, const std::string& text) {
        out.line("  " + name + std::string(name.size() < 10 ? 10 - name.size() : 1, ' ') + text);
    };
    out.line(to_hex0x(b.who.bytes) + " at block " + std::to_string(b.block));
    row("account", in_coins(b.coins_wei));
    row("market", in_coins(b.credit_wei) + " of credit" +
                      (b.credit_wei.is_zero() ? "" : ": trainyard job withdraw"));
    const auto& p = b.provider;
    if (!p.stake_wei.is_zero())
        row("provider",
            in_coins(p.stake_wei) + " staked, " + coins(p.stake_wei - p.free_wei) +
                " of them bonds of jobs" +
                (p.free_wei.is_zero() ? "" : "; the others: trainyard provider unstake"));
    if (!p.leaving_wei.is_zero())
        row("provider", in_coins(p.leaving_wei) + " leaving, " +
                            release_text(p.release_block, b.block, "trainyard provider withdraw"));
    if (!b.validator.self_wei.is_zero())
        row("validator",
            in_coins(b.validator.self_wei) + " of own stake: trainyard validator undelegate");
    if (!b.rewards_wei.is_zero())
        row("validator", in_coins(b.rewards_wei) + " of rewards: trainyard validator withdraw");
    for (const auto& exit : b.exits)
        row("validator",
            in_coins(exit.amount_wei) + " leaving, " +
                release_text(exit.release_block, b.block, "trainyard validator withdraw"));
}

// --- what one job holds

/// Wei of the provider's bond that came free; nullopt: an error was told.
std::optional<Uint256> free_bond(const Output& out, MarketApi& market, uint64_t id,
                                 const wallet::Job& job) {
    const auto before = market.bond_of(id, market.self());
    if (!before) return out.fail(before.error().text), std::nullopt;
    const bool is_working = job.state == wallet::JobState::active && job.provider == market.self();
    wallet::Answer<Uint256> left = *before;
    // Each call looks past one void.
    for (uint32_t calls = 0; !is_working && calls <= job.attempt && left && !left->is_zero();
         ++calls) {
        const auto sent = market.nudge(MarketApi::Nudge::free_bond, id, 0);
        if (!sent) return out.fail(sent.error().text), std::nullopt;
        left = market.bond_of(id, market.self());
    }
    if (!left) return out.fail(left.error().text), std::nullopt;
    if (!left->is_zero())
        out.say(in_coins(*left) +
                " of stake stay bound: until the job is closed, or all segments up to the "
                "last that you committed are final");
    return *before - *left;
}

/// Bonds that were credited; nullopt: an error was told.
std::optional<std::vector<wallet::PutUp>> reclaim_bonds(const Output& out, const JobArgs& args,
                                                        MarketApi& market, const wallet::Job& job) {
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text), std::nullopt;
    const auto head = (*client)->block_number();
    if (!head) return out.fail(head.error().text), std::nullopt;
    const auto events = wallet::events_of_job(**client, args.id, 0, *head);
    if (!events) return out.fail(events.error().text), std::nullopt;
    std::vector<wallet::PutUp> back;
    for (const auto& bond : wallet::put_up_in(*events, market.self())) {
        const auto segment = market.segment(args.id, bond.seg);
        if (!segment) return out.fail(segment.error().text), std::nullopt;
        if (wallet::fate_of(bond, job, *segment) != wallet::BondFate::fell) continue;
        const auto sent = market.reclaim(args.id, bond.seg, bond.attempt);
        if (sent) back.push_back(bond);
        const bool is_decided = !sent && sent.error().code == wallet::WalletErrorCode::reverted;
        if (!sent && !is_decided) return out.fail(sent.error().text), std::nullopt;
    }
    return back;
}

// --- stake that leaves

/// A request makes what is leaving already wait for as long as what is new. Error: why it is not
/// sent.
Result<Done, std::string> agree_to_wait(const Output& out, const StakeArgs& args, MarketApi& market,
                                        const wallet::ProviderRecord& record) {
    if (record.leaving_wei.is_zero()) return Done{};
    const auto delay = stake_delay(market);
    if (!delay) return unexpected(delay.error().text);
    out.say(delay_text(record, *delay));
    if (args.yes) return Done{};
    if (!can_ask())
        return unexpected(std::string("it asks before that, and here nobody can answer: --yes"));
    if (!confirmed("Let it all wait so long?"))
        return unexpected(std::string("nothing was requested"));
    return Done{};
}

}  // namespace

int run_account_balance(const Output& out, const BalanceArgs& args) {
    const auto who = account_of(args);
    if (!who) return out.fail(who.error()), kUsage;
    const auto balance = read_balance(args.rpc, *who);
    if (!balance) return out.fail(balance.error());
    if (out.json)
        out.line(json::serialize(as_json(*balance)));
    else
        tell(out, *balance);
    return kOk;
}

int run_job_reclaim(const Output& out, const JobArgs& args) {
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto job = (*market)->job(args.id);
    if (!job) return out.fail(job.error().text);
    if (job->state == wallet::JobState::none)
        return out.fail("there is no job " + std::to_string(args.id) +
                        "; `trainyard job list` shows all");
    const auto bonds = reclaim_bonds(out, args, **market, *job);
    if (!bonds) return kFailed;
    const auto freed = free_bond(out, **market, args.id, *job);
    if (!freed) return kFailed;
    if (out.json) {
        json::array list;
        for (const auto& bond : *bonds)
            list.push_back(json::object{{"segment", bond.seg}, {"attempt", bond.attempt}});
        out.line(json::serialize(
            json::object{{"reclaimed", std::move(list)}, {"freedWei", to_decimal(*freed)}}));
        return kOk;
    }
    for (const auto& line : wallet::lines_of({*bonds, {}})) out.line(line);
    if (!freed->is_zero()) out.line(in_coins(*freed) + " of stake free again");
    if (bonds->empty() && freed->is_zero())
        out.line("job " + std::to_string(args.id) + " holds nothing that you could take back now");
    return kOk;
}

int run_provider_unstake(const Output& out, const StakeArgs& args) {
    const bool all = args.amount == "all";
    const auto amount = parse_coins(args.amount);
    if (!all && (!amount || amount->is_zero()))
        return out.fail("'" + args.amount + "' is no amount like 10, nor `all`"), kUsage;
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto record = (*market)->provider((*market)->self());
    if (!record) return out.fail(record.error().text);
    const Uint256 leaving = all ? record->free_wei : *amount;
    if (leaving.is_zero() || leaving > record->free_wei)
        return out.fail(in_coins(record->free_wei) + " can leave; " +
                        coins(record->stake_wei - record->free_wei) + " are bonds of jobs");
    if (auto agreed = agree_to_wait(out, args, **market, *record); !agreed)
        return out.fail(agreed.error());
    const auto sent = (*market)->request_unstake(leaving);
    if (!sent) return out.fail(sent.error().text);
    const auto after = (*market)->provider((*market)->self());
    if (!after) return out.fail(after.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"leavingWei", to_decimal(after->leaving_wei)},
                                              {"releaseBlock", after->release_block},
                                              {"tx", to_hex0x(sent->tx.bytes)}}));
    else
        out.line(in_coins(after->leaving_wei) +
                 " leaving; `trainyard provider withdraw` pays them from block " +
                 std::to_string(after->release_block) + " on");
    return kOk;
}

int run_provider_withdraw(const Output& out, const StakeArgs& args) {
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto balance = read_balance(args.rpc, (*market)->self());
    if (!balance) return out.fail(balance.error());
    const auto& provider = balance->provider;
    // The next block is the first that can have the transaction.
    const bool is_released = provider.release_block <= balance->block + 1;
    const Uint256 stake = is_released ? provider.leaving_wei : Uint256{};
    if (!stake.is_zero())
        if (auto sent = (*market)->withdraw_stake(); !sent) return out.fail(sent.error().text);
    if (!balance->credit_wei.is_zero())
        if (auto sent = (*market)->withdraw(); !sent) return out.fail(sent.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"stakeWei", to_decimal(stake)},
                                              {"creditWei", to_decimal(balance->credit_wei)}}));
    else
        out.line(in_coins(stake) + " of stake and " + in_coins(balance->credit_wei) +
                 " of credit paid out" +
                 (is_released || provider.leaving_wei.is_zero()
                      ? ""
                      : "; " + coins(provider.leaving_wei) + " more from block " +
                            std::to_string(provider.release_block) + " on"));
    return kOk;
}

}  // namespace trainyard::node::cli
