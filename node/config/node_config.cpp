// SPDX-License-Identifier: Apache-2.0
// The table of settings: each source writes through the same row.
#include "node/config/node_config.hpp"

#include <algorithm>
#include <charconv>

#include "state/pruning.hpp"

namespace trainyard::node::config {
namespace {

using Text = std::string NodeConfig::*;
using List = std::vector<std::string> NodeConfig::*;
using Flag = bool NodeConfig::*;

Setting text(std::string key, Text field, std::string help) {
    Setting s{std::move(key), std::move(help), false, false, {}, {}};
    s.set = [field](NodeConfig& c, std::string_view v) {
        c.*field = std::string(v);
        return true;
    };
    s.get = [field](const NodeConfig& c) { return c.*field; };
    return s;
}

template <class T>
Setting number(std::string key, T NodeConfig::*field, T least, std::string help) {
    Setting s{std::move(key), std::move(help), false, false, {}, {}};
    s.set = [field, least](NodeConfig& c, std::string_view v) {
        T value{};
        const auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), value);
        if (error != std::errc{} || end != v.data() + v.size() || value < least) return false;
        c.*field = value;
        return true;
    };
    s.get = [field](const NodeConfig& c) { return std::to_string(c.*field); };
    return s;
}

Setting flag(std::string key, Flag field, std::string help) {
    Setting s{std::move(key), std::move(help), true, false, {}, {}};
    s.set = [field](NodeConfig& c, std::string_view v) {
        if (v != "true" && v != "false" && v != "1" && v != "0") return false;
        c.*field = v == "true" || v == "1";
        return true;
    };
    s.get = [field](const NodeConfig& c) { return std::string(c.*field ? "true" : "false"); };
    return s;
}

Setting list(std::string key, List field, std::string help) {
    Setting s{std::move(key), std::move(help), false, true, {}, {}};
    s.set = [field](NodeConfig& c, std::string_view v) {
        (c.*field).clear();
        while (!v.empty()) {
            const auto comma = std::min(v.find(','), v.size());
            if (comma == 0) return false;
            (c.*field).emplace_back(v.substr(0, comma));
            v.remove_prefix(std::min(comma + 1, v.size()));
        }
        return true;
    };
    s.get = [field](const NodeConfig& c) {
        std::string out;
        for (const auto& item : c.*field) out += (out.empty() ? "" : ",") + item;
        return out;
    };
    return s;
}

Setting level(std::string key) {
    Setting s = text(std::move(key), &NodeConfig::log_level,
                     "what is logged: debug, info, warn, error or off");
    s.set = [](NodeConfig& c, std::string_view v) {
        constexpr std::string_view known[] = {"debug", "info", "warn", "error", "off"};
        if (std::find(std::begin(known), std::end(known), v) == std::end(known)) return false;
        c.log_level = std::string(v);
        return true;
    };
    return s;
}

Setting pruning(std::string key) {
    Setting s = text(std::move(key), &NodeConfig::pruning,
                     "what is kept of the past: archive (all), full (all blocks, the last 1024 "
                     "states) or validator (the last 131072 blocks and 128 states); without it as "
                     "the data folder has it, in a new one archive");
    s.set = [](NodeConfig& c, std::string_view v) {
        if (!v.empty() && !state::pruning_from(v)) return false;
        c.pruning = std::string(v);
        return true;
    };
    return s;
}

Setting sync_way(std::string key) {
    Setting s = text(std::move(key), &NodeConfig::sync,
                     "how an empty data folder is filled: blocks (each is executed here) or state "
                     "(a snapshot of peers, checked against a block that validators signed)");
    s.set = [](NodeConfig& c, std::string_view v) {
        if (v != "blocks" && v != "state") return false;
        c.sync = std::string(v);
        return true;
    };
    return s;
}

Setting sandbox(std::string key) {
    Setting s =
        text(std::move(key), &NodeConfig::verifier_sandbox,
             "keep verifier processes from files, network and other processes: auto (as far "
             "as this kernel can), on (judge nothing where it cannot) or off");
    s.set = [](NodeConfig& c, std::string_view v) {
        if (v != "auto" && v != "on" && v != "off") return false;
        c.verifier_sandbox = std::string(v);
        return true;
    };
    return s;
}

Setting client_connections(std::string key) {
    return number<uint32_t>(
        std::move(key), &NodeConfig::http_client_connections, 0,
        "connections of one address (an IPv6 /64), and requests that a proxy brings for it, at "
        "once; more get status 429; this machine has no limit but that of all, 1024, and nobody "
        "else with 0");
}

Setting proxies(std::string key) {
    return list(std::move(key), &NodeConfig::http_proxies,
                "addresses or ranges (10.0.0.0/8) of reverse proxies besides this machine: their "
                "X-Forwarded-For says for whom they ask, and they have no such limit");
}

