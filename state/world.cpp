// SPDX-License-Identifier: Apache-2.0
// Commits and reads; opening is in recovery.cpp, the way to disk in flush.cpp.
#include "state/world.hpp"

#include <numeric>

#include "core/assert.hpp"
#include "state/side_by_side.hpp"
#include "state/world_impl.hpp"

namespace trainyard::state {
namespace {

void put_block(Batch& batch, const Commit& commit, const Hash& hash) {
    const Block& block = commit.block;
    const uint64_t number = block.header.number;
    batch.put(record_key(Table::header, number), encode_header(block.header));
    batch.put(record_key(Table::body, number), encode_body(block));
    batch.put(record_key(Table::number, hash), big_endian(number, 8));
    batch.put(record_key(Table::receipts, number), encode_receipts(commit.receipts));
    batch.put(record_key(Table::certificate, number), commit.certificate);
    // In the order of keys, in which the store takes them faster.
    const auto hashes = hash_txs(block.txs);
    std::vector<uint32_t> order(hashes.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return hashes[a] < hashes[b]; });
    for (const uint32_t i : order) {
        Bytes location = big_endian(number, 8);
        append(location, big_endian(i, 4));
        batch.put(record_key(Table::tx, hashes[i]), std::move(location));
    }
    batch.put(meta_key("head"), encode_head({kFormat, number, hash}));
}

std::optional<StoreError> find_fault(const Commit& commit, const std::optional<Head>& head) {
    const Header& header = commit.block.header;
    if (head && (header.number != head->header.number + 1 || header.parent_hash != head->hash))
        return StoreError{StoreError::Kind::wrong_parent, "the block does not follow the head",
                          block_name(header.number), "report this as a bug"};
    if (commit.update->root != header.state_root)
        return StoreError{StoreError::Kind::malformed, "the state root is not that of the diff",
                          block_name(header.number), "report this as a bug"};
    return std::nullopt;
}

}  // namespace

/// Reads the tables and looks afterwards whether they were still before its block.
class World::FlatView final : public StateView, private NodeSource {
public:
    FlatView(const Impl& world, uint64_t number, const Hash& root)
        : world_(world), number_(number), trie_(*this, root) {}

    [[nodiscard]] std::optional<Account> account(const Address& address) const override {
        if (const auto changed = world_.dirty.account(address, number_)) return *changed;
        const auto record = world_.kv.get(record_key(Table::account, address));
        if (is_overtaken()) return trie_.account(address);
        if (!record) return std::nullopt;
        const auto account = decode_account(*record);
        if (!account) world_.note(malformed("malformed account record", to_hex0x(address)));
        return account;
    }
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override {
        if (const auto changed = world_.dirty.storage(address, slot, number_)) return *changed;
        const auto record = world_.kv.get(slot_key(address, slot));
        if (is_overtaken()) return trie_.storage(address, slot);
        if (!record) return 0;
        if (!record->empty() && record->size() <= 32) return from_be(*record);
        world_.note(malformed("malformed storage record", to_hex0x(address)));
        return 0;
    }
    [[nodiscard]] Bytes code(const Hash& code_hash) const override { return trie_.code(code_hash); }

private:
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const override {
        return world_.node(hash, place);
    }
    /// A state that has gone meanwhile is no damage.
    void report(const TrieError& error) const override {
        if (world_.keeps_state(number_)) world_.report(error);
    }
    /// A flush says where it goes before it writes, so that whoever has read what it wrote sees it
    /// here.
    [[nodiscard]] bool is_overtaken() const {
        return world_.tables_at > number_ || world_.torn_to > number_;
    }

    const Impl& world_;
    const uint64_t number_;
    const TrieView trie_;
};

NodePtr World::Impl::node(const Hash& hash, std::string_view place) const {
    if (!TopNodes::has_room_for(place)) return find_node(hash, place);
    if (auto known = top.find(hash, place)) return known;
    auto found = find_node(hash, place);
    if (found) top.put(hash, place, found);
    return found;
}

NodePtr World::Impl::find_node(const Hash& hash, std::string_view place) const {
    if (auto made = dirty.node(hash, place)) return made;
    if (auto cached = cache.find(hash, place)) return cached;
    auto record = kv.get_once(node_key(place, hash));
    if (!record) return nullptr;
    if (place == kCodePlace) return std::make_shared<const Bytes>(*std::move(record));
    const auto stored = decode_node_record(*record);
    if (!stored) return nullptr;
    record->erase(record->begin(), record->end() - std::ssize(stored->node));
    auto found = std::make_shared<const Bytes>(*std::move(record));
    cache.put(hash, place, found);
    return found;
}

void World::Impl::note_in_memory(const Dirty::Layer& layer, bool is_dirty) {
    if (is_dirty) dirty.note(layer);
    for (const auto& [hash, node, place] : layer.update->new_nodes) {
        if (TopNodes::has_room_for(place))
            top.put(hash, place, node);
        else if (!is_dirty && place != kCodePlace)
            cache.put(hash, place, node);
    }
}

World::World(Kv& kv, const Options& options) : impl_(std::make_unique<Impl>(kv, options)) {}
World::~World() = default;

std::optional<Head> World::head() const {
    const std::shared_lock lock(impl_->mutex);
    return impl_->head;
}

