// SPDX-License-Identifier: Apache-2.0
// `trainyard serve`: JSON-RPC over an imported chain; no peers, no votes, no new blocks.
#include <random>

#include <boost/json.hpp>

#include "node/backend/node_backend.hpp"
#include "node/chain/import.hpp"
#include "node/cli/commands.hpp"
#include "node/cli/version.hpp"
#include "node/http/http_server.hpp"
#include "node/wallet/files.hpp"
#include "rpc/server.hpp"

namespace trainyard::node::cli {
namespace {

constexpr size_t kGenesisMax = 64u << 20;

/// A foreign chain has no blobs of ours.
class NoBlobs final : public backend::Blobs {
public:
    [[nodiscard]] Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> begin(
        const std::optional<Hash>&, rpc::Uploader) override {
        return unexpected(rpc::BlobError::quota);
    }
    [[nodiscard]] Result<Done, rpc::BlobError> release(const Hash&, const Hash&) override {
        return Done{};
    }
    [[nodiscard]] Result<Done, rpc::BlobError> release(const Hash&) override {
        return unexpected(rpc::BlobError::not_found);
    }
    [[nodiscard]] std::vector<rpc::HeldBlob> held_after(const Hash&, size_t) const override {
        return {};
    }
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> info(const Hash&) override {
        return unexpected(rpc::BlobError::not_found);
    }
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> fetch(const std::string&,
                                                              const Hash&) override {
        return unexpected(rpc::BlobError::not_found);
    }
    [[nodiscard]] rpc::BlobPlace seek(const Hash&) override { return rpc::BlobPlace::absent; }
    [[nodiscard]] Result<Bytes, rpc::BlobError> read(const Hash&, uint64_t,
                                                     uint64_t) const override {
        return unexpected(rpc::BlobError::not_found);
    }
};

backend::NodeBackend::Parts parts_over(const chain::Chain& chain, mempool::Mempool& pool,
                                       backend::Blobs& blobs, runtime::Runtime& runtime) {
    return {.chain = chain,
            .pool = pool,
            .blobs = blobs,
            .condition = {.status =
                              [] {
                                  rpc::NodeStatus status;
                                  status.role = "observer";
                                  status.verifier = "none";
                                  return status;
                              },
                          .syncing = [] { return std::nullopt; },
                          .peers = [] { return std::vector<rpc::PeerInfo>(); },
                          .is_connected = [](const PublicKey&) { return false; },
                          .bans = {},
                          .ban = {},
                          .unban = {}},
            .now_s = [&runtime] { return runtime.clock().wall_ms() / 1000; },
            .now_ms = [&runtime] { return runtime.clock().steady_ms(); },
            .self = {},
            .version = "trainyard/v" + std::string(kVersion) + "/linux/cpp20"};
}

/// Serves until SIGINT or SIGTERM.
int serve(const Output& out, const ServeArgs& args, const chain::Chain& chain) {
    runtime::Runtime runtime;
    mempool::Mempool pool(chain, {});
    NoBlobs blobs;
    backend::NodeBackend backend(parts_over(chain, pool, blobs, runtime));
    rpc::Options options;
    options.now_ms = [&runtime] { return runtime.clock().steady_ms(); };
    std::random_device random;
    for (auto& byte : options.id_seed.bytes) byte = static_cast<uint8_t>(random());
    rpc::Server server(backend, std::move(options));
    http::Options web;
    web.address = args.http_addr;
    web.port = args.http_port;
    http::HttpServer http({runtime, server, backend, runtime::Logger(runtime::Logger::Options{})},
                          std::move(web), {});
    runtime.on_stop([&http] { http.stop(); });
    runtime.on_stop([&server] { server.stop(); });
    runtime.stop_on_signals();
    runtime.start();
    const auto port = http.start();
    if (port) {
        const auto url = "http://" + args.http_addr + ":" + std::to_string(*port);
        out.line(out.json ? boost::json::serialize(boost::json::object{{"rpc", url}}) : url);
    } else {
        runtime.request_stop();
    }
    runtime.join();
    return port ? kOk : out.fail(port.error().what);
}

}  // namespace

int run_serve(const Output& out, const ServeArgs& args) {
    const auto text = wallet::read_text(args.genesis, kGenesisMax);
    if (!text) return out.fail(text.error().text);
    auto spec = config::parse_chain_spec(*text);
    if (!spec) return out.fail(args.genesis + ": " + spec.error().text());
    const std::string folder = args.datadir + "/chain";
    if (!wallet::file_exists(folder))
        return out.fail(folder + ": there is no such folder; `trainyard import` makes it");
    const auto kv = state::open_leveldb(folder);
    if (!kv) return out.fail(folder + ": " + std::string(state::to_text(kv.error())));
    {
        const auto world = state::World::open(**kv);
        if (!world) return out.fail(state::to_text(world.error()));
        chain::find_merge(**world, spec->config);
    }
    const auto chain =
        chain::Chain::open(**kv, {spec->config, {spec->genesis, spec->alloc}, std::nullopt});
    if (!chain) return out.fail(chain.error().what);
    return serve(out, args, **chain);
}

}  // namespace trainyard::node::cli
