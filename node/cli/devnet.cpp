// SPDX-License-Identifier: Apache-2.0
// Making and running a devnet.
#include "node/cli/devnet.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "node/cli/genesis_build.hpp"
#include "node/config/node_config.hpp"
#include "node/runtime/process.hpp"
#include "node/wallet/coins.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/keyring.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kStakeCoins = 1000, kGasCoins = 100;

volatile std::sig_atomic_t stop_flag = 0;
void set_stop_flag(int) {
    stop_flag = 1;
}

Uint256 in_wei(uint64_t whole) {
    return Uint256(whole) * Uint256(wallet::kWeiInCoin);
}

std::string settings_text(const DevnetLayout& layout, uint32_t n, uint16_t http, uint16_t p2p) {
    config::NodeConfig c;
    // From wherever it is started again.
    const auto absolute = [](const std::string& path) { return fs::absolute(path).string(); };
    c.datadir = absolute(layout.node_folder(n) + "/data");
    c.genesis = absolute(layout.genesis_path());
    c.keys = absolute(layout.node_folder(n) + "/keys");
    c.http_port = http;
    c.http_vhosts = {"localhost", "127.0.0.1"};
    c.http_cors = {"*"};
    c.p2p_addr = "127.0.0.1";
    c.p2p_port = p2p;
    return config::write_toml(c);
}

Hash seed_of(uint32_t seed) {
    if (seed == 0) return wallet::random_fixed<Hash>();
    return keccak256(as_bytes("trainyard devnet seed " + std::to_string(seed)));
}

}  // namespace

// All are held open until all are found. They lie below the range from which the kernel takes the
// ports of outgoing connections, so that a node which restarts finds its own still free.
std::vector<uint16_t> free_ports(size_t count, PortRange other) {
    constexpr uint16_t kFirst = 10'000, kRange = 22'000;
    std::vector<uint16_t> ports;
    std::vector<int> sockets;
    for (size_t tries = 0; ports.size() < count && tries < 1000; ++tries) {
        const auto draw = wallet::random_fixed<FixedBytes<2>>();
        const auto port = static_cast<uint16_t>(kFirst + (draw[0] * 256 + draw[1]) % kRange);
        if (other.has(port)) continue;
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0)
            ports.push_back(port);
        sockets.push_back(fd);
    }
    for (const int fd : sockets) ::close(fd);
    return ports;
}

std::string DevnetLayout::node_folder(uint32_t n) const {
    return folder + "/node-" + std::to_string(n);
}
std::string DevnetLayout::genesis_path() const {
    return folder + "/genesis.json";
}

