// SPDX-License-Identifier: Apache-2.0
// Blocks, states and the pool for JSON-RPC; calls are in calls.cpp.
#include "node/backend/node_backend.hpp"

#include "consensus/rules/block.hpp"

namespace trainyard::node::backend {
namespace {

constexpr size_t kRecentMax = 64;

rpc::PooledTx pooled(const mempool::Pooled& tx) {
    return {tx.tx, tx.hash, tx.sender};
}

}  // namespace

uint64_t NodeBackend::chain_id() const {
    return parts_.chain.config().chain_id;
}

std::vector<rpc::ValidatorInfo> NodeBackend::validators() const {
    std::vector<rpc::ValidatorInfo> infos;
    if (parts_.chain.is_foreign()) return infos;
    const auto set = parts_.chain.validators();
    for (const auto& v : set->all()) {
        const bool is_self = parts_.self == v.address;
        infos.push_back({v.address, v.consensus_key, v.vrf_key, v.p2p_key,
                         Uint256(v.stake_gwei) * Uint256(1'000'000'000),
                         is_self || parts_.condition.is_connected(v.p2p_key), is_self});
    }
    return infos;
}

// --- what the operator alone may do

namespace {
constexpr char kAdminIsOff[] =
    "methods that change the node are switched off; start it with --http.admin, on an address "
    "that only you can reach";
}  // namespace

Result<std::vector<rpc::HeldBlob>, rpc::Refusal> NodeBackend::held_blobs(const Hash& after,
                                                                         size_t count_max) const {
    if (!parts_.is_admin) return unexpected(rpc::Refusal{kAdminIsOff});
    return parts_.blobs.held_after(after, count_max);
}

Result<Done, rpc::Refusal> NodeBackend::release_blob(const Hash& id) {
    if (!parts_.is_admin) return unexpected(rpc::Refusal{kAdminIsOff});
    if (const auto done = parts_.blobs.release(id); !done)
        return unexpected(rpc::Refusal{done.error() == rpc::BlobError::not_found
                                           ? "no such blob is here"
                                           : "the blob store failed"});
    return Done{};
}

Result<Done, rpc::Refusal> NodeBackend::ban(const PublicKey& peer, uint64_t seconds,
                                            const std::string& reason) {
    if (!parts_.condition.ban) return unexpected(rpc::Refusal{kAdminIsOff});
    parts_.condition.ban(peer, seconds, reason);
    return Done{};
}

Result<Done, rpc::Refusal> NodeBackend::unban(const PublicKey& peer) {
    if (!parts_.condition.unban) return unexpected(rpc::Refusal{kAdminIsOff});
    parts_.condition.unban(peer);
    return Done{};
}

Result<Done, rpc::Refusal> NodeBackend::add_peer(const std::string& peer) {
    if (!parts_.condition.add_peer) return unexpected(rpc::Refusal{kAdminIsOff});
    if (parts_.condition.add_peer(peer)) return Done{};
    return unexpected(rpc::Refusal{"a peer is <66 hex digits of its key>@host:port"});
}

Result<Done, rpc::Refusal> NodeBackend::remove_peer(const std::string& peer) {
    if (!parts_.condition.remove_peer) return unexpected(rpc::Refusal{kAdminIsOff});
    if (parts_.condition.remove_peer(peer)) return Done{};
    return unexpected(rpc::Refusal{"a peer is named by the 66 hex digits of its key"});
}

// --- blocks

rpc::BlockPtr NodeBackend::full(const chain::ChainBlockPtr& block) const {
    if (block == nullptr) return nullptr;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& known : recent_)
            if (known->hash == block->hash) return known;
    }
    auto made = rpc::make_full_block(block->block, block->senders, block->receipts);
    const std::lock_guard lock(mutex_);
    recent_.push_front(made);
    if (recent_.size() > kRecentMax) recent_.pop_back();
    return made;
}

rpc::BlockPtr NodeBackend::block(const rpc::BlockId& id) const {
    const auto& chain = parts_.chain;
    if (const auto* number = std::get_if<uint64_t>(&id)) return full(chain.by_number(*number));
    if (const auto* by_hash = std::get_if<rpc::BlockByHash>(&id)) {
        const auto found = chain.by_hash(by_hash->hash);
        if (found != nullptr && by_hash->require_canonical && !chain.is_canonical(*found))
            return nullptr;
        return full(found);
    }
    switch (std::get<rpc::Tag>(id)) {
        case rpc::Tag::earliest:
            return full(chain.by_number(0));
        case rpc::Tag::finalized:
            return full(chain.finalised());
        case rpc::Tag::latest:
        case rpc::Tag::safe:
        case rpc::Tag::pending:
            return full(chain.latest());
    }
    return nullptr;
}

bool NodeBackend::is_pruned(const rpc::BlockId& id) const {
    const auto& chain = parts_.chain;
    if (const auto* number = std::get_if<uint64_t>(&id))
        return *number <= chain.finalised()->height() && chain.is_pruned(*number);
    const auto* by_hash = std::get_if<rpc::BlockByHash>(&id);
    const auto number = by_hash != nullptr ? chain.final_number(by_hash->hash) : std::nullopt;
    return number && chain.is_pruned(*number);
}

