// SPDX-License-Identifier: Apache-2.0
// Opening, finality and reads of the ledger; execution is in execute.cpp.
#include "node/chain/chain.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "node/chain/body.hpp"
#include "node/chain/impl.hpp"

namespace trainyard::node::chain {
namespace {

ChainError store_error(const state::StoreError& error) {
    return {state::to_text(error), true};
}

Result<Done, ChainError> write_genesis(state::World& world, const Chain::FirstBlock& first) {
    auto update = state::state_root(kEmptyTrieRoot, first.state, state::NoNodes());
    if (!update) return unexpected(ChainError{state::to_text(update.error())});
    const std::vector<Receipt> none;
    const auto done =
        world.commit_block({first.block,
                            none,
                            std::make_shared<const state::StateDiff>(first.state),
                            std::make_shared<const state::StateUpdate>(*std::move(update)),
                            {},
                            nullptr});
    if (!done) return unexpected(store_error(done.error()));
    return Done{};
}

consensus::bft::CertPtr certificate_at(const state::World& world, uint64_t height) {
    const auto bytes = world.certificate(height);
    if (!bytes || bytes->empty()) return nullptr;
    auto certificate = consensus::bft::decode_certificate(*bytes);
    if (!certificate) return nullptr;
    return std::make_shared<const consensus::bft::Certificate>(std::move(*certificate));
}

}  // namespace

state::NodePtr BranchNodes::node(const Hash& hash, std::string_view place) const {
    for (auto it = branch_.rbegin(); it != branch_.rend(); ++it)
        if (auto found = (*it)->update.new_nodes.find(hash)) return found;
    return world_.nodes().node(hash, place);
}

void BranchNodes::report(const state::TrieError& error) const {
    if (world_.keeps_state(base_)) world_.nodes().report(error);
}

Uint256 BranchView::storage(const Address& address, const Uint256& slot) const {
    for (auto it = branch_.above.rbegin(); it != branch_.above.rend(); ++it) {
        const auto& accounts = (*it)->diff.accounts;
        const auto changed = accounts.find(address);
        if (changed == accounts.end()) continue;
        if (!changed->second) return 0;
        const auto value = changed->second->storage.find(slot);
        if (value != changed->second->storage.end()) return value->second;
        if (changed->second->storage_cleared) return 0;
    }
    return flat_->storage(address, slot);
}

std::optional<Branch> Chain::Impl::branch_to(const Hash& hash) const {
    {
        const std::lock_guard lock(mutex);
        Branch branch{tree.final_block(), tree.branch(hash)};
        if (branch.tip()->hash == hash) return branch;
    }
    auto block = store.by_hash(hash);
    if (block == nullptr) return std::nullopt;
    return Branch{std::move(block), {}};
}

std::shared_ptr<const BranchView> Chain::Impl::view_of(const Branch& branch) const {
    return std::make_shared<const BranchView>(*world, branch);
}

Result<Done, ChainError> Chain::Impl::commit_one(const ChainBlockPtr& block,
                                                 BytesView certificate) {
    const state::Batch extra = sets ? sets->take_unsaved() : state::Batch{};
    const auto done = world->commit_block({block->block,
                                           block->receipts,
                                           {block, &block->diff},
                                           {block, &block->update},
                                           certificate,
                                           &extra,
                                           side_by_side(&commit_threads)});
    if (!done) return unexpected(store_error(done.error()));
    if (sets) sets->on_final(Height{block->height()});
    keeper.wake();
    store.remember(block);
    bool moved = false;
    {
        const std::lock_guard lock(mutex);
        tree.advance(block);
        if (tree.find(latest) == nullptr) {
            latest = block->hash;
            moved = true;
        }
    }
    if (moved && listener.on_latest) listener.on_latest(block);
    if (listener.on_final) listener.on_final(block);
    return Done{};
}

Result<Done, ChainError> Chain::Impl::finalise_branch(
    const Hash& hash, const consensus::bft::Certificate& certificate) {
    std::vector<ChainBlockPtr> path;
    {
        const std::lock_guard lock(mutex);
        path = tree.branch(hash);
    }
    if (path.empty()) {
        if (world->number_of_hash(hash)) return Done{};
        return unexpected(ChainError{"block " + to_hex0x(hash.bytes) +
                                     " shall become final and was never executed here"});
    }
    const Bytes bytes = consensus::bft::encode_certificate(certificate);
    for (const auto& block : path) {
        if (auto done = commit_one(block, bytes); !done) return done;
    }
    return Done{};
}

Chain::Chain(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Chain::~Chain() = default;

Result<std::unique_ptr<Chain>, ChainError> Chain::open(state::Kv& kv, Options options) {
    const Hash genesis_hash = hash_header(options.first.block.header);
    auto world = state::World::open(kv, options.store, side_by_side(options.executor));
    if (!world) return unexpected(store_error(world.error()));
    if (!(*world)->head()) {
        if (auto done = write_genesis(**world, options.first); !done)
            return unexpected(done.error());
    }
    const auto first = (*world)->header_by_number(0);
    if (!first || hash_header(*first) != genesis_hash)
        return unexpected(
            ChainError{"the data folder holds another chain (its block 0 is not " +
                       to_hex0x(genesis_hash.bytes) +
                       "): use another --datadir, or the genesis file it began with"});
    auto impl = std::make_unique<Impl>(std::move(options), std::move(*world));
    impl->genesis_hash = genesis_hash;
    auto head = impl->store.by_number(impl->world->head()->header.number);
    if (head == nullptr) {
        const auto damage = impl->world->damage();
        return unexpected(ChainError{damage ? state::to_text(*damage) : "the head block is gone"});
    }
    impl->latest = head->hash;
    // What the last block fixed goes with the next commit, and is lost where there was none.
    if (impl->sets && head->height() > 0) impl->sets->on_final(Height{head->height()});
    impl->tree.set_final(std::move(head));
    return std::unique_ptr<Chain>(new Chain(std::move(impl)));
}

const consensus::ChainConfig& Chain::config() const {
    return impl_->options.config;
}
bool Chain::is_foreign() const {
    return !impl_->options.validators;
}
const consensus::ValidatorSets& Chain::sets() const {
    ASSERT(!is_foreign());
    return *impl_->sets;
}
Epoch Chain::epoch() const {
    return consensus::epoch_of(Height{finalised()->height()} + 1, config().epoch_length);
}
consensus::SetPtr Chain::validators() const {
    return sets().of_epoch(epoch());
}
const Hash& Chain::genesis_hash() const {
    return impl_->genesis_hash;
}
void Chain::listen(Listener listener) {
    impl_->listener = std::move(listener);
}

// --- finality

void Chain::certify(const Hash& hash) {
    ChainBlockPtr block;
    {
        const std::lock_guard lock(impl_->mutex);
        block = impl_->tree.find(hash);
        if (block == nullptr || impl_->latest == hash) return;
        impl_->latest = hash;
    }
    if (impl_->listener.on_latest) impl_->listener.on_latest(block);
}

Result<Done, ChainError> Chain::finalise(const Hash& hash,
                                         const consensus::bft::Certificate& certificate) {
    const std::lock_guard lock(impl_->commit_mutex);
    return impl_->finalise_branch(hash, certificate);
}

consensus::bft::FinalPoint Chain::final_point() const {
    const auto block = finalised();
    const auto& world = *impl_->world;
    auto trail = consensus::BeaconTrail::at(
        config().mini_epoch_length, Height{block->height()}, [&](Height height) {
            const auto header = world.header_by_number(height.value);
            return header ? header->prev_randao : Hash{};
        });
    auto certificate = certificate_at(world, block->height());
    if (certificate && certificate->block != block->hash) certificate = nullptr;
    return {block->block.header, block->hash, std::move(trail), std::move(certificate)};
}

consensus::bft::CertPtr Chain::boundary_certificate(Epoch epoch) const {
    if (epoch >= this->epoch()) return nullptr;
    return certificate_at(*impl_->world,
                          consensus::boundary_of(epoch, config().epoch_length).value);
}

std::optional<Bytes> Chain::boundary(Epoch epoch) const {
    return is_foreign() ? std::nullopt : impl_->sets->boundary(epoch);
}

consensus::bft::BlockPtr Chain::final_block(const Hash& hash) const {
    const auto block = impl_->world->block_by_hash(hash);
    return block ? consensus::bft::make_block(block->header, encode_body(*block)) : nullptr;
}

std::optional<Chain::FinalBytes> Chain::final_bytes(uint64_t height) const {
    const auto block = impl_->world->block_by_number(height);
    auto certificate = impl_->world->certificate(height);
    if (!block || !certificate) return std::nullopt;
    return FinalBytes{encode_block(*block), std::move(*certificate)};
}

std::optional<Bytes> Chain::certificate(uint64_t height) const {
    return impl_->world->certificate(height);
}

// --- reads

ChainBlockPtr Chain::latest() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->tree.find(impl_->latest);
}

ChainBlockPtr Chain::finalised() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->tree.final_block();
}