namespace {

/// Makes the files in the folder of `place`; what they name lies in that of `layout`.
Result<config::Genesis, std::string> fill(const DevnetLayout& layout, const DevnetLayout& place) {
    const PortRange http_ports{layout.http_port, layout.validators};
    const auto ports = free_ports(2 * size_t{layout.validators}, http_ports);
    if (ports.size() != 2 * size_t{layout.validators})
        return unexpected(std::string("there are not enough free ports"));
    GenesisInputs inputs;
    auto spec = with_settings(embedded_devnet_spec(), layout.settings);
    if (!spec) return unexpected(spec.error().text());
    inputs.spec = std::move(*spec);
    inputs.artifact = embedded_artifact;
    inputs.operator_balance_wei = in_wei(kGasCoins);
    inputs.timestamp = unix_seconds();
    inputs.seed = seed_of(layout.seed);
    for (uint32_t n = 0; n < layout.validators; ++n) {
        const auto keys = wallet::create_validator_keys(place.node_folder(n) + "/keys", true);
        if (!keys) return unexpected(keys.error().text);
        const uint16_t http =
            layout.http_port == 0 ? ports[2 * n] : static_cast<uint16_t>(layout.http_port + n);
        inputs.validators.push_back({*address_of(keys->account), *public_key(keys->consensus),
                                     *public_key(keys->vrf), *public_key(keys->p2p),
                                     in_wei(kStakeCoins),
                                     "127.0.0.1:" + std::to_string(ports[2 * n + 1])});
        auto written = wallet::write_text(place.node_folder(n) + "/node.toml",
                                          settings_text(layout, n, http, ports[2 * n + 1]));
        if (!written) return unexpected(written.error().text);
    }
    auto genesis = build_genesis(inputs);
    if (!genesis) return unexpected(genesis.error().text());
    auto written = wallet::write_text(place.genesis_path(), config::write_genesis(*genesis));
    if (!written) return unexpected(written.error().text);
    return std::move(*genesis);
}

/// The nodes' folders, and last the genesis, without which nothing is a devnet.
std::vector<std::string> parts_of(const DevnetLayout& layout) {
    std::vector<std::string> out;
    for (uint32_t n = 0; n < layout.validators; ++n) out.push_back(layout.node_folder(n));
    out.push_back(layout.genesis_path());
    return out;
}

/// In the folder if there is one, which may be another file system's, else beside it.
DevnetLayout place_to_make(const DevnetLayout& layout) {
    DevnetLayout out = layout;
    const auto whole = fs::absolute(layout.folder).lexically_normal();
    const auto folder = whole.has_filename() ? whole : whole.parent_path();  // without "/" behind
    out.folder = folder.string() + (fs::exists(folder) ? "/.making" : ".making");
    return out;
}

Result<Done, std::string> move_in(const DevnetLayout& place, const DevnetLayout& layout) {
    std::error_code failed;
    if (!fs::exists(layout.folder)) {
        fs::rename(place.folder, layout.folder, failed);
    } else {
        const auto from = parts_of(place), to = parts_of(layout);
        for (size_t i = 0; i < from.size() && !failed; ++i) fs::rename(from[i], to[i], failed);
    }
    if (failed) return unexpected("cannot move into '" + layout.folder + "': " + failed.message());
    return Done{};
}

}  // namespace

Result<config::Genesis, std::string> make_devnet(const DevnetLayout& layout) {
    std::error_code ignored;
    if (fs::exists(layout.genesis_path(), ignored))
        return unexpected("'" + layout.folder +
                          "' holds a devnet already; remove it or choose another folder");
    for (const auto& path : parts_of(layout))
        if (fs::exists(path, ignored))
            return unexpected("'" + path +
                              "' is in the way and belongs to no devnet: remove it, "
                              "or choose another folder");
    const DevnetLayout place = place_to_make(layout);
    fs::remove_all(place.folder, ignored);  // of one that was killed
    auto genesis = fill(layout, place);
    const Result<Done, std::string> moved = genesis ? move_in(place, layout) : Done{};
    fs::remove_all(place.folder, ignored);
    if (!moved) return unexpected(moved.error());
    return genesis;
}

Result<std::unique_ptr<Devnet>, std::string> Devnet::open(std::string folder) {
    auto net = std::make_unique<Devnet>();
    net->folder_ = std::move(folder);
    for (uint32_t n = 0;; ++n) {
        const std::string path = net->folder_ + "/node-" + std::to_string(n) + "/node.toml";
        if (!wallet::file_exists(path)) break;
        const auto text = wallet::read_text(path, 1 << 20);
        if (!text) return unexpected(text.error().text);
        config::NodeConfig settings;
        if (auto done = config::apply_toml(settings, *text, path); !done)
            return unexpected(done.error().text());
        net->rpc_urls_.push_back("http://127.0.0.1:" + std::to_string(settings.http_port));
    }
    if (net->rpc_urls_.empty())
        return unexpected("'" + net->folder_ +
                          "' holds no devnet; `trainyard devnet init` makes one");
    return net;
}

Devnet::~Devnet() {
    stop();
}

Result<Done, std::string> Devnet::add(std::string name, verify::ChildOptions options) {
    auto started = verify::ChildProcess::start(options);
    if (!started) return unexpected(started.error());
    children_.push_back({std::move(name), std::move(options), std::move(*started)});
    return Done{};
}

