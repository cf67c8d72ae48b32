// SPDX-License-Identifier: Apache-2.0
// Reads chain specs strictly and executes what they list.
#include "node/cli/genesis_build.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <boost/json.hpp>

#include "consensus/transition/simulate.hpp"
#include "core/hash.hpp"
#include "node/cli/embedded.hpp"
#include "node/config/system_contracts.hpp"
#include "node/wallet/abi.hpp"
#include "node/wallet/eth_client.hpp"
#include "state/view.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using config::ConfigError;
using config::ConfigErrorCode;
using config::Genesis;
using wallet::AbiType;
using wallet::AbiValue;

template <class T>
using Built = Result<T, ConfigError>;

ConfigError error(ConfigErrorCode code, const std::string& where, std::string what,
                  std::string hint = "docs/spec/genesis.md describes the chain spec") {
    return {code, "spec." + where, std::move(what), std::move(hint)};
}

Built<Done> only(const json::object& o, const std::string& where,
                 const std::vector<std::string>& known) {
    for (const auto& [key, value] : o) {
        const std::string name(key);
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const auto near = config::nearest_name(name, known.data(), known.size());
        return unexpected(error(ConfigErrorCode::unknown_key, where + name, "unknown key",
                                near.empty() ? "remove it" : "did you mean '" + near + "'?"));
    }
    return Done{};
}

Built<std::string> text_of(const json::object& o, const char* key, const std::string& where) {
    const auto* v = o.if_contains(key);
    if (v == nullptr || !v->is_string())
        return unexpected(error(ConfigErrorCode::missing, where + key, "must be a string"));
    return std::string(v->get_string());
}

Built<uint64_t> number_of(const json::object& o, const char* key, const std::string& where) {
    const auto* v = o.if_contains(key);
    std::optional<Uint256> out;
    if (v != nullptr && v->is_string()) out = parse_uint256(std::string_view(v->get_string()));
    if (v != nullptr && v->is_int64() && v->get_int64() >= 0)
        out = Uint256(static_cast<uint64_t>(v->get_int64()));
    if (!out || !out->fits_u64())
        return unexpected(error(ConfigErrorCode::bad_value, where + key, "must be a number"));
    return out->low();
}

Built<const json::array*> array_of(const json::object& o, const char* key) {
    const auto* v = o.if_contains(key);
    if (v == nullptr || !v->is_array())
        return unexpected(error(ConfigErrorCode::missing, key, "must be a list"));
    return &v->get_array();
}

std::string why(const consensus::ConstructorFault& fault) {
    return fault.status == vm::Status::revert ? wallet::revert_text(fault.output)
                                              : std::string(vm::to_text(fault.status));
}

/// The constructor's parameters: types and values side by side.
struct Arguments {
    AbiType type{AbiType::Kind::tuple, 0, {}};
    AbiValue value;
};

class Builder {
public:
    Builder(const GenesisInputs& inputs, const json::object& spec) : in_(inputs), spec_(spec) {}