ChainBlockPtr Chain::by_hash(const Hash& hash) const {
    const auto branch = impl_->branch_to(hash);
    return branch ? branch->tip() : nullptr;
}

/// The last final block and those above it, by number; nullopt: it lies below them.
std::optional<ChainBlockPtr> Chain::Impl::recent(uint64_t number) const {
    const std::lock_guard lock(mutex);
    const auto& final = tree.final_block();
    if (number < final->height()) return std::nullopt;
    if (number == final->height()) return final;
    const auto above = tree.branch(latest);
    const uint64_t index = number - final->height() - 1;
    return index < above.size() ? above[index] : nullptr;
}

ChainBlockPtr Chain::by_number(uint64_t number) const {
    const auto recent = impl_->recent(number);
    return recent ? *recent : impl_->store.by_number(number);
}

std::optional<Header> Chain::header(uint64_t number) const {
    const auto recent = impl_->recent(number);
    if (!recent) return impl_->world->header_by_number(number);
    return *recent ? std::optional((*recent)->block.header) : std::nullopt;
}

bool Chain::is_canonical(const ChainBlock& block) const {
    const auto other = header(block.height());
    return other && hash_header(*other) == block.hash;
}

// Not when it is executed: where nobody asks, nobody waits for it.
std::optional<size_t> ChainBlock::index_of(const Hash& tx) const {
    std::call_once(hashed_, [this] {
        for (size_t i = 0; i < block.txs.size(); ++i)
            by_hash_.emplace_back(hash_tx(block.txs[i]), i);
        std::sort(by_hash_.begin(), by_hash_.end());
    });
    const auto at = std::lower_bound(by_hash_.begin(), by_hash_.end(), std::pair(tx, size_t{0}));
    if (at == by_hash_.end() || at->first != tx) return std::nullopt;
    return at->second;
}

