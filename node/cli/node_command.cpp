// SPDX-License-Identifier: Apache-2.0
// The composition of a node: build the parts, join them, run.
#include "node/cli/node_command.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>

#include "consensus/staking/read_set.hpp"
#include "node/backend/node_backend.hpp"
#include "node/bft/bft_node.hpp"
#include "node/chain/executor.hpp"
#include "node/chain/head_feed.hpp"
#include "node/cli/keys.hpp"
#include "node/cli/node_blobs.hpp"
#include "node/cli/node_limits.hpp"
#include "node/cli/node_peers.hpp"
#include "node/cli/node_report.hpp"
#include "node/cli/node_setup.hpp"
#include "node/cli/node_state.hpp"
#include "node/cli/node_voting.hpp"
#include "node/cli/output.hpp"
#include "node/cli/sync_target.hpp"
#include "node/cli/version.hpp"
#include "node/http/http_server.hpp"
#include "node/mempool/mempool.hpp"
#include "node/runtime/pool_queue.hpp"
#include "node/runtime/process.hpp"
#include "node/runtime/service_manager.hpp"
#include "node/sync/block_sync.hpp"
#include "node/sync/snapshot_shelf.hpp"
#include "node/sync/state_service.hpp"
#include "node/sync/state_sync.hpp"
#include "node/verify/audit_service.hpp"
#include "node/verify/slash_reporter.hpp"
#include "rpc/server.hpp"

