// SPDX-License-Identifier: Apache-2.0
// `trainyard signer`: keys and signing database in a process that nodes ask.
#include <chrono>
#include <thread>

#include "node/cli/commands.hpp"
#include "node/cli/devnet.hpp"
#include "node/config/genesis.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/service_manager.hpp"
#include "node/signer/signer_server.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/keyring.hpp"
#include "state/world.hpp"

namespace trainyard::node::cli {
namespace {

constexpr size_t kGenesisMax = 64u << 20;

Result<consensus::bft::ChainIdentity, std::string> chain_of(const std::string& path) {
    const auto text = wallet::read_text(path, kGenesisMax);
    if (!text) return unexpected(text.error().text);
    const auto genesis = config::parse_genesis(*text);
    if (!genesis) return unexpected(path + ": " + genesis.error().text());
    const auto hash = config::check_genesis(*genesis);
    if (!hash) return unexpected(path + ": " + hash.error().text());
    return consensus::bft::ChainIdentity{genesis->chain_id, *hash};
}

Result<std::vector<PublicKey>, std::string> allowed_of(const SignerArgs& args, bool is_tls) {
    std::vector<PublicKey> out;
    for (const auto& text : args.allow) {
        const auto key = fixed_from_hex<PublicKey>(text);
        if (!key) return unexpected("--allow '" + text + "' is not 33 bytes in hexadecimal");
        out.push_back(*key);
    }
    if (is_tls && out.empty())
        return unexpected(std::string("--listen tls: needs --allow with the P2P key of a node"));
    return out;
}

/// All that a signer consists of; members are destroyed in reverse.
struct SignerProcess {
    runtime::Logger log;
    std::unique_ptr<state::Kv> kv;
    std::unique_ptr<signer::SigningDb> db;
    std::unique_ptr<signer::GuardedSigner> keys;
    std::unique_ptr<p2p::TlsContext> tls;
    std::unique_ptr<signer::SignerServer> server;
};

Result<Done, std::string> open_database(SignerProcess& to, const SignerArgs& args,
                                        const signer::Owner& owner) {
    if (auto made = wallet::make_folder(args.datadir); !made) return unexpected(made.error().text);
    const std::string path = args.datadir + "/votes";
    auto kv = state::open_leveldb(path);
    if (!kv && kv.error() == state::KvError::locked)
        return unexpected(path + ": another process has it open; a key has one signer only");
    if (!kv) return unexpected(path + ": " + std::string(state::to_text(kv.error())));
    to.kv = std::move(*kv);
    auto db = signer::SigningDb::open(*to.kv, owner, state::Durability::synced);
    if (!db) return unexpected(db.error());
    if ((*db)->history().mark == signer::kNoMore)
        return unexpected(path +
                          ": this database was retired by `slashing-protection export "
                          "--retire`; its key votes elsewhere");
    to.db = std::move(*db);
    return Done{};
}

Result<Done, std::string> listen(SignerProcess& to, const SignerArgs& args,
                                 const wallet::ValidatorKeys& keys) {
    const std::string text =
        args.listen.empty() ? "unix:" + args.datadir + "/signer.sock" : args.listen;
    const auto address = signer::channel_address_from(text);
    if (!address)
        return unexpected("--listen '" + text + "' is neither unix:PATH nor tls:HOST:PORT");
    const bool is_tls = address->path.empty();
    auto allowed = allowed_of(args, is_tls);
    if (!allowed) return unexpected(allowed.error());
    if (is_tls) {
        const auto identity = wallet::load_validator_keys(args.keys, wallet::KeyParts::identity);
        if (!identity) return unexpected(identity.error().text);
        to.tls = signer::make_signer_tls(identity->p2p);
        to.log.info("identity of this signer", {{"key", *public_key(identity->p2p)}});
    }
    auto listener = signer::Listener::open(*address);
    if (!listener) return unexpected(listener.error());
    to.server = std::make_unique<signer::SignerServer>(
        signer::SignerServer::Parts{*to.keys,
                                    *to.db,
                                    {*public_key(keys.consensus), *public_key(keys.vrf)},
                                    to.tls.get(),
                                    std::move(*allowed),
                                    [log = to.log](const std::string& what) { log.info(what); }},
        std::move(*listener));
    to.log.info("signer is up", {{"listen", signer::to_string(*address)},
                                 {"port", to.server->port()},
                                 {"key", *public_key(keys.consensus)}});
    return Done{};
}

Result<Done, std::string> open(SignerProcess& to, const SignerArgs& args) {
    const auto chain = chain_of(args.genesis);
    if (!chain) return unexpected(chain.error());
    const auto keys = wallet::load_validator_keys(args.keys, wallet::KeyParts::signer);
    if (!keys) return unexpected(keys.error().text);
    if (auto done = open_database(to, args, {*chain, *public_key(keys->consensus)}); !done)
        return done;
    to.keys = std::make_unique<signer::GuardedSigner>(
        keys->consensus, keys->vrf, *to.db,
        [log = to.log](const consensus::bft::Vote& vote, signer::Refusal why) {
            log.error("refused to sign a vote",
                      {{"view", vote.view.value}, {"why", signer::to_text(why)}});
        });
    return listen(to, args, *keys);
}

}  // namespace

int run_signer(const Output& out, const SignerArgs& args) {
    catch_stop_signals();
    SignerProcess process;
    process.log = runtime::Logger(runtime::Logger::Options{}).named("signer");
    if (auto done = open(process, args); !done) return out.fail(done.error());
    process.server->start();
    const auto service = runtime::ServiceManager::from_environment();
    service.ready();
    while (!stop_was_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    service.stopping();
    process.server->stop();
    process.log.info("signer has stopped");
    return kOk;
}

}  // namespace trainyard::node::cli
