// SPDX-License-Identifier: Apache-2.0
// A whole network on this machine: its files, its processes, and no process left at the end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "node/cli/commands.hpp"
#include "node/config/genesis.hpp"
#include "node/verify/child_process.hpp"

namespace trainyard::node::cli {

/// Files of a devnet: FOLDER/genesis.json, FOLDER/node-N/{node.toml, keys/, data/, log}.
struct DevnetLayout {
    std::string folder;
    uint32_t validators = 4;
    uint16_t http_port = 0;                  ///< of node 0, the others follow; 0: free ones
    uint32_t seed = 0;                       ///< 0: random
    std::vector<std::string> settings = {};  ///< "name=value", numbers of the chain spec

    [[nodiscard]] std::string node_folder(uint32_t n) const;
    [[nodiscard]] std::string genesis_path() const;
};

struct PortRange {
    uint32_t first = 0, count = 0;
    [[nodiscard]] bool has(uint32_t port) const { return port - first < count; }
};
/// Ports that nobody listens on now, none of them in `other`; fewer where there are not so many.
[[nodiscard]] std::vector<uint16_t> free_ports(size_t count, PortRange other);

/// Makes keys, genesis and settings, all or nothing, also where the process is killed meanwhile;
/// refuses a folder that holds a devnet already.
[[nodiscard]] Result<config::Genesis, std::string> make_devnet(const DevnetLayout& layout);

struct ProviderStart {
    std::string key;  ///< "dev:1"
    std::string fault = "none";
    uint32_t threads = 1;
    bool no_cuda = false;
};

/// Runs the processes as children. All die with this object, and with this process.
class Devnet {
public:
    Devnet() = default;
    [[nodiscard]] static Result<std::unique_ptr<Devnet>, std::string> open(std::string folder);
    ~Devnet();

    [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(rpc_urls_.size()); }
    [[nodiscard]] const std::string& rpc_url(uint32_t n) const { return rpc_urls_[n]; }
    [[nodiscard]] Result<Done, std::string> start_node(uint32_t n);
    [[nodiscard]] Result<Done, std::string> start_provider(const ProviderStart& start);
    /// File with the JSON lines of the provider that was started as number `n`.
    [[nodiscard]] std::string provider_log(uint32_t n) const;
    /// Waits until every node answers and has passed block `height`.
    [[nodiscard]] Result<Done, std::string> wait_for_block(uint64_t height, uint32_t timeout_ms);
    /// Starts processes that ended by themselves again, each at most three times. Gives a line
    /// about each; the error names one that keeps falling.
    [[nodiscard]] Result<std::vector<std::string>, std::string> revive();
    void stop();

private:
    struct Child {
        std::string name;
        verify::ChildOptions options;
        verify::ChildProcess process;
        int revived = 0;
    };
    [[nodiscard]] Result<Done, std::string> add(std::string name, verify::ChildOptions options);

    std::string folder_;
    std::vector<std::string> rpc_urls_;
    std::vector<Child> children_;
    uint32_t providers_ = 0;
};

/// SIGINT, SIGTERM and SIGHUP (unless ignored) set a flag instead of ending the process, so that
/// children are stopped first.
void catch_stop_signals();
[[nodiscard]] bool stop_was_requested();

}  // namespace trainyard::node::cli