rpc::Backend::OldestKept NodeBackend::oldest_kept() const {
    const auto kept = parts_.chain.store_status().kept;
    return {kept.first_state, kept.first_block};
}

std::optional<Header> NodeBackend::header(uint64_t number) const {
    return parts_.chain.header(number);
}

std::optional<rpc::TxPlace> NodeBackend::find_tx(const Hash& hash) const {
    const auto place = parts_.chain.find_tx(hash);
    if (!place) return std::nullopt;
    return rpc::TxPlace{full(place->block), place->index};
}

Uint256 NodeBackend::next_base_fee(const Header& header) const {
    return consensus::next_base_fee(header, header.timestamp, parts_.chain.config());
}

Uint256 NodeBackend::blob_base_fee(const Header& header) const {
    if (!header.excess_blob_gas) return {};
    const auto& fork = parts_.chain.config().fork_at(header.number, header.timestamp);
    if (fork.blobs.update_fraction == 0) return Uint256(1);
    return consensus::blob_base_fee(*header.excess_blob_gas, fork.blobs);
}

// --- state

/// What `read` finds in a state that is whole before and after.
template <class Read>
auto NodeBackend::read_state(const Hash& block_hash, const Read& read) const
    -> Result<decltype(read(std::declval<const state::StateView&>())), rpc::StateError> {
    const auto view = parts_.chain.view(block_hash);
    if (view == nullptr) return unexpected(rpc::StateError::unknown_block);
    if (!parts_.chain.keeps_state(block_hash)) return unexpected(rpc::StateError::unavailable);
    auto found = read(*view);
    if (!parts_.chain.keeps_state(block_hash)) return unexpected(rpc::StateError::unavailable);
    return found;
}

Result<std::optional<rpc::AccountInfo>, rpc::StateError> NodeBackend::account(
    const Hash& block_hash, const Address& address) const {
    const auto account =
        read_state(block_hash, [&](const auto& view) { return view.account(address); });
    if (!account) return unexpected(account.error());
    const auto& found = *account;
    if (!found) return std::optional<rpc::AccountInfo>();
    return std::optional(
        rpc::AccountInfo{found->nonce, found->balance, found->code_hash, found->storage_root});
}

Result<Uint256, rpc::StateError> NodeBackend::storage(const Hash& block_hash,
                                                      const Address& address,
                                                      const Uint256& slot) const {
    return read_state(block_hash, [&](const auto& view) { return view.storage(address, slot); });
}

Result<Bytes, rpc::StateError> NodeBackend::code(const Hash& block_hash,
                                                 const Address& address) const {
    return read_state(block_hash, [&](const auto& view) {
        const auto found = view.account(address);
        return found && found->code_hash != kEmptyCodeHash ? view.code(found->code_hash) : Bytes();
    });
}

Result<rpc::AccountProof, rpc::StateError> NodeBackend::proof(
    const Hash& block_hash, const Address& address, const std::vector<Uint256>& slots) const {
    const auto block = parts_.chain.by_hash(block_hash);
    const auto nodes = parts_.chain.nodes(block_hash);
    if (block == nullptr || nodes == nullptr) return unexpected(rpc::StateError::unknown_block);
    auto proven = state::prove_account(*nodes, block->block.header.state_root, address, slots);
    if (!proven) return unexpected(rpc::StateError::unavailable);
    rpc::AccountProof out;
    if (proven->account)
        out.account = {proven->account->nonce, proven->account->balance, proven->account->code_hash,
                       proven->account->storage_root};
    out.nodes = std::move(proven->nodes);
    for (auto& slot : proven->storage)
        out.storage.push_back({slot.slot, slot.value, std::move(slot.nodes)});
    return out;
}

// --- pool

Result<Hash, rpc::Refusal> NodeBackend::submit(const Tx& tx) {
    const auto taken = parts_.pool.submit(tx);
    if (!taken) return unexpected(rpc::Refusal{mempool::to_text(taken.error())});
    return (*taken)->hash;
}

std::optional<rpc::PooledTx> NodeBackend::pooled_tx(const Hash& hash) const {
    const auto found = parts_.pool.find(hash);
    return found ? std::optional(pooled(*found)) : std::nullopt;
}

rpc::PoolContent NodeBackend::pool_content(const std::optional<Address>& of) const {
    rpc::PoolContent content;
    for (const auto& entry : parts_.pool.content()) {
        if (of && entry.tx->sender != *of) continue;
        auto& side = entry.pending ? content.pending : content.queued;
        side[entry.tx->sender][entry.tx->tx.nonce] = pooled(*entry.tx);
    }
    return content;
}

rpc::PoolStatus NodeBackend::pool_status() const {
    const auto counts = parts_.pool.counts();
    return {counts.pending, counts.queued};
}

}  // namespace trainyard::node::backend
