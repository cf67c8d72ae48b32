// SPDX-License-Identifier: Apache-2.0
// The node behind JSON-RPC: answers rpc::Backend from the chain, the pool, the blobs and the
// network.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>

#include "consensus/transition/context.hpp"
#include "consensus/transition/simulate.hpp"
#include "node/chain/chain.hpp"
#include "node/mempool/mempool.hpp"
#include "rpc/backend.hpp"

namespace trainyard::node::backend {

/// What the node knows about itself; all callable from any thread.
struct Condition {
    std::function<rpc::NodeStatus()> status;
    std::function<std::optional<rpc::SyncStatus>()> syncing;
    std::function<std::vector<rpc::PeerInfo>()> peers;
    std::function<bool(const PublicKey&)> is_connected;
    std::function<std::vector<rpc::BanInfo>()> bans;  ///< may be empty
    /// Empty where methods that change the node are switched off.
    std::function<void(const PublicKey&, uint64_t seconds, const std::string& reason)> ban;
    std::function<void(const PublicKey&)> unban;
    /// False: not "<public key>@host:port", or to remove, not a key either.
    std::function<bool(const std::string&peer)> add_peer{}, remove_peer{};
    std::function<std::vector<rpc::PeerInfo>()> away_peers{};  ///< may be empty, as the next
    std::function<rpc::NetworkInfo()> network{};
};

/// The blob store as RPC sees it.
class Blobs {
public:
    virtual ~Blobs() = default;
    [[nodiscard]] virtual Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> begin(
        const std::optional<Hash>& owner, rpc::Uploader who) = 0;
    [[nodiscard]] virtual Result<Done, rpc::BlobError> release(const Hash& id,
                                                               const Hash& owner) = 0;
    [[nodiscard]] virtual Result<Done, rpc::BlobError> release(const Hash& id) = 0;
    [[nodiscard]] virtual std::vector<rpc::HeldBlob> held_after(const Hash& id,
                                                                size_t count_max) const = 0;
    [[nodiscard]] virtual Result<rpc::BlobInfo, rpc::BlobError> info(const Hash& id) = 0;
    [[nodiscard]] virtual Result<rpc::BlobInfo, rpc::BlobError> fetch(const std::string& client,
                                                                      const Hash& id) = 0;
    [[nodiscard]] virtual rpc::BlobPlace seek(const Hash& id) = 0;
    [[nodiscard]] virtual Result<Bytes, rpc::BlobError> read(const Hash& id, uint64_t offset,
                                                             uint64_t length) const = 0;
};

class NodeBackend final : public rpc::Backend {
public:
    struct Parts {
        const chain::Chain& chain;
        mempool::Mempool& pool;
        Blobs& blobs;
        Condition condition;
        std::function<uint64_t()> now_s;   ///< as headers have it
        std::function<uint64_t()> now_ms;  ///< any monotonic clock
        uint64_t call_ms = 5000;  ///< a call, an estimate or an access list that takes longer ends
        std::optional<Address> self;  ///< this validator
        std::string version;
        bool is_admin = false;  ///< whoever reaches the RPC may see and release all blobs
    };
    explicit NodeBackend(Parts parts) : parts_(std::move(parts)) {}

    [[nodiscard]] uint64_t chain_id() const override;
    [[nodiscard]] std::string client_version() const override { return parts_.version; }
    [[nodiscard]] rpc::NodeStatus node_status() const override { return parts_.condition.status(); }
    [[nodiscard]] std::optional<rpc::SyncStatus> syncing() const override {
        return parts_.condition.syncing();
    }
    [[nodiscard]] std::vector<rpc::PeerInfo> peers() const override {
        return parts_.condition.peers();
    }
    [[nodiscard]] std::vector<rpc::ValidatorInfo> validators() const override;
    [[nodiscard]] std::vector<rpc::BanInfo> bans() const override {
        return parts_.condition.bans ? parts_.condition.bans() : std::vector<rpc::BanInfo>();
    }
    [[nodiscard]] Result<Done, rpc::Refusal> ban(const PublicKey& peer, uint64_t seconds,
                                                 const std::string& reason) override;
    [[nodiscard]] Result<Done, rpc::Refusal> unban(const PublicKey& peer) override;

    [[nodiscard]] std::vector<rpc::PeerInfo> away_peers() const override {
        return parts_.condition.away_peers ? parts_.condition.away_peers()
                                           : std::vector<rpc::PeerInfo>();
    }
    [[nodiscard]] rpc::NetworkInfo network() const override {
        return parts_.condition.network ? parts_.condition.network() : rpc::NetworkInfo();
    }
    [[nodiscard]] Result<Done, rpc::Refusal> add_peer(const std::string& peer) override;
    [[nodiscard]] Result<Done, rpc::Refusal> remove_peer(const std::string& peer) override;

    [[nodiscard]] rpc::BlockPtr block(const rpc::BlockId& id) const override;
    [[nodiscard]] bool is_pruned(const rpc::BlockId& id) const override;
    [[nodiscard]] OldestKept oldest_kept() const override;
    [[nodiscard]] std::optional<Header> header(uint64_t number) const override;
    [[nodiscard]] std::optional<rpc::TxPlace> find_tx(const Hash& hash) const override;
    [[nodiscard]] rpc::ForkConfigs fork_configs() const override;
    [[nodiscard]] Uint256 next_base_fee(const Header& header) const override;
    [[nodiscard]] Uint256 blob_base_fee(const Header& header) const override;