Result<Done, StoreError> World::commit_block(const Commit& commit) {
    constexpr size_t kBacklog = 4;  // so many times what should be in memory at most
    const Header& header = commit.block.header;
    const auto before = head();
    if (const auto fault = damage()) return unexpected(*fault);
    if (auto fault = find_fault(commit, before)) return unexpected(*std::move(fault));
    const auto dirty = impl_->dirty.size();
    if (dirty.blocks >= kBacklog * impl_->options.dirty_blocks ||
        dirty.bytes >= kBacklog * impl_->options.dirty_bytes)
        if (auto flushed = flush(); !flushed) return flushed;
    const Hash hash = hash_header(header);
    const auto write = [&] {
        Batch batch;
        if (before)
            batch.put(record_key(Table::diff, header.number), encode_diff(*commit.diff));
        else
            impl_->put_first_state(batch, commit);
        put_block(batch, commit, hash);
        if (commit.extra != nullptr)
            batch.entries.insert(batch.entries.end(), commit.extra->entries.begin(),
                                 commit.extra->entries.end());
        return impl_->kv.write(batch, Durability::synced);
    };
    const Dirty::Layer layer{header.number, commit.diff, commit.update};
    Result<Done, KvError> written = Done{};
    run_both(
        commit.side_by_side, [&] { written = write(); },
        [&] { impl_->note_in_memory(layer, before.has_value()); });
    if (!written) return unexpected(refused(written.error(), block_name(header.number)));
    if (before)
        impl_->dirty.push(layer);
    else
        impl_->tables_at = header.number;
    const std::unique_lock lock(impl_->mutex);
    impl_->head = Head{hash, header};
    return Done{};
}

std::optional<Header> World::header_by_number(uint64_t number) const {
    const auto record = impl_->kv.get(record_key(Table::header, number));
    if (!record) return std::nullopt;
    auto header = decode_header(*record);
    if (header) return *std::move(header);
    impl_->note(malformed("malformed header", block_name(number)));
    return std::nullopt;
}

std::optional<Block> World::block_by_number(uint64_t number) const {
    const auto header = impl_->kv.get(record_key(Table::header, number));
    if (!header) return std::nullopt;
    const auto body = impl_->kv.get(record_key(Table::body, number));
    auto block = body ? join_block(*header, *body) : std::nullopt;
    if (!block && keeps_block(number))
        impl_->note(malformed("missing or malformed block", block_name(number)));
    return block;
}

std::optional<Block> World::block_by_hash(const Hash& hash) const {
    const auto number = number_of_hash(hash);
    return number ? block_by_number(*number) : std::nullopt;
}

std::optional<uint64_t> World::number_of_hash(const Hash& hash) const {
    const auto record = impl_->kv.get(record_key(Table::number, hash));
    if (!record) return std::nullopt;
    if (record->size() == 8) return from_be(*record).low();
    impl_->note(malformed("malformed hash index", to_hex0x(hash)));
    return std::nullopt;
}

std::optional<std::vector<Receipt>> World::receipts(uint64_t number) const {
    const auto record = impl_->kv.get(record_key(Table::receipts, number));
    if (!record) return std::nullopt;
    auto receipts = decode_receipts(*record);
    if (!receipts) impl_->note(malformed("malformed receipts", block_name(number)));
    return receipts;
}

std::optional<TxLocation> World::tx_location(const Hash& tx_hash) const {
    const auto record = impl_->kv.get(record_key(Table::tx, tx_hash));
    if (!record) return std::nullopt;
    if (record->size() != 12) {
        impl_->note(malformed("malformed transaction index", to_hex0x(tx_hash)));
        return std::nullopt;
    }
    const BytesView parts(*record);
    return TxLocation{from_be(parts.first(8)).low(),
                      static_cast<uint32_t>(from_be(parts.subspan(8)).low())};
}

std::optional<Bytes> World::certificate(uint64_t number) const {
    return impl_->kv.get(record_key(Table::certificate, number));
}

std::optional<Bytes> World::extra(BytesView key) const {
    return impl_->kv.get(key);
}

const NodeSource& World::nodes() const {
    return *impl_;
}

std::unique_ptr<const StateView> World::flat_at(const Header& final_block) const {
    return std::make_unique<FlatView>(*impl_, final_block.number, final_block.state_root);
}

std::optional<TrieView> World::view_at(const Hash& state_root) const {
    if (state_root != kEmptyTrieRoot && !impl_->node(state_root, kAccountPlace))
        return std::nullopt;
    return TrieView(*impl_, state_root);
}

std::optional<StoreError> World::damage() const {
    if (const auto failure = impl_->kv.read_failure())
        return refused(*failure, "reading the store");
    const std::shared_lock lock(impl_->mutex);
    return impl_->fault;
}

std::string to_text(const StoreError& error) {
    return error.what + " (" + error.where + "); " + error.what_to_do;
}

std::string_view to_text(KvError error) {
    switch (error) {
        case KvError::locked:
            return "the store is in use by another process";
        case KvError::corrupt:
            return "the store fails its own checksums";
        case KvError::io:
            return "the disk refused a read or a write";
    }
    return "unknown error";
}

}  // namespace trainyard::state
