// SPDX-License-Identifier: Apache-2.0
// Files of the network, and its peers in the words of JSON-RPC.
#include "node/cli/node_peers.hpp"

#include <algorithm>

#include "node/cli/version.hpp"
#include "node/p2p/ban_list.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

std::string bans_path(const config::NodeConfig& config) {
    return config.datadir + "/bans";
}
std::string book_path(const config::NodeConfig& config) {
    return config.datadir + "/peers";
}

void write_book(const std::string& path, const Bytes& book, const runtime::Logger& log) {
    if (auto done = wallet::write_file(path, book); !done)
        log.warn("the address book will not survive a restart", {{"why", done.error().text}});
}

void recall_bans(p2p::NetworkOptions& options, const std::string& path,
                 const runtime::Logger& log) {
    if (const auto text = wallet::read_text(path, p2p::kBanListBytesMax)) {
        auto list = p2p::read_ban_list(*text);
        if (list.lines_skipped > 0)
            log.warn("lines of the list of bans say of no ban",
                     {{"file", path}, {"lines", list.lines_skipped}});
        options.bans = std::move(list.bans);
    }
    options.on_bans = [path, log](const std::vector<p2p::Ban>& bans) {
        if (auto done = wallet::write_text(path, p2p::write_ban_list(bans)); !done)
            log.warn("bans will not survive a restart", {{"why", done.error().text}});
    };
}

void recall_book(p2p::NetworkOptions& options, const std::string& path, runtime::Runtime& runtime,
                 const runtime::Logger& log) {
    if (const auto bytes = wallet::read_file(path, p2p::AddressBook::kBytesMax)) {
        options.book = p2p::AddressBook::decode(*bytes);
        if (!options.book)
            log.warn("the address book is damaged, so the node begins a new one", {{"file", path}});
    }
    // On the pool: a slow disk must not hold up votes.
    options.on_book = [path, log, &runtime](const Bytes& book) {
        runtime.offload([path, log, book] { write_book(path, book, log); });
    };
}

rpc::PeerInfo info_of(const p2p::PeerInfo& peer) {
    rpc::PeerInfo out;
    out.id = to_hex0x(peer.id.bytes);
    out.address = p2p::to_string(peer.endpoint);
    out.inbound = peer.is_inbound;
    out.agent = peer.agent;
    out.connected_s = peer.connected_ms / 1000;
    out.round_trip_ms = peer.round_trip_ms;
    out.score = peer.score;
    out.last_problem = peer.last_problem;
    out.source = std::string(p2p::to_string(peer.source));
    if (peer.sentry) {
        out.sentry = to_hex0x(peer.sentry->bytes);
        out.address = "";
    }
    out.connected = peer.is_connected;
    out.dropped = peer.messages_dropped;
    for (size_t lane = 0; lane < p2p::kLanes; ++lane)
        out.queued_bytes.emplace_back(p2p::kLaneNames[lane], peer.queued_bytes[lane]);
    out.clock_ahead_ms = peer.clock_ahead_ms;
    return out;
}

std::vector<rpc::PeerInfo> peers_of(const p2p::Network& network, bool connected) {
    std::vector<rpc::PeerInfo> out;
    for (const auto& peer : network.peers())
        if (peer.is_connected == connected) out.push_back(info_of(peer));
    return out;
}

std::vector<rpc::BanInfo> bans_of(const p2p::Network& network, uint64_t now_ms) {
    std::vector<rpc::BanInfo> out;
    for (const auto& ban : network.bans())
        out.push_back({to_hex0x(ban.peer.bytes), ban.reason,
                       (ban.until_wall_ms - std::min(now_ms, ban.until_wall_ms) + 999) / 1000});
    return out;
}

bool remove_peer(p2p::Network& network, const std::string& text) {
    const auto id = fixed_from_hex<PublicKey>(text.substr(0, text.find('@')));
    if (id) network.remove_peer(*id);
    return id.has_value();
}

bool add_peer(p2p::Network& network, const std::string& text) {
    const auto peer = p2p::static_peer_from(text);
    if (peer) network.add_peer(*peer);
    return peer.has_value();
}

}  // namespace

p2p::NetworkOptions network_options(const NodeSetup& setup, const config::NodeConfig& config,
                                    runtime::Runtime& runtime, const runtime::Logger& log) {
    p2p::NetworkOptions options;
    options.listen = {config.p2p_addr, config.p2p_port};
    options.identity = setup.p2p_key;
    options.genesis = setup.genesis_hash;
    options.peers = setup.peers;
    options.seeds = setup.seeds;
    options.private_peers = setup.private_peers;
    options.sentries = setup.sentries;
    options.outbound_max = config.p2p_outbound;
    options.inbound_max = config.p2p_inbound;
    options.agent = "trainyard/" + std::string(kVersion);
    recall_bans(options, bans_path(config), log);
    if (setup.sentries.empty()) recall_book(options, book_path(config), runtime, log);
    return options;
}

void save_address_book(const p2p::Network& network, const config::NodeConfig& config,
                       const runtime::Logger& log) {
    if (config.p2p_sentries.empty()) write_book(book_path(config), network.address_book(), log);
}

void describe_peers(backend::Condition& condition, p2p::Network& network,
                    const runtime::Clock& clock, const std::string& host, bool may_change) {
    condition.peers = [&network] { return peers_of(network, true); };
    condition.away_peers = [&network] { return peers_of(network, false); };
    condition.is_connected = [&network](const PublicKey& key) { return network.is_connected(key); };
    condition.bans = [&network, &clock] { return bans_of(network, clock.wall_ms()); };
    condition.network = [&network, host] {
        const auto counts = network.book_counts();
        return rpc::NetworkInfo{to_hex0x(network.id().bytes),
                                p2p::to_string(p2p::Endpoint{host, network.port()}), counts.heard,
                                counts.tried};
    };
    if (!may_change) return;
    condition.ban = [&network](const PublicKey& peer, uint64_t seconds, const std::string& reason) {
        network.ban(peer, std::chrono::seconds(seconds), reason);
    };
    condition.unban = [&network](const PublicKey& peer) { network.unban(peer); };
    condition.add_peer = [&network](const std::string& peer) { return add_peer(network, peer); };
    condition.remove_peer = [&network](const std::string& peer) {
        return remove_peer(network, peer);
    };
}

}  // namespace trainyard::node::cli