std::vector<Setting> make_settings() {
    using C = NodeConfig;
    return {
        text("datadir", &C::datadir, "folder of the chain's data"),
        text("genesis", &C::genesis, "genesis file of the chain"),
        text("keys", &C::keys,
             "folder of a validator's keystores; without it the node only follows"),
        text("signer", &C::signer,
             "unix:PATH or tls:KEY@HOST:PORT of `trainyard signer`, which has consensus and VRF "
             "key"),
        flag("doppelganger-check", &C::doppelganger_check,
             "listen for other users of the consensus key before the first vote"),
        number<uint64_t>("halt-height", &C::halt_height, 0,
                         "end once this block is final, and vote for none above; 0: never"),
        number<uint32_t>("parallel", &C::parallel, 1, "threads for the transactions of a block"),
        pruning("pruning"),
        sync_way("sync"),
        text("trust", &C::trust,
             "with sync = state: EPOCH:HASH of an epoch's last block that you know to be final; "
             "without it the chain is proven from genesis"),
        number<uint32_t>("snapshots", &C::snapshots, 0,
                         "snapshots of the state that are kept for nodes that sync; 0: none"),
        number<uint64_t>("fee-max-gwei", &C::fee_max_gwei, 1,
                         "highest price of a gas in what a validator sends by itself: answers to "
                         "audits, reports of offences"),
        text("http.addr", &C::http_addr, "address for JSON-RPC over HTTP and WebSocket"),
        number<uint16_t>("http.port", &C::http_port, 0, "port for JSON-RPC; 0 chooses a free one"),
        list("http.corsdomain", &C::http_cors, "origins of web pages that may call, * for all"),
        list("http.vhosts", &C::http_vhosts, "host names that requests may use, * for all"),
        client_connections("http.client-connections"),
        proxies("http.proxies"),
        flag("http.admin", &C::http_admin,
             "let JSON-RPC change the node (admin_addPeer, admin_ban, …); only on an address that "
             "you alone can reach"),
        number<uint32_t>("rpc.call-timeout-s", &C::call_timeout_s, 1,
                         "longest execution of an eth_call, an estimate or an access list in "
                         "seconds"),
        text("p2p.addr", &C::p2p_addr, "address for peers"),
        number<uint16_t>("p2p.port", &C::p2p_port, 0, "port for peers; 0 chooses a free one"),
        list("p2p.peers", &C::p2p_peers, "further peers, each <public key>@host:port"),
        list("p2p.seeds", &C::p2p_seeds,
             "nodes to ask for addresses of others, each <public key>@host:port"),
        list("p2p.private", &C::p2p_private,
             "public keys of peers that others are never told of; messages of validators among "
             "them are carried"),
        list("p2p.sentries", &C::p2p_sentries,
             "a validator that hides: the nodes that carry its messages, each <public "
             "key>@host:port; it talks to them alone"),
        number<uint16_t>("p2p.outbound", &C::p2p_outbound, 0,
                         "connections to nodes that the address book or a seed named"),
        number<uint16_t>("p2p.inbound", &C::p2p_inbound, 0,
                         "connections from nodes that no setting names"),
        level("log.level"),
        flag("log.json", &C::log_json, "log JSON lines"),
        flag("verifier.enabled", &C::verifier, "answer audits as a validator"),
        number<uint32_t>("verifier.memory-mb", &C::verifier_memory_mb, 64,
                         "memory limit in MiB of each verifier process: audits, replays, and "
                         "moves while a dispute is open"),
        number<uint32_t>("verifier.timeout-s", &C::verifier_timeout_s, 1,
                         "time limit of one audit in seconds"),
        number<uint32_t>("verifier.threads", &C::verifier_threads, 1, "threads of the verifier"),
        sandbox("verifier.sandbox"),
        number<uint64_t>("verifier.dispute-max-coins", &C::dispute_max_coins, 0,
                         "largest bond that a validator puts up by itself to dispute a segment "
                         "that it convicted and whose provider has appealed; 0: none"),
        number<uint32_t>("blobs.quota-gb", &C::blob_quota_gb, 1,
                         "disk space for blobs in GB; fetched ones make room, and what clients on "
                         "other machines upload is kept up to half of it"),
    };
}

}  // namespace

const std::vector<Setting>& settings() {
    static const std::vector<Setting> all = make_settings();
    return all;
}

std::string variable_of(const Setting& setting) {
    std::string out = "TRAINYARD_";
    for (const char c : setting.key) {
        const bool separator = c == '.' || c == '-';
        out += separator ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return out;
}

Result<Done, ConfigError> apply_setting(NodeConfig& config, std::string_view key,
                                        std::string_view value, std::string_view where) {
    for (const auto& setting : settings()) {
        if (setting.key != key) continue;
        NodeConfig changed = config;
        if (!setting.set(changed, value))
            return unexpected(
                ConfigError{ConfigErrorCode::bad_value, std::string(where),
                            "'" + std::string(value) + "' is no value for '" + setting.key + "'",
                            setting.help});
        config = std::move(changed);
        return Done{};
    }
    std::vector<std::string> names;
    for (const auto& setting : settings()) names.push_back(setting.key);
    const auto near = nearest_name(std::string(key), names.data(), names.size());
    return unexpected(ConfigError{ConfigErrorCode::unknown_key, std::string(where),
                                  "unknown key '" + std::string(key) + "'",
                                  near.empty() ? "`trainyard node --help` lists the settings"
                                               : "did you mean '" + near + "'?"});
}

Result<Done, ConfigError> apply_environment(
    NodeConfig& config,
    const std::function<std::optional<std::string>(const std::string&)>& lookup) {
    for (const auto& setting : settings()) {
        const auto name = variable_of(setting);
        const auto value = lookup(name);
        if (!value) continue;
        auto done = apply_setting(config, setting.key, *value, name);
        if (!done) return done;
    }
    return Done{};
}

}  // namespace trainyard::node::config
