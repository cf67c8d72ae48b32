// SPDX-License-Identifier: Apache-2.0
// The JSON of genesis files: strict in, canonical out.
#include "node/config/genesis.hpp"

#include "consensus/params.hpp"
#include "node/config/json_reading.hpp"

namespace trainyard::node::config {
namespace {

constexpr size_t kForksMax = 64, kForkNameMax = 64;

/// Forks of Ethereum that are active from block 0 or second 0, as geth names them.
constexpr const char* kBlockForks[] = {
    "homesteadBlock",         "eip150Block",     "eip155Block",   "eip158Block", "byzantiumBlock",
    "constantinopleBlock",    "petersburgBlock", "istanbulBlock", "berlinBlock", "londonBlock",
    "terminalTotalDifficulty"};
constexpr const char* kTimeForks[] = {"shanghaiTime", "cancunTime", "pragueTime", "osakaTime"};

GenesisValidator read_validator(Reading& in, const json::object& o, const std::string& where) {
    in.only(o, where, {"address", "consensusKey", "vrfKey", "p2pKey", "stake", "endpoint"});
    GenesisValidator v;
    v.address = in.fixed_of<Address>(o, "address", where);
    v.consensus_key = in.fixed_of<PublicKey>(o, "consensusKey", where);
    v.vrf_key = in.fixed_of<PublicKey>(o, "vrfKey", where);
    v.p2p_key = in.fixed_of<PublicKey>(o, "p2pKey", where);
    v.stake_wei = in.amount(o.if_contains("stake"), where + "stake");
    v.endpoint = in.text(o, "endpoint", where);
    return v;
}

void read_forks(Reading& in, const json::object& o, const std::string& where, Genesis& out) {
    const auto* given = o.if_contains("forks");
    if (given == nullptr) return;
    const auto* list = given->if_array();
    if (list == nullptr || list->size() > kForksMax)
        return in.fail(ConfigErrorCode::bad_value, where + "forks",
                       "must be a list of at most " + std::to_string(kForksMax));
    for (size_t i = 0; i < list->size(); ++i) {
        const std::string at = where + "forks[" + std::to_string(i) + "].";
        const auto* entry = in.object(&(*list)[i], at);
        if (entry == nullptr) return;
        in.only(*entry, at, {"name", "time", "release"});
        Fork fork{in.text(*entry, "name", at), in.number(*entry, "time", at),
                  in.text(*entry, "release", at)};
        if (fork.name.empty() || fork.name.size() > kForkNameMax || fork.release.empty() ||
            fork.release.size() > kForkNameMax)
            in.fail(ConfigErrorCode::bad_value, at + "name", "and release have 1 to 64 characters");
        if (!out.forks.empty() && fork.time < out.forks.back().time)
            in.fail(ConfigErrorCode::mismatch, at + "time", "is earlier than the fork before it");
        out.forks.push_back(std::move(fork));
    }
}

void read_trainyard(Reading& in, const json::object& o, Genesis& out) {
    const std::string where = "config.trainyard.";
    in.only(o, where,
            {"miniEpochLength", "epochLength", "cutoff", "blockIntervalMs", "deltaMs", "validators",
             "forks"});
    out.mini_epoch_length = in.number(o, "miniEpochLength", where);
    out.epoch_length = in.number(o, "epochLength", where);
    out.cutoff = in.number(o, "cutoff", where);
    out.block_interval_ms = in.number(o, "blockIntervalMs", where);
    out.delta_ms = in.number(o, "deltaMs", where);
    if (out.mini_epoch_length == 0 || out.cutoff >= out.mini_epoch_length)
        in.fail(ConfigErrorCode::bad_value, where + "cutoff", "must be less than miniEpochLength");
    else if (!consensus::is_epoch_length(out.epoch_length, out.mini_epoch_length))
        in.fail(ConfigErrorCode::bad_value, where + "epochLength",
                "must be a multiple of miniEpochLength, twice as long or longer");
    read_forks(in, o, where, out);
    const auto* list = o.if_contains("validators");
    if (list == nullptr || !list->is_array() || list->get_array().empty())
        return in.fail(ConfigErrorCode::missing, where + "validators", "must be a filled list");
    for (size_t i = 0; i < list->get_array().size(); ++i) {
        const std::string at = where + "validators[" + std::to_string(i) + "]";
        if (const auto* entry = in.object(&list->get_array()[i], at))
            out.validators.push_back(read_validator(in, *entry, at + "."));
    }
}

void read_config(Reading& in, const json::object& root, Genesis& out) {
    const auto* config = in.object(root.if_contains("config"), "config");
    if (config == nullptr) return;
    std::vector<std::string> known{"chainId", "trainyard"};
    for (const auto* fork : kBlockForks) known.emplace_back(fork);
    for (const auto* fork : kTimeForks) known.emplace_back(fork);
    in.only(*config, "config.", known);
    out.chain_id = in.number(*config, "chainId", "config.");
    if (out.chain_id == 0)
        in.fail(ConfigErrorCode::bad_value, "config.chainId", "must not be zero");
    for (const auto& fork : known) {
        const auto* value = config->if_contains(fork);
        const bool is_fork = fork != "chainId" && fork != "trainyard";
        if (is_fork && value != nullptr && !in.amount(value, "config." + fork).is_zero())
            in.fail(ConfigErrorCode::bad_value, "config." + fork,
                    "must be 0: every fork up to Osaka is active from the first block");
    }
    if (const auto* own = in.object(config->if_contains("trainyard"), "config.trainyard"))
        read_trainyard(in, *own, out);
}

GenesisAccount read_account(Reading& in, const json::object& o, const std::string& where) {
    in.only(o, where, {"balance", "nonce", "code", "storage"});
    GenesisAccount account;
    account.balance = in.amount(o.if_contains("balance"), where + "balance");
    if (o.contains("nonce")) account.nonce = in.number(o, "nonce", where);
    if (o.contains("code")) account.code = in.data(in.text(o, "code", where), where + "code");
    if (!o.contains("storage")) return account;
    const auto* storage = in.object(o.if_contains("storage"), where + "storage");
    if (storage == nullptr) return account;
    for (const auto& [key, value] : *storage) {
        const std::string at = where + "storage." + std::string(key);
        const auto slot = in.fixed<Hash>(std::string_view(key), at);
        const bool fresh = account.storage.emplace(from_hash(slot), in.amount(&value, at)).second;
        if (!fresh) in.fail(ConfigErrorCode::bad_value, at, "appears twice");
    }
    return account;
}

void read_alloc(Reading& in, const json::object& root, Genesis& out) {
    const auto* alloc = in.object(root.if_contains("alloc"), "alloc");
    if (alloc == nullptr) return;
    for (const auto& [key, value] : *alloc) {
        const std::string where = "alloc." + std::string(key);
        const auto address = in.fixed<Address>(std::string_view(key), where);
        const auto* account = in.object(&value, where);
        if (account == nullptr) return;
        if (!out.alloc.emplace(address, read_account(in, *account, where + ".")).second)
            in.fail(ConfigErrorCode::bad_value, where, "appears twice");
    }
}

void read_header(Reading& in, const json::object& root, Genesis& out) {
    in.only(root, "",
            {"config", "alloc", "timestamp", "gasLimit", "baseFeePerGas", "extraData", "mixHash",
             "difficulty", "nonce", "coinbase", "hash"});
    out.timestamp = in.number(root, "timestamp", "");
    out.gas_limit = in.number(root, "gasLimit", "");
    out.base_fee_wei = in.amount(root.if_contains("baseFeePerGas"), "baseFeePerGas");
    out.prev_randao = in.fixed_of<Hash>(root, "mixHash", "");
    if (root.contains("extraData"))
        out.extra_data = in.data(in.text(root, "extraData", ""), "extraData");
    if (root.contains("hash")) out.block_hash = in.fixed_of<Hash>(root, "hash", "");
    for (const auto* zero : {"difficulty", "nonce", "coinbase"})
        if (root.contains(zero) && !in.amount(root.if_contains(zero), zero).is_zero())
            in.fail(ConfigErrorCode::bad_value, zero, "must be 0");
}

std::string hex(const Uint256& value) {
    return to_quantity(value);
}

json::object validator_json(const GenesisValidator& v) {
    return {
        {"address", to_hex0x(v.address.bytes)}, {"consensusKey", to_hex0x(v.consensus_key.bytes)},
        {"vrfKey", to_hex0x(v.vrf_key.bytes)},  {"p2pKey", to_hex0x(v.p2p_key.bytes)},
        {"stake", to_decimal(v.stake_wei)},     {"endpoint", v.endpoint}};
}

json::object account_json(const GenesisAccount& account) {
    json::object out{{"balance", hex(account.balance)}};
    if (account.nonce != 0) out["nonce"] = hex(account.nonce);
    if (!account.code.empty()) out["code"] = to_hex0x(account.code);
    if (account.storage.empty()) return out;
    json::object storage;
    for (const auto& [slot, value] : account.storage)
        storage[to_hex0x(to_hash(slot).bytes)] = to_hex0x(to_hash(value).bytes);
    out["storage"] = std::move(storage);
    return out;
}

json::object config_json(const Genesis& g) {
    json::object config{{"chainId", g.chain_id}};
    for (const auto* fork : kBlockForks) config[fork] = 0;
    for (const auto* fork : kTimeForks) config[fork] = 0;
    json::array validators;
    for (const auto& v : g.validators) validators.push_back(validator_json(v));
    config["trainyard"] = json::object{{"miniEpochLength", g.mini_epoch_length},
                                       {"epochLength", g.epoch_length},
                                       {"cutoff", g.cutoff},
                                       {"blockIntervalMs", g.block_interval_ms},
                                       {"deltaMs", g.delta_ms},
                                       {"validators", std::move(validators)}};
    if (g.forks.empty()) return config;
    json::array forks;
    for (const auto& fork : g.forks)
        forks.push_back(
            json::object{{"name", fork.name}, {"time", fork.time}, {"release", fork.release}});
    config["trainyard"].get_object()["forks"] = std::move(forks);
    return config;
}

/// One entry per line at the outer levels, so that people can read and compare the file.
void pretty(std::string& out, const json::value& value, const std::string& indent, int depth) {
    const auto* fields = value.if_object();
    const auto* items = value.if_array();
    const bool inner = depth > 0 && ((fields != nullptr && !fields->empty()) ||
                                     (items != nullptr && !items->empty()));
    if (!inner) {
        out += json::serialize(value);
        return;
    }
    const std::string deeper = indent + "  ";
    bool first = true;
    out += fields != nullptr ? "{" : "[";
    if (fields != nullptr) {
        for (const auto& [key, member] : *fields) {
            out += (first ? "\n" : ",\n") + deeper + json::serialize(json::string(key)) + ": ";
            pretty(out, member, deeper, depth - 1);
            first = false;
        }
    } else {
        for (const auto& member : *items) {
            out += (first ? "\n" : ",\n") + deeper;
            pretty(out, member, deeper, depth - 1);
            first = false;
        }
    }
    out += "\n" + indent + (fields != nullptr ? "}" : "]");
}

}  // namespace

Result<Genesis, ConfigError> parse_genesis(std::string_view text) {
    const auto root = read_genesis_object(text, "`trainyard genesis build` writes such a file");
    if (!root) return unexpected(root.error());
    Reading in;
    Genesis out;
    read_header(in, *root, out);
    read_config(in, *root, out);
    read_alloc(in, *root, out);
    if (in.error) return unexpected(std::move(*in.error));
    return out;
}

std::string write_genesis(const Genesis& g) {
    json::object alloc;
    for (const auto& [address, account] : g.alloc)
        alloc[to_hex0x(address.bytes)] = account_json(account);
    json::object root{{"config", config_json(g)},
                      {"timestamp", hex(g.timestamp)},
                      {"gasLimit", hex(g.gas_limit)},
                      {"baseFeePerGas", hex(g.base_fee_wei)},
                      {"extraData", to_hex0x(g.extra_data)},
                      {"mixHash", to_hex0x(g.prev_randao.bytes)},
                      {"difficulty", "0x0"},
                      {"alloc", std::move(alloc)}};
    if (!g.block_hash.is_zero()) root["hash"] = to_hex0x(g.block_hash.bytes);
    std::string out;
    pretty(out, json::value(std::move(root)), "", 5);
    return out + "\n";
}

}  // namespace trainyard::node::config
