// SPDX-License-Identifier: Apache-2.0
// Settings of a node and how their sources are layered: flags over environment over file over
// defaults.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "node/config/error.hpp"

namespace trainyard::node::config {

struct NodeConfig {
    std::string datadir = "trainyard-data";
    std::string genesis;  ///< path of a built genesis file
    std::string keys;     ///< folder of validator keystores; empty: follow without voting
    std::string signer;   ///< "unix:PATH" or "tls:KEY@HOST:PORT"; empty: `keys` has all four
    bool doppelganger_check = true;
    uint64_t halt_height = 0;  ///< 0: none
    std::string http_addr = "127.0.0.1";
    uint16_t http_port = 8545;           ///< HTTP and WebSocket
    std::vector<std::string> http_cors;  ///< allowed origins, "*" for all
    std::vector<std::string> http_vhosts{"localhost"};
    uint32_t http_client_connections = 128;  ///< of one address; 0: no limit
    std::vector<std::string> http_proxies;   ///< addresses and ranges
    bool http_admin = false;                 ///< JSON-RPC methods that change the node
    uint32_t call_timeout_s = 5;
    std::string p2p_addr = "0.0.0.0";
    uint16_t p2p_port = 30303;
    std::vector<std::string>
        p2p_peers;  ///< "<public key hex>@host:port", added to the genesis list
    std::vector<std::string> p2p_seeds;     ///< as above; asked for addresses of others
    std::vector<std::string> p2p_private;   ///< public keys
    std::vector<std::string> p2p_sentries;  ///< as p2p_peers; then these alone
    uint16_t p2p_outbound = 8, p2p_inbound = 64;
    std::string log_level = "info";  ///< trace debug info warn error
    bool log_json = false;
    bool verifier = true;  ///< a validator answers audits
    uint32_t verifier_memory_mb = 8192;
    uint32_t verifier_timeout_s = 600;
    uint32_t verifier_threads = 1;
    std::string verifier_sandbox = "auto";  ///< auto, on or off
    uint64_t dispute_max_coins = 1000;      ///< bond of a dispute that a validator opens by itself
    bool accuses = false;                   ///< TEST ONLY, no setting: lies in audits
    uint64_t fee_max_gwei = 1000;           ///< for one gas of what a validator sends by itself
    uint32_t parallel = 1;                  ///< threads for the transactions of one block
    std::string pruning;  ///< archive, full or validator; empty: as the store has it
    uint32_t blob_quota_gb = 100;
    std::string sync = "blocks";  ///< how an empty data folder is filled: blocks or state
    std::string trust;            ///< "EPOCH:HASH" of a boundary; empty: genesis is trusted
    uint32_t snapshots = 2;       ///< kept for others; 0: none are made
};

/// One setting: its key path in the file gives the flag `--http.port` and the variable
/// TRAINYARD_HTTP_PORT.
struct Setting {
    std::string key;
    std::string help;
    bool is_flag = false;                                    ///< a flag without a value means true
    bool is_list = false;                                    ///< values add up, separated by commas
    std::function<bool(NodeConfig&, std::string_view)> set;  ///< false: not a valid value
    std::function<std::string(const NodeConfig&)> get;
};

[[nodiscard]] const std::vector<Setting>& settings();
[[nodiscard]] std::string variable_of(const Setting& setting);  ///< "TRAINYARD_HTTP_PORT"

/// Lays the settings of a TOML text over `config`. Errors name `file` with the line.
[[nodiscard]] Result<Done, ConfigError> apply_toml(NodeConfig& config, std::string_view text,
                                                   std::string_view file);
/// `lookup` gives the value of an environment variable; nullopt when unset.
[[nodiscard]] Result<Done, ConfigError> apply_environment(
    NodeConfig& config,
    const std::function<std::optional<std::string>(const std::string&)>& lookup);
/// One `key = value` from the command line.
[[nodiscard]] Result<Done, ConfigError> apply_setting(NodeConfig& config, std::string_view key,
                                                      std::string_view value,
                                                      std::string_view where);
/// The effective settings as a TOML text that reads back to the same settings.
[[nodiscard]] std::string write_toml(const NodeConfig& config);

}  // namespace trainyard::node::config