    [[nodiscard]] std::optional<rpc::FinalHeader> final_header(uint64_t number) const override;
    [[nodiscard]] Result<rpc::BoundaryProof, rpc::CallError> boundary(
        uint64_t epoch) const override;

    [[nodiscard]] Result<std::optional<rpc::AccountInfo>, rpc::StateError> account(
        const Hash& block_hash, const Address& address) const override;
    [[nodiscard]] Result<Uint256, rpc::StateError> storage(const Hash& block_hash,
                                                           const Address& address,
                                                           const Uint256& slot) const override;
    [[nodiscard]] Result<Bytes, rpc::StateError> code(const Hash& block_hash,
                                                      const Address& address) const override;
    [[nodiscard]] Result<rpc::AccountProof, rpc::StateError> proof(
        const Hash& block_hash, const Address& address,
        const std::vector<Uint256>& slots) const override;

    [[nodiscard]] Result<rpc::CallOutcome, rpc::CallError> call(
        const Hash& block_hash, const rpc::CallRequest& request,
        const rpc::Overrides& overrides) const override;
    [[nodiscard]] Result<uint64_t, rpc::CallError> estimate_gas(
        const Hash& block_hash, const rpc::CallRequest& request,
        const rpc::Overrides& overrides) const override;
    [[nodiscard]] Result<rpc::AccessListOutcome, rpc::CallError> create_access_list(
        const Hash& block_hash, const rpc::CallRequest& request) const override;

    [[nodiscard]] Result<std::vector<Trace>, rpc::TraceError> trace_block(
        const Hash& block_hash, const TraceOptions& options,
        const rpc::WorkLimits& limits) const override;
    [[nodiscard]] Result<Trace, rpc::TraceError> trace_transaction(
        const rpc::TxPlace& place, const TraceOptions& options,
        const rpc::WorkLimits& limits) const override;
    [[nodiscard]] Result<Trace, rpc::TraceError> trace_call(
        const Hash& block_hash, const rpc::CallRequest& request, const rpc::Overrides& overrides,
        const TraceOptions& options, const rpc::WorkLimits& limits) const override;

    [[nodiscard]] Result<std::vector<rpc::SimulatedBlock>, rpc::SimulateError> simulate(
        const Hash& block_hash, const SimulateRequest& request, uint64_t gas_max,
        const rpc::WorkLimits& limits) const override;

    [[nodiscard]] Result<Hash, rpc::Refusal> submit(const Tx& tx) override;
    [[nodiscard]] std::optional<rpc::PooledTx> pooled_tx(const Hash& hash) const override;
    [[nodiscard]] rpc::PoolContent pool_content(const std::optional<Address>& of) const override;
    [[nodiscard]] rpc::PoolStatus pool_status() const override;
    [[nodiscard]] uint64_t pending_nonce(const Address& address) const override {
        return parts_.pool.pending_nonce(address);
    }

    [[nodiscard]] Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> begin_blob(
        const std::optional<Hash>& owner, rpc::Uploader who) override {
        return parts_.blobs.begin(owner, who);
    }
    [[nodiscard]] Result<Done, rpc::BlobError> release_blob(const Hash& id,
                                                            const Hash& owner) override {
        return parts_.blobs.release(id, owner);
    }
    [[nodiscard]] Result<std::vector<rpc::HeldBlob>, rpc::Refusal> held_blobs(
        const Hash& after, size_t count_max) const override;
    [[nodiscard]] Result<Done, rpc::Refusal> release_blob(const Hash& id) override;
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> blob_info(const Hash& id) override {
        return parts_.blobs.info(id);
    }
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> fetch_blob(const std::string& client,
                                                                   const Hash& id) override {
        return parts_.blobs.fetch(client, id);
    }
    [[nodiscard]] rpc::BlobPlace seek_blob(const Hash& id) override {
        return parts_.blobs.seek(id);
    }
    [[nodiscard]] Result<Bytes, rpc::BlobError> read_blob(const Hash& id, uint64_t offset,
                                                          uint64_t length) const override {
        return parts_.blobs.read(id, offset, length);
    }

    /// The block as RPC shows it; the latest conversions are kept.
    [[nodiscard]] rpc::BlockPtr full(const chain::ChainBlockPtr& block) const;

private:
    template <class Read>
    [[nodiscard]] auto read_state(const Hash& block_hash, const Read& read) const
        -> Result<decltype(read(std::declval<const state::StateView&>())), rpc::StateError>;
    [[nodiscard]] Result<Done, rpc::CallError> check_state(const Hash& block_hash) const;
    struct Scene;  ///< a state with overrides and the block environment on top of it
    [[nodiscard]] Result<Done, rpc::CallError> check_end(const Hash& block_hash,
                                                         const Scene& scene) const;
    [[nodiscard]] Result<rpc::BoundaryProof, rpc::CallError> boundary_from_state(
        uint64_t epoch) const;
    [[nodiscard]] Result<std::unique_ptr<Scene>, rpc::CallError> scene(
        const Hash& block_hash, const rpc::Overrides& overrides) const;

    Parts parts_;
    mutable std::mutex mutex_;
    mutable std::list<rpc::BlockPtr> recent_;  ///< newest first
};

}  // namespace trainyard::node::backend
