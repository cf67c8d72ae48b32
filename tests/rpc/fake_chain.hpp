// SPDX-License-Identifier: Apache-2.0
// A chain in memory that stands in for a node at the seam rpc::Backend.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "core/hash.hpp"
#include "core/keys.hpp"
#include "rpc/server.hpp"

namespace trainyard::rpc::test {

inline SecretKey key_of(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}
inline Address address_of_key(uint8_t n) {
    return *trainyard::address_of(key_of(n));
}

/// Type 2 unless changed; signed.
inline Tx make_tx(uint8_t key, uint64_t nonce, const std::function<void(Tx&)>& change = {}) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 7777;
    tx.nonce = nonce;
    tx.gas_limit = 100'000;
    tx.max_fee_per_gas = Uint256(3'000'000'000);
    tx.max_priority_fee_per_gas = Uint256(1'000'000'000);
    tx.to = address_of_key(200);
    tx.value = Uint256(5);
    if (change) change(tx);
    sign_tx(tx, key_of(key));
    return tx;
}

inline Hash word(uint8_t n) {
    Hash out;
    out[31] = n;
    return out;
}

class FakeChain final : public Backend {
public:
    std::vector<BlockPtr> blocks;
    uint64_t finalised = 0;
    std::map<Address, AccountInfo> accounts;
    bool counts_nonces = false;  ///< an account has the nonce of what it had sent at the block
    std::map<std::pair<Address, Uint256>, Uint256> slots;
    std::map<Address, Bytes> codes;
    std::map<Hash, PooledTx> pool;
    std::map<Hash, Bytes> blobs;
    uint64_t blob_size_max = 1 << 20;
    std::optional<SyncStatus> sync;
    uint64_t first_header = 0;  ///< headers before it never were here, as after a state sync
    OldestKept oldest;          ///< blocks before `oldest.block` are pruned, but genesis
    ForkConfigs forks;
    std::function<Result<CallOutcome, CallError>(const CallRequest&, const Overrides&)> on_call;
    std::function<Result<uint64_t, CallError>(const CallRequest&)> on_estimate;
    std::function<Result<Hash, Refusal>(const Tx&)> on_submit;
    std::function<Result<std::vector<SimulatedBlock>, SimulateError>(
        const SimulateRequest&, uint64_t gas_max, const WorkLimits&)>
        on_simulate;
    std::function<Result<Trace, TraceError>(const TraceOptions&, const WorkLimits&)> on_trace;
    std::function<void()> on_find_tx;
    mutable std::mutex mutex;

    FakeChain() { add_block({}, {}); }

    BlockPtr add_block(std::vector<Tx> txs, std::vector<std::vector<Log>> logs) {
        auto block = next_block(std::move(txs), std::move(logs));
        const std::lock_guard lock(mutex);
        blocks.push_back(block);
        return block;
    }

    [[nodiscard]] BlockPtr next_block(std::vector<Tx> txs,
                                      std::vector<std::vector<Log>> logs) const {
        Block block;
        Header& h = block.header;
        h.number = blocks.size();
        if (!blocks.empty()) h.parent_hash = blocks.back()->hash;
        h.ommers_hash = kEmptyListHash;
        h.gas_limit = 30'000'000;
        h.timestamp = 1000 + h.number;
        h.base_fee_per_gas = Uint256(1'000'000'000);
        h.withdrawals_root = kEmptyTrieRoot;
        block.withdrawals.emplace();
        std::vector<Address> senders;
        std::vector<Receipt> receipts;
        for (size_t i = 0; i < txs.size(); ++i) {
            senders.push_back(*recover_sender(txs[i]));
            Receipt r;
            r.type = txs[i].type;
            r.success = true;
            h.gas_used += 21'000 * (i + 1);
            r.cumulative_gas_used = h.gas_used;
            if (i < logs.size()) r.logs = logs[i];
            r.bloom = bloom_of(r.logs);
            for (size_t b = 0; b < Bloom::size(); ++b) h.logs_bloom[b] |= r.bloom[b];
            receipts.push_back(std::move(r));
        }
        block.txs = std::move(txs);
        return make_full_block(std::move(block), std::move(senders), std::move(receipts));
    }

    uint64_t chain_id() const override { return 7777; }
    std::string client_version() const override { return "trainyard/test"; }
    NodeStatus node_status() const override {
        return {3,  9,         "validator",       "cpu avx2", 60,
                "", "listens", address_of_key(5), "votes",    {address_of_key(6)}};
    }
    std::optional<SyncStatus> syncing() const override { return sync; }
    std::vector<BanInfo> bans() const override { return banned; }
    Result<Done, Refusal> ban(const PublicKey& peer, uint64_t seconds,
                              const std::string& reason) override {
        banned.push_back({to_hex0x(peer.bytes), reason, seconds});
        return Done{};
    }
    Result<Done, Refusal> unban(const PublicKey& peer) override {
        std::erase_if(banned, [&](const auto& b) { return b.id == to_hex0x(peer.bytes); });
        return Done{};
    }
    std::vector<BanInfo> banned;
    std::vector<PeerInfo> peers() const override {
        PeerInfo peer;
        peer.id = "02aa";
        peer.address = "127.0.0.1:30303";
        peer.inbound = true;
        peer.source = "incoming";
        peer.queued_bytes = {{"votes", 7}};
        peer.clock_ahead_ms = -12;
        return {peer};
    }
    std::vector<PeerInfo> away_peers() const override {
        PeerInfo peer;
        peer.id = "02bb";
        peer.connected = false;
        return {peer};
    }
    NetworkInfo network() const override { return {"0xcc", "0.0.0.0:30303", 5, 3}; }
    Result<Done, Refusal> add_peer(const std::string& peer) override {
        if (peer.find('@') == std::string::npos) return unexpected(Refusal{"no address"});
        added.push_back(peer);
        return Done{};
    }
    Result<Done, Refusal> remove_peer(const std::string& peer) override {
        std::erase(added, peer);
        return Done{};
    }
    std::vector<std::string> added;
    std::vector<ValidatorInfo> validators() const override {
        ValidatorInfo v;
        v.operator_address = address_of_key(1);
        v.stake_wei = Uint256(32);
        return {v};
    }

    BlockPtr block(const BlockId& id) const override {
        const std::lock_guard lock(mutex);
        if (const auto* by_hash = std::get_if<BlockByHash>(&id)) {
            for (const auto& b : blocks)
                if (b->hash == by_hash->hash) return b;
            return nullptr;
        }
        uint64_t n = blocks.size() - 1;
        if (const auto* number = std::get_if<uint64_t>(&id)) n = *number;
        if (const auto* tag = std::get_if<Tag>(&id)) {
            if (*tag == Tag::earliest) n = 0;
            if (*tag == Tag::finalized) n = finalised;
        }
        return n < blocks.size() && !is_pruned(n) ? blocks[n] : nullptr;
    }
    bool is_pruned(const BlockId& id) const override {
        const auto* number = std::get_if<uint64_t>(&id);
        return number != nullptr && *number > 0 && *number < oldest.block;
    }
    OldestKept oldest_kept() const override { return oldest; }
    std::optional<Header> header(uint64_t number) const override {
        const std::lock_guard lock(mutex);
        if (number >= blocks.size() || number < first_header) return std::nullopt;
        return blocks[number]->block.header;
    }
    std::optional<TxPlace> find_tx(const Hash& hash) const override {
        if (on_find_tx) on_find_tx();
        const std::lock_guard lock(mutex);
        for (const auto& b : blocks)
            for (size_t i = 0; i < b->tx_hashes.size(); ++i)
                if (b->tx_hashes[i] == hash) return TxPlace{b, i};
        return std::nullopt;
    }
    ForkConfigs fork_configs() const override { return forks; }
    Uint256 next_base_fee(const Header&) const override { return Uint256(900'000'000); }
    Uint256 blob_base_fee(const Header&) const override { return Uint256(1); }

    std::optional<FinalHeader> final_header(uint64_t number) const override {
        if (number >= blocks.size() || number == 0) return std::nullopt;
        return FinalHeader{blocks[number]->block.header, Bytes{0xce, 0x27}};
    }
    Result<BoundaryProof, CallError> boundary(uint64_t epoch) const override {
        using Kind = CallError::Kind;
        if (epoch > finalised) return unexpected(CallError{Kind::unknown_block, "", {}});
        if (epoch == 0) return unexpected(CallError{Kind::state_unavailable, "not kept", {}});
        return BoundaryProof{{blocks[epoch]->block.header, Bytes{0xce}}, {{1, 2}, {3}}};
    }

    Result<std::optional<AccountInfo>, StateError> account(const Hash& at,
                                                           const Address& who) const override {
        if (blocks[0]->hash == at && blocks.size() > 1) return Unexpected(StateError::unavailable);
        if (counts_nonces) return std::optional(AccountInfo{sent_until(at, who), {}, {}, {}});
        const auto found = accounts.find(who);
        if (found == accounts.end()) return std::optional<AccountInfo>();
        return std::optional<AccountInfo>(found->second);
    }
    uint64_t sent_until(const Hash& at, const Address& who) const {
        uint64_t sent = 0;
        for (const auto& b : blocks) {
            sent += static_cast<uint64_t>(std::count(b->senders.begin(), b->senders.end(), who));
            if (b->hash == at) break;
        }
        return sent;
    }
    Result<Uint256, StateError> storage(const Hash&, const Address& who,
                                        const Uint256& slot) const override {
        const auto found = slots.find({who, slot});
        return found == slots.end() ? Uint256(0) : found->second;
    }
    Result<Bytes, StateError> code(const Hash&, const Address& who) const override {
        const auto found = codes.find(who);
        return found == codes.end() ? Bytes{} : found->second;
    }
    Result<AccountProof, StateError> proof(const Hash&, const Address&,
                                           const std::vector<Uint256>& wanted) const override {
        AccountProof out;
        out.nodes = {Bytes{1, 2}};
        for (const auto& slot : wanted) out.storage.push_back({slot, Uint256(7), {Bytes{3}}});
        return out;
    }
    Result<CallOutcome, CallError> call(const Hash&, const CallRequest& request,
                                        const Overrides& overrides) const override {
        if (on_call) return on_call(request, overrides);
        return CallOutcome{};
    }
    Result<uint64_t, CallError> estimate_gas(const Hash&, const CallRequest& request,
                                             const Overrides&) const override {
        if (on_estimate) return on_estimate(request);
        return uint64_t{21'000};
    }
    Result<AccessListOutcome, CallError> create_access_list(const Hash&,
                                                            const CallRequest&) const override {
        return AccessListOutcome{{{address_of_key(9), {word(1)}}}, 30'000, "execution reverted"};
    }
    Result<Trace, TraceError> any_trace(const TraceOptions& options,
                                        const WorkLimits& limits) const {
        if (on_trace) return on_trace(options, limits);
        return Trace(StepTrace{});
    }
    Result<std::vector<Trace>, TraceError> trace_block(const Hash&, const TraceOptions& options,
                                                       const WorkLimits& limits) const override {
        auto trace = any_trace(options, limits);
        if (!trace) return Unexpected(trace.error());
        return std::vector<Trace>{*trace};
    }
    Result<Trace, TraceError> trace_transaction(const TxPlace&, const TraceOptions& options,
                                                const WorkLimits& limits) const override {
        return any_trace(options, limits);
    }
    Result<Trace, TraceError> trace_call(const Hash&, const CallRequest& request,
                                         const Overrides& overrides, const TraceOptions& options,
                                         const WorkLimits& limits) const override {
        if (on_call) (void)on_call(request, overrides);
        return any_trace(options, limits);
    }
    Result<std::vector<SimulatedBlock>, SimulateError> simulate(
        const Hash&, const SimulateRequest& request, uint64_t gas_max,
        const WorkLimits& limits) const override {
        if (on_simulate) return on_simulate(request, gas_max, limits);
        return std::vector<SimulatedBlock>{};
    }
    Result<Hash, Refusal> submit(const Tx& tx) override {
        if (on_submit) return on_submit(tx);
        return hash_tx(tx);
    }
    std::optional<PooledTx> pooled_tx(const Hash& hash) const override {
        const auto found = pool.find(hash);
        return found == pool.end() ? std::nullopt : std::optional(found->second);
    }
    mutable std::optional<Address> content_asked_of;
    PoolContent pool_content(const std::optional<Address>& of) const override {
        content_asked_of = of;
        PoolContent out;
        for (const auto& [hash, tx] : pool)
            if (!of || tx.sender == *of) out.pending[tx.sender][tx.tx.nonce] = tx;
        return out;
    }
    PoolStatus pool_status() const override { return {pool.size(), 0}; }
    uint64_t pending_nonce(const Address&) const override { return 42; }

    class Writer final : public BlobWriter {
    public:
        explicit Writer(FakeChain& chain) : chain_(chain) {}
        Result<Done, BlobError> append(BytesView piece) override {
            trainyard::append(data_, piece);
            if (data_.size() > chain_.blob_size_max) return Unexpected(BlobError::too_large);
            return Done{};
        }
        Result<BlobInfo, BlobError> finish() override {
            const BlobInfo info{sha256(data_), data_.size()};
            const std::lock_guard lock(chain_.mutex);
            chain_.blobs[info.id] = std::move(data_);
            return info;
        }

    private:
        FakeChain& chain_;
        Bytes data_;
    };
    Result<std::unique_ptr<BlobWriter>, BlobError> begin_blob(const std::optional<Hash>& owner,
                                                              Uploader who) override {
        blob_owner = owner;
        uploader = who;
        return std::unique_ptr<BlobWriter>(std::make_unique<Writer>(*this));
    }
    Result<Done, BlobError> release_blob(const Hash& id, const Hash& owner) override {
        const std::lock_guard lock(mutex);
        if (blob_owner == owner) blobs.erase(id);
        return Done{};
    }
    std::optional<Hash> blob_owner;  ///< that the last one was put for
    Uploader uploader = Uploader::own;
    Result<std::vector<HeldBlob>, Refusal> held_blobs(const Hash& after,
                                                      size_t count_max) const override {
        const std::lock_guard lock(mutex);
        std::vector<HeldBlob> out;
        for (auto at = blobs.upper_bound(after); at != blobs.end() && out.size() < count_max; ++at)
            out.push_back({{at->first, at->second.size()}, !released.contains(at->first), 0});
        return out;
    }
    Result<Done, Refusal> release_blob(const Hash& id) override {
        if (!blobs.contains(id)) return unexpected(Refusal{"no such blob is here"});
        released.insert(id);
        return Done{};
    }
    std::set<Hash> released;
    std::vector<std::string> blob_clients;  ///< who asked for a blob that peers may have
    Result<BlobInfo, BlobError> fetch_blob(const std::string& client, const Hash& id) override {
        {
            const std::lock_guard lock(mutex);
            blob_clients.push_back(client);
        }
        return blob_info(id);
    }
    Result<BlobInfo, BlobError> blob_info(const Hash& id) override {
        const std::lock_guard lock(mutex);
        const auto found = blobs.find(id);
        if (found == blobs.end()) return Unexpected(BlobError::not_found);
        return BlobInfo{id, found->second.size()};
    }
    std::set<Hash> sought;  ///< blobs
    BlobPlace seek_blob(const Hash& id) override {
        const std::lock_guard lock(mutex);
        if (blobs.contains(id)) return BlobPlace::here;
        return sought.insert(id).second ? BlobPlace::sought : BlobPlace::absent;
    }
    Result<Bytes, BlobError> read_blob(const Hash& id, uint64_t offset,
                                       uint64_t length) const override {
        const std::lock_guard lock(mutex);
        const auto found = blobs.find(id);
        if (found == blobs.end()) return Unexpected(BlobError::not_found);
        const BytesView data = found->second;
        if (offset > data.size()) return Unexpected(BlobError::out_of_range);
        const auto part = data.subspan(offset, std::min<uint64_t>(length, data.size() - offset));
        return Bytes(part.begin(), part.end());
    }
};

/// Keeps what it is told.
class RecordingSession final : public Session {
public:
    std::vector<std::string> messages;
    void push(std::shared_ptr<const std::string> message) override { messages.push_back(*message); }
};

}  // namespace trainyard::rpc::test