    Built<Genesis> run() {
        if (auto done = read_numbers(); !done) return unexpected(done.error());
        if (auto done = read_accounts(); !done) return unexpected(done.error());
        for (const auto& v : in_.validators) {
            stake_ += v.stake_wei;
            out_.alloc[v.address].balance += in_.operator_balance_wei;
        }
        const auto contracts = array_of(spec_, "contracts");
        if (!contracts) return unexpected(contracts.error());
        if (auto done = read_addresses(**contracts); !done) return unexpected(done.error());
        for (const auto& entry : **contracts)
            if (auto done = add_contract(entry.get_object()); !done)
                return unexpected(done.error());
        const auto hash = config::check_genesis(out_);
        if (!hash) return unexpected(hash.error());
        out_.block_hash = *hash;
        if (auto done = config::check_system_contracts(out_); !done)
            return unexpected(done.error());
        return std::move(out_);
    }

private:
    Built<Done> read_numbers() {
        auto known = only(spec_, "",
                          {"name", "chainId", "revision", "gasLimit", "baseFeePerGas", "extraData",
                           "miniEpochLength", "epochLength", "cutoff", "blockIntervalMs", "deltaMs",
                           "accounts", "groups", "contracts"});
        if (!known) return known;
        const std::pair<const char*, uint64_t Genesis::*> fields[] = {
            {"chainId", &Genesis::chain_id},
            {"gasLimit", &Genesis::gas_limit},
            {"miniEpochLength", &Genesis::mini_epoch_length},
            {"epochLength", &Genesis::epoch_length},
            {"cutoff", &Genesis::cutoff},
            {"blockIntervalMs", &Genesis::block_interval_ms},
            {"deltaMs", &Genesis::delta_ms}};
        for (const auto& [key, field] : fields) {
            const auto value = number_of(spec_, key, "");
            if (!value) return unexpected(value.error());
            out_.*field = *value;
        }
        if (!consensus::is_epoch_length(out_.epoch_length, out_.mini_epoch_length))
            return unexpected(error(ConfigErrorCode::bad_value, "epochLength",
                                    "must be a multiple of miniEpochLength, at least twice"));
        const auto fee = number_of(spec_, "baseFeePerGas", "");
        if (!fee) return unexpected(fee.error());
        const auto revision = text_of(spec_, "revision", "");
        if (!revision) return unexpected(revision.error());
        if (*revision != "osaka")
            return unexpected(error(ConfigErrorCode::bad_value, "revision", "must be \"osaka\""));
        const auto extra = text_of(spec_, "extraData", "");
        const auto bytes = extra ? from_hex(*extra) : std::nullopt;
        if (!bytes)
            return unexpected(error(ConfigErrorCode::bad_value, "extraData", "must be hex"));
        out_.base_fee_wei = *fee;
        out_.extra_data = *bytes;
        out_.timestamp = in_.timestamp;
        out_.prev_randao = in_.seed;
        out_.validators = in_.validators;
        std::sort(out_.validators.begin(), out_.validators.end(),
                  [](const auto& a, const auto& b) { return a.address < b.address; });
        return Done{};
    }

    Built<Done> read_accounts() {
        const auto accounts = array_of(spec_, "accounts");
        if (!accounts) return unexpected(accounts.error());
        for (const auto& entry : **accounts) {
            if (!entry.is_object())
                return unexpected(
                    error(ConfigErrorCode::bad_value, "accounts", "holds a non-object"));
            const auto& o = entry.get_object();
            const auto address_text = text_of(o, "address", "accounts.");
            const auto balance_text = text_of(o, "balance", "accounts.");
            if (!address_text || !balance_text)
                return unexpected((address_text ? balance_text : address_text).error());
            const auto address = fixed_from_hex<Address>(*address_text);
            const auto balance = parse_uint256(*balance_text);
            if (!address || !balance)
                return unexpected(error(ConfigErrorCode::bad_value, "accounts." + *address_text,
                                        "must be an address and a balance in wei"));
            out_.alloc[*address].balance += *balance;
        }
        return Done{};
    }

    Built<Done> read_addresses(const json::array& contracts) {
        for (const auto& entry : contracts) {
            if (!entry.is_object())
                return unexpected(
                    error(ConfigErrorCode::bad_value, "contracts", "holds a non-object"));
            const auto name = text_of(entry.get_object(), "name", "contracts.");
            if (!name) return unexpected(name.error());
            const auto text = text_of(entry.get_object(), "address", "contracts." + *name + ".");
            const auto address = text ? fixed_from_hex<Address>(*text) : std::nullopt;
            if (!address || !addresses_.emplace(*name, *address).second)
                return unexpected(error(ConfigErrorCode::bad_value, "contracts." + *name,
                                        "needs an address and a name of its own"));
        }
        return Done{};
    }