std::optional<Chain::TxPlace> Chain::find_tx(const Hash& hash) const {
    std::vector<ChainBlockPtr> above;
    {
        const std::lock_guard lock(impl_->mutex);
        above = impl_->tree.branch(impl_->latest);
    }
    for (const auto& block : above)
        if (const auto index = block->index_of(hash)) return TxPlace{block, *index};
    const auto place = impl_->world->tx_location(hash);
    auto block = place ? impl_->store.by_number(place->block_number) : nullptr;
    if (block == nullptr || place->index >= block->block.txs.size()) return std::nullopt;
    return TxPlace{std::move(block), place->index};
}

bool Chain::keeps_state(const Hash& block_hash) const {
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->tree.find(block_hash) != nullptr) return true;
    }
    const auto number = final_number(block_hash);
    return number && impl_->world->keeps_state(*number);
}

bool Chain::is_pruned(uint64_t number) const {
    return !impl_->world->keeps_block(number);
}

std::optional<uint64_t> Chain::final_number(const Hash& block_hash) const {
    return impl_->world->number_of_hash(block_hash);
}

Chain::StoreStatus Chain::store_status() const {
    return {impl_->world->kept(), impl_->world->dirty_size()};
}

std::shared_ptr<const state::StateView> Chain::view(const Hash& block_hash) const {
    const auto branch = impl_->branch_to(block_hash);
    return branch ? impl_->view_of(*branch) : nullptr;
}

std::shared_ptr<const state::NodeSource> Chain::nodes(const Hash& block_hash) const {
    const auto branch = impl_->branch_to(block_hash);
    return branch ? impl_->view_of(*branch)->nodes() : nullptr;
}

}  // namespace trainyard::node::chain
