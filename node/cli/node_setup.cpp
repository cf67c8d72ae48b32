// SPDX-License-Identifier: Apache-2.0
// Reading a node's genesis, keys and stores.
#include "node/cli/node_setup.hpp"

#include <filesystem>
#include <random>

#include "node/config/system_contracts.hpp"
#include "node/signer/joined_store.hpp"
#include "node/wallet/files.hpp"
#include "state/world.hpp"

namespace trainyard::node::cli {
namespace {

constexpr uint64_t kWeiPerGwei = 1'000'000'000;
constexpr size_t kGenesisBytesMax = 64u << 20;

Result<consensus::ValidatorSet, std::string> validators_of(const config::Genesis& genesis) {
    std::vector<consensus::Validator> validators;
    for (const auto& v : genesis.validators) {
        const auto stake = divmod(v.stake_wei, kWeiPerGwei).quotient;
        if (!stake.fits_u64())
            return unexpected("genesis: the stake of " + to_hex0x(v.address.bytes) +
                              " is too large");
        validators.push_back({v.address, v.consensus_key, v.vrf_key, v.p2p_key, stake.low()});
    }
    auto set = consensus::ValidatorSet::make(std::move(validators));
    if (!set) return unexpected("genesis: validators: " + std::string(to_text(set.error())));
    return std::move(*set);
}

consensus::ChainConfig chain_of(const config::Genesis& genesis) {
    consensus::ChainConfig chain;
    chain.chain_id = genesis.chain_id;
    chain.mini_epoch_length = genesis.mini_epoch_length;
    chain.epoch_length = genesis.epoch_length;
    chain.commit_cutoff = genesis.cutoff;
    chain.block_interval_ms = genesis.block_interval_ms;
    chain.delta_ms = genesis.delta_ms;
    chain.gas_limit = genesis.gas_limit;
    return chain;
}

Result<std::vector<p2p::StaticPeer>, std::string> static_peers(
    const char* setting, const std::vector<std::string>& texts) {
    std::vector<p2p::StaticPeer> peers;
    for (const auto& text : texts) {
        const auto peer = p2p::static_peer_from(text);
        if (!peer)
            return unexpected(std::string(setting) + ": '" + text +
                              "' is not <66 hex digits>@host:port");
        peers.push_back(*peer);
    }
    return peers;
}

Result<std::vector<p2p::StaticPeer>, std::string> peers_of(const config::NodeConfig& config,
                                                           const config::Genesis& genesis) {
    auto validators = validator_peers(genesis);
    if (!validators) return unexpected(validators.error());
    std::vector<p2p::StaticPeer> peers = std::move(*validators);
    const auto more = static_peers("p2p.peers", config.p2p_peers);
    if (!more) return unexpected(more.error());
    peers.insert(peers.end(), more->begin(), more->end());
    return peers;
}

Result<Done, std::string> read_network(NodeSetup& setup, const config::NodeConfig& config) {
    auto peers = peers_of(config, setup.genesis);
    auto seeds = static_peers("p2p.seeds", config.p2p_seeds);
    auto sentries = static_peers("p2p.sentries", config.p2p_sentries);
    for (const auto* list : {&peers, &seeds, &sentries})
        if (!*list) return unexpected(list->error());
    for (const auto& text : config.p2p_private) {
        const auto id = fixed_from_hex<PublicKey>(text);
        if (!id) return unexpected("p2p.private: '" + text + "' is not 66 hex digits");
        setup.private_peers.push_back(*id);
    }
    setup.peers = std::move(*peers);
    setup.seeds = std::move(*seeds);
    setup.sentries = std::move(*sentries);
    return Done{};
}

SecretKey random_key() {
    std::random_device source;
    SecretKey key;
    do {
        for (auto& byte : key.bytes) byte = static_cast<uint8_t>(source());
    } while (!is_valid_secret(key));
    return key;
}

/// A node without keys has an identity all the same, so that others can name it in their settings.
Result<SecretKey, std::string> node_key(const config::NodeConfig& config) {
    const std::string path = config.datadir + "/nodekey";
    if (wallet::file_exists(path)) {
        const auto text = wallet::read_text(path, 1024);
        if (!text) return unexpected(text.error().text);
        const auto key = fixed_from_hex<SecretKey>(text->substr(0, text->find('\n')));
        if (key && is_valid_secret(*key)) return *key;
        return unexpected(path + ": not a key; remove it, and the node gets a new identity");
    }
    if (auto made = wallet::make_folder(config.datadir); !made)
        return unexpected(made.error().text);
    const SecretKey key = random_key();
    const auto kept =
        wallet::write_text(path, to_hex(key.bytes) + "\n", wallet::FileMode::owner_only);
    if (!kept) return unexpected(kept.error().text);
    return key;
}

Result<Done, std::string> read_keys(NodeSetup& setup, const config::NodeConfig& config) {
    if (config.keys.empty() && !config.signer.empty())
        return unexpected(std::string(
            "`signer` needs `keys` besides: a folder with account.json, p2p.json and `password`"));
    if (config.keys.empty()) {
        const auto key = node_key(config);
        if (!key) return unexpected(key.error());
        setup.p2p_key = *key;
        return Done{};
    }
    auto keys = wallet::load_validator_keys(
        config.keys, config.signer.empty() ? wallet::KeyParts::all : wallet::KeyParts::node);
    if (!keys) return unexpected(keys.error().text);
    setup.p2p_key = keys->p2p;
    setup.keys = std::move(*keys);
    return Done{};
}

Result<std::unique_ptr<state::Kv>, std::string> open_store(const std::filesystem::path& path) {
    auto kv = state::open_leveldb(path.string());
    if (kv) return std::move(*kv);
    if (kv.error() == state::KvError::locked)
        return unexpected(path.string() +
                          ": another process has it open; stop that first, a key votes from one "
                          "process only");
    return unexpected(path.string() + ": " + std::string(state::to_text(kv.error())));
}

}  // namespace

Result<std::vector<p2p::StaticPeer>, std::string> validator_peers(const config::Genesis& genesis) {
    std::vector<p2p::StaticPeer> peers;
    for (const auto& v : genesis.validators) {
        if (v.endpoint.empty()) continue;
        const auto endpoint = p2p::peer_endpoint_from(v.endpoint);
        if (!endpoint)
            return unexpected("genesis: endpoint '" + v.endpoint +
                              "' is not host:port, with the port at which others find it");
        peers.push_back({*endpoint, v.p2p_key});
    }
    return peers;
}

Result<NodeSetup, std::string> read_setup(const config::NodeConfig& config) {
    if (config.genesis.empty())
        return unexpected(std::string("no genesis file is named: pass --genesis FILE"));
    const auto text = wallet::read_text(config.genesis, kGenesisBytesMax);
    if (!text) return unexpected(text.error().text);
    auto genesis = config::parse_genesis(*text);
    if (!genesis) return unexpected(config.genesis + ": " + genesis.error().text());
    const auto hash = config::check_genesis(*genesis);
    if (!hash) return unexpected(config.genesis + ": " + hash.error().text());
    if (auto agree = config::check_system_contracts(*genesis); !agree)
        return unexpected(config.genesis + ": " + agree.error().text());
    auto validators = validators_of(*genesis);
    if (!validators) return unexpected(validators.error());
    NodeSetup setup;
    setup.chain = chain_of(*genesis);
    setup.chain.genesis_hash = *hash;
    setup.genesis = std::move(*genesis);
    setup.genesis_hash = *hash;
    setup.validators = std::move(*validators);
    if (auto done = read_network(setup, config); !done) return unexpected(done.error());
    if (auto done = read_keys(setup, config); !done) return unexpected(done.error());
    return setup;
}

Result<NodeStores, std::string> open_stores(const config::NodeConfig& config) {
    const std::filesystem::path folder(config.datadir);
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return unexpected(config.datadir + ": cannot be made (" + error.message() + ")");
    auto chain = open_store(folder / "chain");
    if (!chain) return unexpected(chain.error());
    auto votes = open_store(folder / "votes");
    if (!votes) return unexpected(votes.error());
    return NodeStores{std::move(*chain), std::make_unique<signer::JoinedStore>(std::move(*votes))};
}

}  // namespace trainyard::node::cli