    Built<Done> add_contract(const json::object& o) {
        const std::string name = *text_of(o, "name", "");
        const std::string where = "contracts." + name + ".";
        if (auto known = only(o, where, {"name", "address", "artifact", "code", "args", "balance"});
            !known)
            return known;
        auto& account = out_.alloc[addresses_.at(name)];
        account.nonce = 1;
        if (o.contains("balance")) {
            const auto text = text_of(o, "balance", where);
            const auto amount = !text               ? std::nullopt
                                : *text == "$stake" ? std::optional(stake_)
                                                    : parse_uint256(*text);
            if (!amount)
                return unexpected(
                    error(ConfigErrorCode::bad_value, where + "balance", "must be wei"));
            account.balance += *amount;
        }
        if (o.contains("code")) {
            const auto text = text_of(o, "code", where);
            const auto code = text ? from_hex(*text) : std::nullopt;
            if (!code)
                return unexpected(error(ConfigErrorCode::bad_value, where + "code", "must be hex"));
            account.code = *code;
            return Done{};
        }
        return construct(o, name, where, account);
    }

    Built<Done> construct(const json::object& o, const std::string& name, const std::string& where,
                          config::GenesisAccount& account) {
        auto init = init_code(o, where);
        if (!init) return unexpected(init.error());
        consensus::ChainConfig chain;
        chain.chain_id = out_.chain_id;
        consensus::BlockEnv env;
        env.timestamp = in_.timestamp;
        env.gas_limit = out_.gas_limit;
        const consensus::ExecutionContext context{chain, env, [](uint64_t) { return Hash{}; }};
        const config::EmptyView nothing;
        const auto made = consensus::run_constructor(nothing, context, addresses_.at(name), *init);
        if (!made)
            return unexpected(error(ConfigErrorCode::execution, "contracts." + name,
                                    "its constructor fails: " + why(made.error()),
                                    "check the arguments, or what was set by --set"));
        const auto found = made->accounts.find(addresses_.at(name));
        if (made->accounts.size() != 1 || found == made->accounts.end() || !found->second)
            return unexpected(error(ConfigErrorCode::execution, "contracts." + name,
                                    "its constructor changes other accounts"));
        const auto code = made->codes.find(found->second->code_hash);
        if (code != made->codes.end()) account.code = code->second;
        account.storage = found->second->storage;
        return Done{};
    }

    Built<Bytes> init_code(const json::object& o, const std::string& where) {
        const auto artifact_name = text_of(o, "artifact", where);
        if (!artifact_name) return unexpected(artifact_name.error());
        const auto text = in_.artifact(*artifact_name);
        if (!text)
            return unexpected(error(ConfigErrorCode::missing, where + "artifact",
                                    "there is no artifact '" + *artifact_name + "'",
                                    "`./yard genesis` compiles the contracts"));
        boost::system::error_code failed;
        const auto artifact = json::parse(*text, failed);
        const auto* code = failed || !artifact.is_object()
                               ? nullptr
                               : artifact.get_object().if_contains("bytecode");
        const auto bytes = code != nullptr && code->is_string()
                               ? from_hex(std::string_view(code->get_string()))
                               : std::nullopt;
        if (!bytes)
            return unexpected(error(ConfigErrorCode::bad_value, where + "artifact",
                                    "the artifact has no bytecode"));
        Arguments arguments;
        const auto* list = o.if_contains("args");
        if (list == nullptr || !list->is_array())
            return unexpected(error(ConfigErrorCode::missing, where + "args", "must be a list"));
        if (auto done = add_arguments(list->get_array(), where, arguments, 0); !done)
            return unexpected(done.error());
        const auto encoded = wallet::abi_encode(arguments.type, arguments.value);
        if (!encoded)
            return unexpected(error(ConfigErrorCode::bad_value, where + "args",
                                    std::string(wallet::to_text(encoded.error()))));
        Bytes out = *bytes;
        append(out, *encoded);
        return out;
    }