Result<Done, std::string> Devnet::start_node(uint32_t n) {
    const std::string home = folder_ + "/node-" + std::to_string(n);
    verify::ChildOptions options;
    options.command = {verify::own_program(), "node", "--config", home + "/node.toml"};
    options.output = home + "/log";
    options.own_group = true;
    return add("node " + std::to_string(n) + " (log: " + home + "/log)", std::move(options));
}

std::string Devnet::provider_log(uint32_t n) const {
    return folder_ + "/provider-" + std::to_string(n) + "/log";
}

Result<Done, std::string> Devnet::start_provider(const ProviderStart& start) {
    const uint32_t n = providers_++;
    const std::string home = folder_ + "/provider-" + std::to_string(n);
    if (auto made = wallet::make_folder(home); !made) return unexpected(made.error().text);
    verify::ChildOptions options;
    options.command = {verify::own_program(),
                       "provider",
                       "--json",
                       "--rpc",
                       rpc_url(n % size()),
                       "--key",
                       start.key,
                       "--datadir",
                       home,
                       "--name",
                       "provider-" + std::to_string(n),
                       "--fault",
                       start.fault,
                       "--threads",
                       std::to_string(start.threads)};
    if (start.no_cuda) options.command.emplace_back("--no-cuda");
    options.output = provider_log(n);
    options.own_group = true;
    return add("provider " + std::to_string(n) + " (log: " + home + "/log)", std::move(options));
}

Result<Done, std::string> Devnet::wait_for_block(uint64_t height, uint32_t timeout_ms) {
    const uint64_t deadline = steady_ms() + timeout_ms;
    for (uint32_t n = 0; n < size();) {
        if (auto alive = revive(); !alive) return unexpected(alive.error());
        if (stop_was_requested()) return unexpected(std::string("interrupted"));
        const auto client = wallet::EthClient::open(rpc_url(n));
        const auto head = client ? (*client)->block_number()
                                 : wallet::Answer<uint64_t>(unexpected(client.error()));
        if (head && *head >= height) {
            ++n;
            continue;
        }
        if (steady_ms() > deadline)
            return unexpected(
                "node " + std::to_string(n) + " is not ready: " +
                (head ? "it stands at block " + std::to_string(*head) : head.error().text));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return Done{};
}

namespace {

/// ": " and the last line about an error near the end of a log, or nothing.
std::string last_error(const std::string& log) {
    constexpr std::streamoff kTailBytes = 4096;
    std::ifstream file(log, std::ios::binary | std::ios::ate);
    file.seekg(std::max<std::streamoff>(0, std::streamoff(file.tellg()) - kTailBytes));
    std::string line, found;
    while (std::getline(file, line))
        if (line.find(" error ") != std::string::npos) found = ": " + line;
    return found;
}

}  // namespace

Result<std::vector<std::string>, std::string> Devnet::revive() {
    constexpr int times_max = 3;
    std::vector<std::string> lines;
    for (auto& child : children_) {
        if (child.process.is_running()) continue;
        const int code = child.process.exit_code().value_or(-1);
        const std::string line = child.name + " ended with code " + std::to_string(code);
        if (child.revived++ == times_max)
            return unexpected(line + " again and again" + last_error(child.options.output));
        auto started = verify::ChildProcess::start(child.options);
        if (!started) return unexpected(started.error());
        child.process = std::move(*started);
        lines.push_back(line + "; started again");
    }
    return lines;
}

void Devnet::stop() {
    // Providers first: they would only complain about nodes that are gone.
    for (auto it = children_.rbegin(); it != children_.rend(); ++it) it->process.signal(SIGTERM);
    for (auto it = children_.rbegin(); it != children_.rend(); ++it) it->process.stop(8000);
    children_.clear();
}

void catch_stop_signals() {
    runtime::catch_stop_signals(set_stop_flag);
}

bool stop_was_requested() {
    return stop_flag != 0;
}

}  // namespace trainyard::node::cli