namespace trainyard::node::cli {
namespace {

Uint256 fee_max_wei(const config::NodeConfig& config) {
    return Uint256(config.fee_max_gwei) * Uint256(wallet::kWeiInGwei);
}
Uint256 dispute_bond_wei_max(const config::NodeConfig& config) {
    return Uint256(config.dispute_max_coins) * Uint256(wallet::kWeiInCoin);
}

namespace cb = consensus::bft;

constexpr uint64_t kBlobBytesMax = 4ull << 30;
/// For signatures, reads ahead and the trie, also where transactions run one after the other.
constexpr unsigned kThreadsLeast = 2;
constexpr size_t kGossipMax = 8192, kGossipBytesMax = size_t{32} << 20;
constexpr runtime::Duration kHaltLinger{3'000};  ///< for peers that lack a vote or certificate

cb::Params machine_params(const NodeSetup& setup) {
    cb::Params params;
    params.chain = {setup.chain.chain_id, setup.genesis_hash};
    params.delta_ms = setup.chain.delta_ms;
    params.execute_ms = setup.chain.delta_ms;
    params.block_interval_ms = setup.chain.block_interval_ms;
    params.mini_epoch_length = setup.chain.mini_epoch_length;
    params.epoch_length = setup.chain.epoch_length;
    return params;
}

Hash random_seed() {
    std::random_device source;
    Hash seed;
    for (auto& byte : seed.bytes) byte = static_cast<uint8_t>(source());
    return seed;
}

std::optional<uint64_t> disk_free(const std::string& folder) {
    std::error_code failed;
    const auto space = std::filesystem::space(folder, failed);
    return failed ? std::nullopt : std::optional<uint64_t>(space.available);
}

/// All parts of one node; members are destroyed in reverse, after the runtime has stopped.
class Node {
public:
    /// With `sync_into` it only fills that store with a state, answers what can be asked meanwhile
    /// from block 0, and ends.
    Node(const config::NodeConfig& config, NodeSetup setup, NodeStores stores, runtime::Logger log,
         state::Kv* sync_into)
        : sync_into_(sync_into),
          config_(config),
          setup_(std::move(setup)),
          stores_(std::move(stores)),
          log_(log),
          rpc_strand_(runtime_.make_strand()),
          halt_timer_(rpc_strand_),
          fork_timer_(rpc_strand_),
          service_(runtime::ServiceManager::from_environment()),
          service_strand_(runtime_.make_strand()),
          service_timer_(service_strand_),
          gossip_(runtime_, {kGossipMax, kGossipBytesMax},
                  [this](const Tx& tx) { take_gossip(tx); }),
          started_ms_(runtime_.clock().steady_ms()),
          limits_(config.halt_height, config::first_unknown_fork(setup_.genesis),
                  [this](const std::string& why) { end_at_fork(why); }),
          executor_(std::clamp(config.parallel, kThreadsLeast, 256u)) {}

    [[nodiscard]] Result<Done, std::string> build();
    [[nodiscard]] Result<Done, std::string> start();
    int run();
    /// How the state sync ended; nullopt if the node was stopped before.
    [[nodiscard]] std::optional<sync::StateSync::End> state_end() const { return state_end_; }

private:
    void build_state_parts();
    [[nodiscard]] Result<Done, std::string> open_voting();
    void build_machine();
    void build_rpc();
    void join();
    void start_auditor(const std::string& rpc_url);
    void start_reporter(const std::string& rpc_url);
    void on_latest(const chain::ChainBlockPtr& block);
    void on_final(const chain::ChainBlockPtr& block);
    void end_soon();
    void end_at_fork(const std::string& why);
    void watch_fork();
    void report_to_service();
    void on_tx(const p2p::PeerId& peer, const Bytes& payload);
    void take_gossip(const Tx& tx);
    /// For those who ask from other threads; null while there is none.
    [[nodiscard]] const verify::AuditService* auditor() const {
        return is_complete_ ? auditor_.get() : nullptr;
    }
    [[nodiscard]] std::string objection() const;
    [[nodiscard]] rpc::NodeStatus status() const;
    [[nodiscard]] std::string role() const;
    [[nodiscard]] bool is_validator(const p2p::PeerId& peer) const;
    [[nodiscard]] std::optional<wallet::Candidate> own_stake() const;
    [[nodiscard]] std::optional<rpc::SyncStatus> syncing() const;

    state::Kv* const sync_into_;
    const config::NodeConfig& config_;
    NodeSetup setup_;
    NodeStores stores_;
    runtime::Logger log_;
    runtime::Runtime runtime_;
    runtime::Strand rpc_strand_;
    runtime::Timer halt_timer_, fork_timer_;
    const runtime::ServiceManager service_;
    runtime::Strand service_strand_;
    runtime::Timer service_timer_;
    /// Transactions of peers: blocks must not wait for them.
    runtime::PoolQueue<Tx, p2p::PeerId> gossip_;
    const uint64_t started_ms_;
    uint64_t first_height_ = 0;  ///< final when the node started
    const NodeLimits limits_;
    std::atomic<bool> ended_at_fork_{false};
    chain::ThreadExecutor executor_;
    std::unique_ptr<NodeVoting> voting_;          ///< null: follow without voting
    std::unique_ptr<sync::SnapshotShelf> shelf_;  ///< null: no snapshots are kept
    std::unique_ptr<chain::Chain> chain_;
    std::unique_ptr<mempool::Mempool> pool_;
    std::atomic<bool> pool_follows_{false};  ///< it is going to look at the head
    std::unique_ptr<blobs::BlobStore> store_;
    std::unique_ptr<p2p::Network> network_;
    std::unique_ptr<sync::BlobService> blob_service_;
    std::unique_ptr<bft::BftNode> bft_;
    std::unique_ptr<ChainSyncTarget> target_;
    std::unique_ptr<sync::BlockSync> sync_;
    std::unique_ptr<sync::StateService> state_service_;
    std::unique_ptr<sync::StateSync> state_sync_;  ///< null: blocks are synced
    std::optional<sync::StateSync::End> state_end_;
    std::unique_ptr<NodeBlobs> node_blobs_;
    std::unique_ptr<backend::NodeBackend> backend_;
    std::unique_ptr<rpc::Server> server_;
    std::unique_ptr<chain::HeadFeed> feed_;
    std::unique_ptr<http::HttpServer> http_;
    std::unique_ptr<verify::AuditService> auditor_;
    std::unique_ptr<verify::SlashReporter> reporter_;
    /// The two above need the port of JSON-RPC, which answers already while they are made.
    std::atomic<bool> is_complete_{false};
};

// --- building

Result<Done, std::string> Node::build() {
    chain::Chain::Options options{setup_.chain, setup_.genesis, *setup_.validators, &executor_};
    options.one_by_one = config_.parallel == 1;
    options.store.pruning = state::pruning_from(config_.pruning);
    options.read_set = [](const state::StateView& view, const consensus::ChainConfig& config,
                          Epoch epoch) -> Result<consensus::ValidatorSet, std::string> {
        auto set = consensus::read_set(view, config, epoch);
        if (!set) return unexpected(std::string(to_text(set.error())));
        return std::move(*set);
    };
    options.on_unreadable_set = [log = log_](Epoch epoch, const std::string& why) {
        log.error("validator set unreadable, the one before stays",
                  {{"epoch", epoch.value}, {"why", why}});
    };
    if (config_.snapshots > 0 && sync_into_ == nullptr) {
        auto shelf = sync::SnapshotShelf::open({config_.datadir + "/snapshots", config_.snapshots});
        if (!shelf) return unexpected(shelf.error());
        shelf_ = std::move(*shelf);
        options.make_snapshot = make_on(*shelf_, log_.named("snapshots"));
    }
    auto opened = chain::Chain::open(*stores_.chain, std::move(options));
    if (!opened) return unexpected(opened.error().what);
    chain_ = std::move(*opened);
    first_height_ = chain_->finalised()->height();
    pool_ = std::make_unique<mempool::Mempool>(*chain_, mempool::Mempool::Options{});
    auto store = blobs::BlobStore::open(
        {config_.datadir + "/blobs", uint64_t{config_.blob_quota_gb} << 30, kBlobBytesMax});
    if (!store) return unexpected(store.error().detail);
    store_ = std::move(*store);
    auto network = network_options(setup_, config_, runtime_, log_.named("p2p"));
    network.is_validator = [this](const p2p::PeerId& peer) { return is_validator(peer); };
    network_ = std::make_unique<p2p::Network>(runtime_, std::move(network), log_.named("p2p"));
    blob_service_ = std::make_unique<sync::BlobService>(
        sync::BlobService::Parts{runtime_, *network_, *store_, log_.named("blobs")});
    if (auto done = open_voting(); !done) return done;
    build_machine();
    build_state_parts();
    build_rpc();
    join();
    return Done{};
}

void Node::build_state_parts() {
    state_service_ = std::make_unique<sync::StateService>(
        sync::StateService::Parts{runtime_, *network_, shelf_.get(),
                                  [this](Epoch epoch) { return chain_->boundary(epoch); }});
    if (sync_into_ == nullptr) return;
    auto options = state_options(config_, setup_);
    options.on_end = [this](sync::StateSync::End end) {
        state_end_ = end;
        runtime_.request_stop();
    };
    state_sync_ = std::make_unique<sync::StateSync>(
        sync::StateSync::Parts{runtime_, *network_, *sync_into_, log_.named("state")},
        std::move(options));
}

Result<Done, std::string> Node::open_voting() {
    if (!setup_.keys) return Done{};
    auto voting =
        NodeVoting::open({setup_, config_, *stores_.votes, runtime_, log_.named("signer")});
    if (!voting) return unexpected(voting.error());
    voting_ = std::move(*voting);
    return Done{};
}

void Node::build_machine() {
    bft::BftNode::Options options;
    options.params = machine_params(setup_);
    if (voting_) options.params.self = voting_->consensus_key();
    options.signer = voting_ ? &voting_->signer() : nullptr;
    if (setup_.keys) options.beneficiary = *address_of(setup_.keys->account);
    if (voting_)
        options.on_heard = [this](const p2p::PeerId& peer, const cb::Message& message) {
            voting_->hear(peer, message);
        };
    options.allows = [this](const Header& header) { return limits_.allows(header); };
    options.on_behind = [this](const cb::Behind& behind) {
        sync_->catch_up(Height{behind.block->header.number});
    };
    options.on_evidence = [this](const Address& who, Bytes votes) {
        if (reporter_) reporter_->report(who, std::move(votes));
    };
    bft_ = std::make_unique<bft::BftNode>(bft::BftNode::Parts{runtime_, *network_, *chain_, *pool_,
                                                              *stores_.votes, log_.named("bft")},
                                          std::move(options));
    bft_->attach();
    if (voting_)
        voting_->watch({first_height_, chain_->sets(), *network_,
                        [this] {
                            const auto standing = bft_->standing();
                            return signer::Position{standing.epoch, standing.view};
                        },
                        [this] { bft_->ask_signer_again(); }});
    target_ = std::make_unique<ChainSyncTarget>(*chain_, *bft_, limits_);
    sync::BlockSync::Options sync;
    sync.on_progress = [this](Height, bool) { bft_->synced(); };
    sync_ = std::make_unique<sync::BlockSync>(
        sync::BlockSync::Parts{runtime_, *network_, *target_, log_.named("sync")}, std::move(sync));
}

void Node::build_rpc() {
    node_blobs_ = std::make_unique<NodeBlobs>(*store_, *blob_service_, runtime_.make_strand());
    backend::NodeBackend::Parts parts{
        .chain = *chain_,
        .pool = *pool_,
        .blobs = *node_blobs_,
        .condition = {},
        .now_s = [this] { return runtime_.clock().wall_ms() / 1000; },
        .now_ms = [this] { return runtime_.clock().steady_ms(); },
        .call_ms = uint64_t{config_.call_timeout_s} * 1000,
        .self = {},
        .version = "trainyard/v" + std::string(kVersion) + "/linux/cpp20",
        .is_admin = config_.http_admin,
    };
    if (setup_.keys) parts.self = *address_of(setup_.keys->account);
    parts.condition.status = [this] { return status(); };
    parts.condition.syncing = [this] { return syncing(); };
    describe_peers(parts.condition, *network_, runtime_.clock(), config_.p2p_addr,
                   config_.http_admin);
    backend_ = std::make_unique<backend::NodeBackend>(std::move(parts));
    rpc::Options options;
    options.now_ms = [this] { return runtime_.clock().steady_ms(); };
    options.id_seed = random_seed();
    server_ = std::make_unique<rpc::Server>(*backend_, std::move(options));
    feed_ = std::make_unique<chain::HeadFeed>(*chain_);
    http::Options web;
    web.address = config_.http_addr;
    web.port = config_.http_port;
    web.cors_origins = config_.http_cors;
    web.vhosts = config_.http_vhosts;
    web.client_connections_max = config_.http_client_connections;
    web.proxies = config_.http_proxies;
    http::Hooks hooks;
    hooks.why_not_ready = [this] {
        if (state_sync_) return state_sync_->progress().words();
        const auto halted = bft_->halted();
        return halted.empty() && voting_ ? voting_->why_not_voting() : halted;
    };
    hooks.metrics = [this] {
        const uint64_t up_ms = runtime_.clock().steady_ms() - started_ms_;
        return metrics::to_prometheus_text(metrics_of(
            {*bft_, *chain_, *pool_, *network_, *store_, auditor(), voting_.get(),
             is_complete_ ? reporter_.get() : nullptr, shelf_.get(), state_sync_.get(),
             gossip_.dropped(), http_->connections(), http_->refused(), config_.datadir,
             runtime_.clock().wall_ms(), up_ms, own_stake(), audit_queue_of(*backend_)}));
    };
    http_ = std::make_unique<http::HttpServer>(
        http::HttpServer::Parts{runtime_, *server_, *backend_, log_.named("http")}, std::move(web),
        std::move(hooks));
}

/// Events of one part that others act on.
void Node::join() {
    chain_->listen({[this](const chain::ChainBlockPtr& block) { on_latest(block); },
                    [this](const chain::ChainBlockPtr& block) { on_final(block); }});
    pool_->on_pending([this](const mempool::PooledPtr& tx) {
        network_->broadcast(p2p::Kind::tx, encode_tx(tx->tx));
        rpc_strand_.post([this, tx] { server_->on_pending_tx({tx->tx, tx->hash, tx->sender}); });
    });
    network_->on(p2p::Kind::tx, runtime_.make_strand(),
                 [this](const p2p::PeerId& peer, Bytes payload) { on_tx(peer, payload); });
}

void Node::on_latest(const chain::ChainBlockPtr& block) {
    // On the pool, once for all blocks that come meanwhile: it is long work, which neither those
    // who listen nor the threads that carry votes may wait for.
    if (!pool_follows_.exchange(true)) {
        runtime_.offload([this] {
            pool_follows_ = false;
            pool_->on_head();
        });
    }
    rpc_strand_.post([this, block] {
        const auto change = feed_->move_to(block);
        std::vector<rpc::BlockPtr> removed, added;
        for (const auto& b : change.removed) removed.push_back(backend_->full(b));
        for (const auto& b : change.added) added.push_back(backend_->full(b));
        server_->on_head(removed, added);
    });
}

void Node::on_final(const chain::ChainBlockPtr& block) {
    const Header& header = block->block.header;
    const auto seal = cb::decode_seal(header.extra_data);
    log_.named("chain").info("final", {{"height", header.number},
                                       {"txs", block->block.txs.size()},
                                       {"gas", header.gas_used},
                                       {"view", seal ? seal->view.value : 0},
                                       {"hash", to_hex0x(block->hash.bytes).substr(0, 10)}});
    if (limits_.is_last(header.number) && !runtime_.is_stopping()) {
        log_.info("the halt height is final, so the node ends", {{"height", header.number}});
        end_soon();
    }
}

void Node::end_soon() {
    rpc_strand_.post(
        [this] { halt_timer_.start(kHaltLinger, [this] { runtime_.request_stop(); }); });
}

void Node::end_at_fork(const std::string& why) {
    if (ended_at_fork_.exchange(true)) return;
    log_.error("the node ends before a fork", {{"why", why}});
    end_soon();
}

/// Where all nodes end before a fork no block of it ever comes, so the clock says when it is time.
void Node::watch_fork() {
    const auto fork = config::first_unknown_fork(setup_.genesis);
    if (!fork) return;
    constexpr uint64_t kLongest_s = 365ull * 24 * 3600;
    const uint64_t now_s = runtime_.clock().wall_ms() / 1000;
    const uint64_t wait_s = fork->time > now_s ? std::min(fork->time - now_s, kLongest_s) : 0;
    rpc_strand_.post([this, wait_s, why = fork_words(*fork)] {
        fork_timer_.start(std::chrono::seconds(wait_s), [this, why] { end_at_fork(why); });
    });
}

/// Asks the parts, so that a lock that is never given back keeps the watchdog from being fed.
void Node::report_to_service() {
    size_t peers = 0;
    for (const auto& peer : network_->peers()) peers += peer.is_connected ? 1 : 0;
    service_.alive(state_sync_ ? state_sync_->progress().words()
                               : one_line(status(), chain_->finalised()->height(), peers));
    service_timer_.start(service_.interval(), [this] { report_to_service(); });
}

void Node::on_tx(const p2p::PeerId& peer, const Bytes& payload) {
    auto tx = decode_tx(payload);
    if (!tx) return network_->punish(peer, 10, to_text(tx.error()));
    if (pool_->is_known(hash_tx(*tx))) return;
    gossip_.post(peer, *std::move(tx), payload.size());
}

void Node::take_gossip(const Tx& tx) {
    const auto taken = pool_->submit(tx);
    if (!taken)
        log_.debug("a peer's transaction was refused", {{"why", mempool::to_text(taken.error())}});
}

// --- state for people

rpc::NodeStatus Node::status() const {
    rpc::NodeStatus status;
    const auto [standing, waiting] = bft_->picture();
    const auto set = chain_->sets().of_epoch(standing.epoch);
    const auto& validators = *set;
    status.epoch = standing.epoch.value;
    status.view = standing.view.value;
    status.halted = bft_->halted();
    if (voting_) status.why_not_voting = voting_->why_not_voting();
    if (standing.leader < standing.set_size) {  // before the machine has started it is none
        status.leader = validators.at(standing.leader).address;
        status.waits_for = words_of(waiting, standing, validators);
        for (const auto index : waiting.missing)
            status.missing.push_back(validators.at(index).address);
    }
    if (state_sync_) status.waits_for = state_sync_->progress().words();
    status.role = role();
    status.verifier = auditor() != nullptr ? auditor()->status().verifier : "none";
    if (setup_.keys) status.operator_address = *address_of(setup_.keys->account);
    status.disk_free_bytes = disk_free(config_.datadir);
    status.clock_ahead_ms = network_->clock_ahead_ms();
    status.uptime_s = (runtime_.clock().steady_ms() - started_ms_) / 1000;
    return status;
}

std::optional<rpc::SyncStatus> Node::syncing() const {
    if (state_sync_) {
        const auto at = state_sync_->progress();
        return rpc::SyncStatus{0, 0, at.height.value, at.chunks, at.chunks_here};
    }
    const auto progress = sync_->progress();
    if (!progress.is_behind) return std::nullopt;
    return rpc::SyncStatus{first_height_, progress.finalised.value, progress.best_shown.value};
}

// --- running

void Node::start_reporter(const std::string& rpc_url) {
    if (!setup_.keys) return;
    verify::SlashReporterOptions options;
    options.rpc_url = rpc_url;
    options.account = setup_.keys->account;
    options.fee_max_wei = fee_max_wei(config_);
    options.say = [log = log_.named("slash")](const std::string& text) { log.warn(text); };
    auto reporter = verify::SlashReporter::start(std::move(options));
    if (!reporter) return log_.error("no offences will be reported", {{"why", reporter.error()}});
    reporter_ = std::move(*reporter);
}

void Node::start_auditor(const std::string& rpc_url) {
    if (!setup_.keys || !config_.verifier) return;
    verify::AuditServiceOptions options;
    options.rpc_url = rpc_url;
    options.account = setup_.keys->account;
    options.folder = config_.datadir + "/audits";
    options.threads = config_.verifier_threads;
    options.memory_bytes_max = uint64_t{config_.verifier_memory_mb} << 20;
    options.timeout_ms = config_.verifier_timeout_s * 1000;
    options.fee_max_wei = fee_max_wei(config_);
    options.dispute_bond_wei_max = dispute_bond_wei_max(config_);
    options.accuses = config_.accuses;
    options.sandbox = *verify::sandbox_mode_from(config_.verifier_sandbox);
    for (const auto& path : {config_.datadir, config_.keys, home_folder()})
        if (!path.empty()) options.hidden.push_back(path);
    if (config_.accuses)
        log_.warn("THIS VALIDATOR LIES IN AUDITS (--fault): it is for tests, and is fined");
    options.map_blob = [&store = *store_, threads = config_.verifier_threads](
                           const Hash& id, uint64_t bytes_max) -> std::optional<verify::Content> {
        const auto manifest = store.manifest(id);
        if (!manifest || (*manifest)->size_bytes > bytes_max) return std::nullopt;
        const auto mapped = store.map(id, threads);
        if (!mapped) return std::nullopt;
        return verify::Content(mapped->owner, mapped->bytes);
    };
    options.say = [log = log_.named("audit")](const std::string& text) { log.info(text); };
    options.hear = [log = log_.named("verifier")](const std::string& text) { log.info(text); };
    auto service = verify::AuditService::start(std::move(options));
    if (service) {
        auditor_ = std::move(*service);
    } else {
        log_.error("no audits will be answered", {{"why", service.error()}});
    }
}

std::optional<wallet::Candidate> Node::own_stake() const {
    if (!setup_.keys) return std::nullopt;
    return stake_of(*backend_, *address_of(setup_.keys->account));
}

/// Sets are fixed an epoch before their votes.
bool Node::is_validator(const p2p::PeerId& peer) const {
    const Epoch epoch = chain_->epoch();
    return chain_->sets().of_epoch(epoch)->find_p2p_key(peer) ||
           chain_->sets().of_epoch(epoch + 1)->find_p2p_key(peer);
}

/// With keys that are in no set yet, or no more, a node follows and says so.
std::string Node::role() const {
    if (!setup_.keys) return "observer";
    const auto own = public_key(setup_.keys->p2p);
    const bool votes = own && chain_->validators()->find_p2p_key(*own).has_value();
    return votes ? "validator" : "candidate";
}

Result<Done, std::string> Node::start() {
    runtime_.start();
    if (auto up = network_->start(); !up) return unexpected(up.error().detail);
    const auto port = http_->start();
    if (!port) return unexpected(port.error().what);
    log_.info("node is up", {{"chain", setup_.chain.chain_id},
                             {"genesis", setup_.genesis_hash},
                             {"height", chain_->finalised()->height()},
                             {"p2p", network_->port()},
                             {"rpc", *port},
                             {"role", role()}});
    service_.ready();
    service_strand_.post([this] { report_to_service(); });
    if (state_sync_) return state_sync_->start(), Done{};
    const std::string rpc_url = "http://" + config_.http_addr + ":" + std::to_string(*port);
    start_reporter(rpc_url);  // before the machine, which calls it
    bft_->start();
    sync_->start();
    watch_fork();
    start_auditor(rpc_url);
    is_complete_ = true;
    return Done{};
}

/// Says what has to happen before the node may start; empty where nothing has to.
std::string Node::objection() const {
    const auto fork = config::first_unknown_fork(setup_.genesis);
    const uint64_t now_s = runtime_.clock().wall_ms() / 1000;
    if (fork && fork->time > now_s)
        log_.warn("a fork is coming that this release does not know",
                  {{"what", fork_words(*fork)}});
    return fork_objection(fork, now_s);
}

int Node::run() {
    if (auto why = objection(); !why.empty())
        return log_.error("the node cannot start", {{"why", why}}), 1;
    if (limits_.is_last(first_height_)) {
        log_.info("the halt height is final, so there is nothing to do",
                  {{"height", first_height_}});
        return 0;
    }
    runtime_.on_stop([this] { network_->stop(); });
    runtime_.on_stop([this] { http_->stop(); });
    runtime_.on_stop([this] { server_->stop(); });
    runtime_.on_stop([this] {
        if (auditor_) auditor_->stop();
    });
    runtime_.on_stop([this] {
        if (!state_end_) service_.stopping();  // after a state sync the process goes on
    });
    if (state_sync_) runtime_.on_stop([this] { state_sync_->stop(); });
    runtime_.stop_on_signals();
    int code = 0;
    if (auto up = start(); !up) {
        log_.error("the node cannot start", {{"why", up.error()}});
        runtime_.request_stop();
        code = 1;
    }
    runtime_.join();
    save_address_book(*network_, config_, log_.named("p2p"));
    log_.info("node has stopped");
    return bft_->halted().empty() && !ended_at_fork_ ? code : 1;
}

/// Said without a log, too: a node that is not there cannot be asked. Gives the exit code.
int cannot_start(const runtime::Logger& log, const std::string& why) {
    log.error("the node cannot start", {{"why", why}});
    return log.enabled(runtime::LogLevel::error) ? kFailed : Output{}.fail(why);
}

/// A node without keys at block 0, in memory, that fills the store of the chain.
Result<sync::StateSync::End, int> sync_state(const config::NodeConfig& config,
                                             const NodeSetup& setup, state::Kv& chain_store,
                                             const runtime::Logger& log) {
    NodeSetup follower = setup;
    follower.keys.reset();
    config::NodeConfig settings = config;
    settings.pruning.clear();
    Node node(settings, std::move(follower),
              NodeStores{state::make_memory_kv(), state::make_memory_kv()}, log, &chain_store);
    if (auto built = node.build(); !built) return unexpected(cannot_start(log, built.error()));
    const int code = node.run();
    const auto end = node.state_end();
    if (code != 0 || !end) return unexpected(code);
    if (*end == sync::StateSync::End::failed) return unexpected(1);
    return *end;
}

}  // namespace

int run_node(const config::NodeConfig& config) {
    runtime::Logger::Options options;
    options.level = runtime::log_level_from(config.log_level).value_or(runtime::LogLevel::info);
    options.json = config.log_json;
    options.repeats_max = 1000;
    const runtime::Logger log(options);
    if (const auto files = runtime::raise_open_files(); files < kOpenFilesMin)
        log.warn("few files and connections may be open at once; raise `ulimit -n`",
                 {{"now", files}, {"needed", kOpenFilesMin}});
    auto setup = read_setup(config);
    if (!setup) return cannot_start(log, setup.error());
    auto stores = open_stores(config);
    if (!stores) return cannot_start(log, stores.error());
    const auto with_state = begins_with_state(config, *stores->chain);
    if (!with_state) return cannot_start(log, with_state.error());
    if (*with_state) {
        const auto end = sync_state(config, *setup, *stores->chain, log);
        if (!end) return end.error();
        forget_state_sync(config);
    }
    Node node(config, std::move(*setup), std::move(*stores), log, nullptr);
    if (auto built = node.build(); !built) return cannot_start(log, built.error());
    return node.run();
}

}  // namespace trainyard::node::cli
