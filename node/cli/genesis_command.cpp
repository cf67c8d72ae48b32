// SPDX-License-Identifier: Apache-2.0
// `trainyard genesis`: build a genesis file from keyrings, check one.
#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/genesis_build.hpp"
#include "node/cli/node_setup.hpp"
#include "node/config/system_contracts.hpp"
#include "node/p2p/network.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/keyring.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
constexpr size_t kTextMax = 64u << 20;

Result<config::GenesisValidator, std::string> read_validator(const std::string& text,
                                                             const Uint256& stake_wei) {
    const auto at = text.rfind('@');
    if (at == std::string::npos || at == 0 || !p2p::peer_endpoint_from(text.substr(at + 1)))
        return unexpected("--validator '" + text +
                          "' is not <folder of keystores>@host:port, with the port at which the "
                          "others will find it");
    const auto keys = wallet::load_validator_keys(text.substr(0, at));
    if (!keys) return unexpected(keys.error().text);
    return config::GenesisValidator{*address_of(keys->account),
                                    *public_key(keys->consensus),
                                    *public_key(keys->vrf),
                                    *public_key(keys->p2p),
                                    stake_wei,
                                    text.substr(at + 1)};
}

int tell(const Output& out, const config::Genesis& genesis, const Hash& hash) {
    if (out.json)
        out.line(json::serialize(json::object{{"hash", to_hex0x(hash.bytes)},
                                              {"chainId", genesis.chain_id},
                                              {"validators", genesis.validators.size()}}));
    else
        out.line("block 0 " + to_hex0x(hash.bytes) + "  chain " + std::to_string(genesis.chain_id) +
                 "  " + std::to_string(genesis.validators.size()) + " validators");
    return kOk;
}

}  // namespace

int run_genesis_build(const Output& out, const GenesisArgs& args) {
    GenesisInputs inputs;
    inputs.spec = embedded_devnet_spec();
    inputs.artifact = embedded_artifact;
    if (!args.spec.empty()) {
        auto text = wallet::read_text(args.spec, kTextMax);
        if (!text) return out.fail(text.error().text);
        inputs.spec = std::move(*text);
    }
    const auto origin = args.spec.empty() ? std::string() : args.spec + ": ";
    auto spec = with_settings(inputs.spec, args.settings);
    if (!spec) return out.fail(origin + spec.error().text());
    inputs.spec = std::move(*spec);
    if (!args.artifacts.empty())
        inputs.artifact = [folder = args.artifacts](const std::string& name) {
            const auto text = wallet::read_text(folder + "/" + name + ".json", kTextMax);
            return text ? std::optional<std::string>(*text) : std::nullopt;
        };
    const auto stake = parse_coins(args.stake);
    if (!stake) return out.fail("--stake is an amount like 1000"), kUsage;
    for (const auto& text : args.validators) {
        auto validator = read_validator(text, *stake);
        if (!validator) return out.fail(validator.error());
        for (const auto& other : inputs.validators)
            if (other.address == validator->address)
                return out.fail("--validator '" + text + "' has the keys of one before it");
        inputs.validators.push_back(std::move(*validator));
    }
    const auto seed =
        args.seed.empty() ? wallet::random_fixed<Hash>() : fixed_from_hex<Hash>(args.seed);
    if (!seed) return out.fail("--seed must be 32 bytes in hexadecimal"), kUsage;
    inputs.seed = *seed;
    inputs.operator_balance_wei = *parse_coins("100");
    inputs.timestamp = args.timestamp == 0 ? unix_seconds() : args.timestamp;
    const auto genesis = build_genesis(inputs);
    if (!genesis) return out.fail(origin + genesis.error().text());
    if (wallet::file_exists(args.out))  // each has another seed and time
        return out.fail("'" + args.out +
                        "' is there already, and nodes may have begun with it: remove it, or name "
                        "another --out");
    auto written = wallet::write_text(args.out, config::write_genesis(*genesis));
    if (!written) return out.fail(written.error().text);
    out.say("wrote " + args.out);
    return tell(out, *genesis, genesis->block_hash);
}

int run_genesis_check(const Output& out, const GenesisArgs& args) {
    const auto text = wallet::read_text(args.file, kTextMax);
    if (!text) return out.fail(text.error().text);
    const auto genesis = config::parse_genesis(*text);
    const std::string where = args.file + ": ";
    if (!genesis) return out.fail(where + genesis.error().text());
    const auto hash = config::check_genesis(*genesis);
    if (!hash) return out.fail(where + hash.error().text());
    if (auto agree = config::check_system_contracts(*genesis); !agree)
        return out.fail(where + agree.error().text());
    if (auto found = validator_peers(*genesis); !found) return out.fail(where + found.error());
    return tell(out, *genesis, *hash);
}

}  // namespace trainyard::node::cli
