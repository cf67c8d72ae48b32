// SPDX-License-Identifier: Apache-2.0
// Builds the devnet's contracts from the chain spec and runs transactions on them.
#include "chain.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "abi.hpp"
#include "consensus/bft/seal.hpp"
#include "consensus/transition/simulate.hpp"
#include "consensus/transition/system.hpp"
#include "consensus/transition/transaction.hpp"

namespace trainyard::contracts {
namespace {

namespace json = boost::json;

json::value read_json(const std::string& name) {
    std::ifstream file(std::string(TRAINYARD_GENESIS) + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    return json::parse(text.str());
}

std::string text_of(const json::value& v) {
    return std::string(v.as_string());
}

/// Encodes constructor arguments as docs/spec/genesis.md says.
struct ArgumentEncoder {
    const json::object& spec;
    const std::map<std::string, Address>& addresses;
    const std::vector<ChainValidator>& validators;
    const std::map<std::string, Uint256>& overrides;
    Abi out;

    void add_list(const json::array& list) {
        for (const json::value& entry : list) {
            if (entry.is_string())
                add_list(spec.at("groups").at(text_of(entry).substr(1)).as_array());
            else
                add(entry.as_object());
        }
    }

    void add(const json::object& argument) {
        const std::string type = text_of(argument.at("type"));
        const std::string value = text_of(argument.at("value"));
        const auto replaced = overrides.find(text_of(argument.at("name")));
        if (type == "validators")
            add_validators();
        else if (value[0] == '@')
            out.address(addresses.at(value.substr(1)));
        else
            out.word(replaced != overrides.end() ? replaced->second : *parse_uint256(value));
    }

    void add_validators() {
        std::vector<Abi> list;
        for (const ChainValidator& v : validators) {
            const Address& at = v.operator_address;
            list.emplace_back()
                .address(at)
                .bytes(duty_public(at, Duty::consensus).bytes)
                .bytes(duty_public(at, Duty::vrf).bytes)
                .bytes(duty_public(at, Duty::p2p).bytes)
                .word(v.stake_wei);
        }
        out.tuples(list);
    }
};

std::string error_text(BytesView data) {
    static const std::vector<std::string> plain = {
        "NotAllowed()", "WrongState()",    "NotYet()",     "TooLate()",   "NothingDue()",
        "NotMarket()",  "NotRegistered()", "NotPayer()",   "NotSystem()", "NotValidator()",
        "BadInput()",   "QueueFull()",     "Tombstoned()", "NoOffence()"};
    if (data.size() < 4) return "";
    for (const std::string& signature : plain) {
        const Hash h = keccak256(as_bytes(signature));
        if (std::equal(data.begin(), data.begin() + 4, h.begin()))
            return signature.substr(0, signature.size() - 2);
    }
    const auto is = [&](std::string_view signature) {
        const Hash h = keccak256(as_bytes(signature));
        return std::equal(data.begin(), data.begin() + 4, h.begin());
    };
    const BytesView body = data.subspan(4);
    const auto string_at = [&](size_t head) {
        const size_t start = word_at(body, head).low();
        return std::string(as_text(body.subspan(start + 32, word_at(body, start / 32).low())));
    };
    if (is("BadValue(string)")) return "BadValue(" + string_at(0) + ")";
    if (is("BadOpening(uint256,string)")) return "BadOpening(" + string_at(1) + ")";
    if (is("Refused(uint8)")) return "Refused(" + to_decimal(word_at(body, 0)) + ")";
    if (is("NotEnoughStake(uint256,uint256)")) return "NotEnoughStake";
    if (is("Held(uint256)")) return "Held";
    if (is("AuditorsBusy(uint256)")) return "AuditorsBusy(" + to_decimal(word_at(body, 0)) + ")";
    if (is("BeyondAudit(uint256,uint256)"))
        return "BeyondAudit(" + to_decimal(word_at(body, 0)) + ", " + to_decimal(word_at(body, 1)) +
               ")";
    return "unknown error " + to_hex(data.first(4));
}

consensus::ExecutionContext context_of(const consensus::ChainConfig& config, uint64_t number,
                                       uint64_t timestamp, vm::CodeCache* codes) {
    consensus::BlockEnv env;
    env.number = number;
    env.timestamp = timestamp;
    env.gas_limit = config.gas_limit;
    return {config, env, [](uint64_t) { return Hash{}; }, nullptr, codes};
}

}  // namespace

std::string Sent::error() const {
    return ok ? "" : error_text(output);
}

std::optional<state::Account> MemoryView::account(const Address& address) const {
    const auto found = accounts_.find(address);
    return found == accounts_.end() ? std::nullopt : std::optional(found->second);
}

Uint256 MemoryView::storage(const Address& address, const Uint256& slot) const {
    const auto account = slots_.find(address);
    if (account == slots_.end()) return 0;
    const auto found = account->second.find(slot);
    return found == account->second.end() ? Uint256() : found->second;
}

Bytes MemoryView::code(const Hash& code_hash) const {
    const auto found = codes_.find(code_hash);
    return found == codes_.end() ? Bytes() : found->second;
}

void MemoryView::apply(const state::StateDiff& diff) {
    for (const auto& [hash, code] : diff.codes) codes_[hash] = code;
    for (const auto& [address, change] : diff.accounts) {
        if (!change || change->storage_cleared) slots_.erase(address);
        if (!change) {
            accounts_.erase(address);
            continue;
        }
        accounts_[address] = {change->nonce, change->balance, change->code_hash, kEmptyTrieRoot};
        for (const auto& [slot, value] : change->storage) slots_[address][slot] = value;
    }
}

Uint256 MemoryView::supply() const {
    Uint256 sum;
    for (const auto& [address, account] : accounts_) sum += account.balance;
    return sum;
}

Chain::Chain(std::vector<ChainValidator> validators,
             const std::map<std::string, Uint256>& overrides) {
    const json::value root = read_json("devnet.json");
    const json::object& spec = root.as_object();
    config_.chain_id = static_cast<uint64_t>(spec.at("chainId").as_int64());
    config_.mini_epoch_length = static_cast<uint64_t>(spec.at("miniEpochLength").as_int64());
    for (const json::value& c : spec.at("contracts").as_array())
        addresses_[text_of(c.at("name"))] = *fixed_from_hex<Address>(text_of(c.at("address")));
    std::sort(validators.begin(), validators.end(),
              [](const auto& a, const auto& b) { return a.operator_address < b.operator_address; });
    Uint256 stake;
    for (const ChainValidator& v : validators) stake += v.stake_wei;
    for (const json::value& c : spec.at("contracts").as_array()) {
        const Address& at = addresses_.at(text_of(c.at("name")));
        if (const json::value* code = c.as_object().if_contains("code")) {
            install(at, *from_hex(text_of(*code)));
            continue;
        }
        const json::value artifact = read_json("artifacts/" + text_of(c.at("artifact")) + ".json");
        ArgumentEncoder encoder{spec, addresses_, validators, overrides, {}};
        encoder.add_list(c.at("args").as_array());
        Bytes init = *from_hex(text_of(artifact.at("bytecode")));
        append(init, encoder.out.encode());
        const auto made = consensus::run_constructor(
            view_, context_of(config_, 0, timestamp_, &codes_), at, init);
        ASSERT(made.has_value());
        view_.apply(*made);
        if (c.as_object().contains("balance")) give(at, stake);
    }
    mine();
}

Sent Chain::execute(const Address& from, const Address& to, const Bytes& data, const Uint256& value,
                    bool keep) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = config_.chain_id;
    tx.nonce = view_.account(from).value_or(state::Account{}).nonce;
    tx.gas_limit = consensus::kTxGasMax;
    tx.to = to;
    tx.value = value;
    tx.data = data;
    const consensus::ExecutionContext context = context_of(config_, number_, timestamp_, &codes_);
    const auto outcome = consensus::apply_transaction(view_, context, tx, from);
    if (!outcome) return {false, {}, {}, 0};
    const bool ok = outcome->status == vm::Status::success;
    if (keep) view_.apply(outcome->diff);
    return {ok, outcome->output, outcome->receipt.logs, outcome->gas_used};
}

Sent Chain::send(const Address& from, const Address& to, const Bytes& data, const Uint256& value) {
    return execute(from, to, data, value, true);
}

Bytes Chain::call(const Address& to, const Bytes& data) {
    return execute(actor("viewer"), to, data, 0, false).output;
}

Sent Chain::impersonate(const Address& from, const Address& to, const Bytes& data) {
    const auto context = context_of(config_, number_, timestamp_, &codes_);
    consensus::World world(view_, context.rules(), &codes_);
    consensus::Evm evm(world, context);
    evm.begin(from, 0);
    vm::Message message;
    message.gas = int64_t{1} << 40;
    message.sender = from;
    message.recipient = message.code_address = to;
    message.input = data;
    const auto result = evm.call(message);
    world.end_transaction();
    if (result.status == vm::Status::success) view_.apply(world.diff());
    return {result.status == vm::Status::success,
            result.output,
            {},
            static_cast<uint64_t>(message.gas - result.gas_left)};
}

void Chain::mine(uint64_t blocks) {
    for (uint64_t i = 0; i < blocks; ++i) mine_in_view(parent_view_ + 1);
}

void Chain::mine_in_view(uint64_t view) {
    ++number_;
    ++timestamp_;
    const auto header_at = [&](uint64_t number, uint64_t in_view) {
        Header header;
        header.number = number;
        header.prev_randao = beacon_at(number);
        if (number > 0) header.extra_data = consensus::bft::encode_seal({{}, {in_view}, {}, {}});
        return header;
    };
    const Header header = header_at(number_, view), parent = header_at(number_ - 1, parent_view_);
    const auto context = context_of(config_, number_, timestamp_, &codes_);
    consensus::World world(view_, context.rules(), &codes_);
    consensus::Evm evm(world, context);
    ASSERT(consensus::begin_block(evm, header, parent).has_value());
    view_.apply(world.diff());
    parent_view_ = view;
}

Hash Chain::beacon_at(uint64_t number) const {
    if (number == 0) return keccak256(as_bytes("genesis"));
    return keccak256(
        as_bytes("beacon " + std::to_string((number - 1) / config_.mini_epoch_length)));
}

void Chain::give(const Address& to, const Uint256& wei) {
    state::StateDiff diff;
    const state::Account old = view_.account(to).value_or(state::Account{});
    diff.accounts[to] =
        state::AccountChange{old.nonce, old.balance + wei, old.code_hash, false, {}};
    view_.apply(diff);
}

void Chain::install(const Address& at, const Bytes& code) {
    state::StateDiff diff;
    const Hash hash = keccak256(code);
    diff.accounts[at] = state::AccountChange{1, balance(at), hash, false, {}};
    diff.codes[hash] = code;
    view_.apply(diff);
}

Uint256 Chain::balance(const Address& of) const {
    return view_.account(of).value_or(state::Account{}).balance;
}

Bytes Chain::code(const Address& of) const {
    return view_.code(view_.account(of).value_or(state::Account{}).code_hash);
}

SecretKey duty_key(const Address& operator_address, Duty duty) {
    Bytes seed(operator_address.begin(), operator_address.end());
    seed.push_back(static_cast<uint8_t>(duty));
    return *fixed_from<SecretKey>(keccak256(seed).bytes);
}

PublicKey duty_public(const Address& operator_address, Duty duty) {
    return *public_key(duty_key(operator_address, duty));
}

Address actor(std::string_view name) {
    const Hash h = keccak256(as_bytes(name));
    Address out;
    std::copy(h.begin() + 12, h.end(), out.begin());
    return out;
}

}  // namespace trainyard::contracts