    Built<Done> add_arguments(const json::array& list, const std::string& where, Arguments& out,
                              int depth) {
        for (const auto& entry : list) {
            if (!entry.is_string()) {
                if (!entry.is_object())
                    return unexpected(error(ConfigErrorCode::bad_value, where + "args",
                                            "holds neither an argument nor a group"));
                if (auto done = add_argument(entry.get_object(), where, out); !done) return done;
                continue;
            }
            const std::string group(entry.get_string());
            const auto* groups = spec_.if_contains("groups");
            const auto* items = groups != nullptr && groups->is_object() && group.starts_with('$')
                                    ? groups->get_object().if_contains(group.substr(1))
                                    : nullptr;
            if (items == nullptr || !items->is_array() || depth > 4)
                return unexpected(error(ConfigErrorCode::bad_value, where + "args",
                                        "there is no group '" + group + "'"));
            if (auto done = add_arguments(items->get_array(), where, out, depth + 1); !done)
                return done;
        }
        return Done{};
    }

    Built<Done> add_argument(const json::object& o, const std::string& where, Arguments& out) {
        const auto name = text_of(o, "name", where + "args.");
        const auto type_text = text_of(o, "type", where + "args.");
        const auto value = text_of(o, "value", where + "args.");
        for (const auto* part : {&name, &type_text, &value})
            if (!*part) return unexpected(part->error());
        const std::string at = where + "args." + *name;
        if (*type_text == "validators") return add_validators(out), Done{};
        auto type = wallet::parse_abi_type(*type_text);
        if (!type) return unexpected(error(ConfigErrorCode::bad_value, at, "has an unknown type"));
        std::optional<AbiValue> item;
        if (value->starts_with('@')) {
            const auto found = addresses_.find(value->substr(1));
            if (found != addresses_.end()) item = AbiValue::of(found->second);
        } else if (type->kind == AbiType::Kind::fixed_bytes) {
            if (const auto bytes = from_hex(*value)) item = AbiValue::of_bytes(*bytes);
        } else if (const auto number = parse_uint256(*value)) {
            item = AbiValue::of(*number);
        }
        if (!item)
            return unexpected(error(ConfigErrorCode::bad_value, at, "has an unreadable value"));
        out.type.parts.push_back(std::move(*type));
        out.value.items.push_back(std::move(*item));
        return Done{};
    }

    void add_validators(Arguments& out) {
        AbiValue list;
        for (const auto& v : out_.validators)
            list.items.push_back(AbiValue::of_items(
                {AbiValue::of(v.address), AbiValue::of_bytes(v.consensus_key.bytes),
                 AbiValue::of_bytes(v.vrf_key.bytes), AbiValue::of_bytes(v.p2p_key.bytes),
                 AbiValue::of(v.stake_wei)}));
        out.type.parts.push_back(*wallet::parse_abi_type("(address,bytes,bytes,bytes,uint256)[]"));
        out.value.items.push_back(std::move(list));
    }

    const GenesisInputs& in_;
    const json::object& spec_;
    Genesis out_;
    Uint256 stake_;
    std::map<std::string, Address> addresses_;
};

/// A number of a spec that may be set.
struct Place {
    std::string contract;  ///< whose argument it is; empty: the spec's own, or one of its groups
    std::string name;
    json::value* value = nullptr;

    [[nodiscard]] std::string whole_name() const {
        return contract.empty() ? name : contract + "." + name;
    }
};

/// A number that a file holds as text since it may be too large for JSON.
bool is_number_in_text(const json::value& value) {
    if (!value.is_string()) return false;
    const std::string_view text(value.get_string());
    return !text.starts_with("0x") && parse_uint256(text);
}

/// Those of a list of arguments.
void add_places(const std::string& contract, json::value* list, std::vector<Place>& out) {
    if (list == nullptr || !list->is_array()) return;
    for (auto& item : list->get_array()) {
        auto* name = item.is_object() ? item.get_object().if_contains("name") : nullptr;
        auto* value = item.is_object() ? item.get_object().if_contains("value") : nullptr;
        const bool is_number =
            name != nullptr && name->is_string() && value != nullptr && is_number_in_text(*value);
        if (is_number) out.push_back({contract, std::string(name->get_string()), value});
    }
}

std::vector<Place> places_of(json::object& spec) {
    std::vector<Place> out;
    for (auto& [key, value] : spec)
        if (value.is_int64() || is_number_in_text(value))
            out.push_back({"", std::string(key), &value});
    auto* groups = spec.if_contains("groups");
    if (groups != nullptr && groups->is_object())
        for (auto& [group, items] : groups->get_object()) add_places("", &items, out);
    auto* contracts = spec.if_contains("contracts");
    if (contracts == nullptr || !contracts->is_array()) return out;
    for (auto& contract : contracts->get_array()) {
        auto* name = contract.is_object() ? contract.get_object().if_contains("name") : nullptr;
        if (name == nullptr || !name->is_string()) continue;
        add_places(std::string(name->get_string()), contract.get_object().if_contains("args"), out);
    }
    return out;
}

/// What a name means: the places of its whole name, or else the arguments that contracts have under
/// it.
std::vector<Place> places_named(const std::vector<Place>& all, const std::string& name) {
    std::vector<Place> out;
    for (const Place& place : all)
        if (place.whole_name() == name) out.push_back(place);
    if (!out.empty()) return out;
    for (const Place& place : all)
        if (place.name == name) out.push_back(place);
    return out;
}

ConfigError no_such_number(const std::vector<Place>& all, const std::string& name) {
    std::vector<std::string> known;
    for (const Place& place : all) {
        known.push_back(place.whole_name());
        known.push_back(place.name);
    }
    const auto near = config::nearest_name(name, known.data(), known.size());
    return error(ConfigErrorCode::unknown_key, name, "there is no such number to set",
                 near.empty() ? "docs/spec/genesis.md names them" : "did you mean '" + near + "'?");
}

/// "name=value".
Built<Done> apply_setting(json::object& spec, const std::string& setting) {
    const auto cut = setting.find('=');
    const std::string name = setting.substr(0, cut);
    const auto number =
        cut == std::string::npos ? std::nullopt : parse_uint256(setting.substr(cut + 1));
    if (!number)
        return unexpected(error(ConfigErrorCode::bad_value, name, "must be set to a whole number",
                                "write it as NAME=NUMBER"));
    const auto all = places_of(spec);
    const auto named = places_named(all, name);
    if (named.empty()) return unexpected(no_such_number(all, name));
    std::set<std::string> choices;
    for (const Place& place : named) choices.insert(place.whole_name());
    if (choices.size() > 1) {
        std::string list;
        for (const auto& choice : choices) list += (list.empty() ? "" : " or ") + choice;
        return unexpected(error(ConfigErrorCode::bad_value, name,
                                "several contracts have an argument of that name",
                                "say which: " + list));
    }
    for (const Place& place : named) *place.value = to_decimal(*number);
    return Done{};
}

}  // namespace

Built<std::string> with_settings(const std::string& text,
                                 const std::vector<std::string>& settings) {
    if (settings.empty()) return text;
    boost::system::error_code failed;
    auto spec = json::parse(text, failed);
    if (failed || !spec.is_object())
        return unexpected(error(ConfigErrorCode::syntax, "", "not a JSON object"));
    for (const auto& setting : settings)
        if (auto done = apply_setting(spec.get_object(), setting); !done)
            return unexpected(done.error());
    return json::serialize(spec);
}

Built<Genesis> build_genesis(const GenesisInputs& inputs) {
    boost::system::error_code failed;
    const auto spec = json::parse(inputs.spec, failed);
    if (failed || !spec.is_object())
        return unexpected(error(ConfigErrorCode::syntax, "", "not a JSON object"));
    if (inputs.validators.empty())
        return unexpected(error(ConfigErrorCode::missing, "validators", "there are none"));
    return Builder(inputs, spec.get_object()).run();
}

std::optional<std::string> embedded_artifact(const std::string& name) {
    for (const auto& file : embedded_genesis())
        if (file.name == name + ".json") return std::string(file.text);
    return std::nullopt;
}

std::string embedded_devnet_spec() {
    return embedded_artifact("devnet").value_or("");
}

}  // namespace trainyard::node::cli
