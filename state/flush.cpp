// SPDX-License-Identifier: Apache-2.0
// From memory to the tables: the states of many blocks at once, each account and node written once.
#include <limits>
#include <map>

#include "state/world_impl.hpp"

namespace trainyard::state {
namespace {

/// Writes in small synced batches. Each is synced, because a store may begin a new log between two
/// of them, and then the loss of power could take the end of the older log alone.
class Batches {
public:
    explicit Batches(Kv& kv) : kv_(kv) {}

    void put(BytesView key, BytesView value) {
        bytes_ += key.size() + value.size();
        batch_.put(key, value);
        if (bytes_ >= kBatchBytes) write();
    }
    void erase(BytesView key) {
        bytes_ += key.size();
        batch_.erase(key);
        if (bytes_ >= kBatchBytes) write();
    }
    /// Writes what is left; the first error of all.
    [[nodiscard]] std::optional<KvError> finish() {
        write();
        return error_;
    }

private:
    /// A commit that comes in between waits for one of them.
    static constexpr size_t kBatchBytes = 512 << 10;

    void write() {
        if (!error_ && !batch_.entries.empty())
            if (const auto done = kv_.write(batch_, Durability::synced); !done)
                error_ = done.error();
        batch_.entries.clear();
        bytes_ = 0;
    }

    Kv& kv_;
    Batch batch_;
    size_t bytes_ = 0;
    std::optional<KvError> error_;
};

/// One batch and many take the same records.
template <class Out>
void put_account(Out& out, const Kv& kv, const Address& address,
                 const std::optional<AccountChange>& change, const Hash& storage_root) {
    if (!change || change->storage_cleared)
        kv.scan(record_key(Table::slot, address), [&](BytesView old, BytesView) {
            out.erase(old);
            return true;
        });
    if (!change) return out.erase(record_key(Table::account, address));
    out.put(record_key(Table::account, address),
            encode_account({change->nonce, change->balance, change->code_hash, storage_root}));
    for (const auto& [slot, value] : change->storage) {
        if (value.is_zero())
            out.erase(slot_key(address, slot));
        else
            out.put(slot_key(address, slot), to_be_trimmed(value));
    }
}

template <class Out>
void put_node(Out& out, uint64_t number, const NodeMap::Entry& entry) {
    const Bytes key = node_key(entry.place, entry.hash);
    if (entry.place == kCodePlace)
        out.put(key, *entry.node);
    else
        out.put(key, encode_node_record(number, *entry.node));
}

/// All that `layers` changed, as one diff, with the storage roots that its accounts have in the
/// end.
struct Merged {
    StateDiff diff;
    std::map<Address, Hash> storage_roots;
};
Merged merge_layers(const std::vector<Dirty::Layer>& layers) {
    Merged all;
    for (const auto& layer : layers) {
        all.diff = merge(std::move(all.diff), *layer.diff);
        for (const auto& [address, root] : layer.update->storage_roots)
            all.storage_roots[address] = root;
    }
    return all;
}

}  // namespace

/// The first block's state goes into its commit, since nothing is there to make it from.
void World::Impl::put_first_state(Batch& batch, const Commit& commit) const {
    const uint64_t number = commit.block.header.number;
    for (const auto& [address, change] : commit.diff->accounts)
        put_account(batch, kv, address, change,
                    change ? commit.update->storage_roots.at(address) : Hash{});
    for (const auto& entry : commit.update->new_nodes) put_node(batch, number, entry);
    batch.put(meta_key("state"), encode_state({number, commit.update->root}));
}

/// A crash in between leaves nodes that nobody refers to yet, and flat records of which those that
/// changed are made again from the blocks' diffs, which go with the last batch.
Result<Done, StoreError> World::Impl::write_states(const std::vector<Dirty::Layer>& layers) {
    const uint64_t last = layers.back().number;
    Batches out(kv);
    for (const auto& layer : layers) {
        for (const auto& entry : layer.update->new_nodes) put_node(out, layer.number, entry);
        out.put(record_key(Table::journal, layer.number), encode_journal(layer.update->stale));
    }
    const Merged all = merge_layers(layers);
    for (const auto& [address, change] : all.diff.accounts)
        put_account(out, kv, address, change, change ? all.storage_roots.at(address) : Hash{});
    std::optional<KvError> error = out.finish();
    Batch end;
    end.put(meta_key("state"), encode_state({last, layers.back().update->root}));
    for (const auto& layer : layers) end.erase(record_key(Table::diff, layer.number));
    if (!error)
        if (const auto done = kv.write(end, Durability::synced); !done) error = done.error();
    if (error) return unexpected(refused(*error, "the states up to " + block_name(last)));
    return Done{};
}

Result<Done, StoreError> World::Impl::flush_to(uint64_t number) {
    auto layers = dirty.layers();
    while (!layers.empty() && layers.back().number > number) layers.pop_back();
    if (layers.empty()) return Done{};
    tables_at = layers.back().number;
    if (auto written = write_states(layers); !written) {
        note(written.error());
        return written;
    }
    for (const auto& layer : layers)
        for (const auto& [hash, node, place] : layer.update->new_nodes)
            if (!TopNodes::has_room_for(place) && place != kCodePlace) cache.put(hash, place, node);
    dirty.drop_to(layers.back().number);
    return Done{};
}

bool World::is_flush_due() const {
    const auto size = impl_->dirty.size();
    return size.blocks >= impl_->options.dirty_blocks || size.bytes >= impl_->options.dirty_bytes;
}

Result<Done, StoreError> World::flush() {
    const std::lock_guard one(impl_->flush_mutex);
    return impl_->flush_to(std::numeric_limits<uint64_t>::max());
}

Result<std::unique_ptr<const KvReader>, StoreError> World::freeze(uint64_t number) {
    const std::lock_guard one(impl_->flush_mutex);
    if (number < impl_->torn_to) return std::unique_ptr<const KvReader>();
    if (auto done = impl_->flush_to(number); !done) return unexpected(done.error());
    if (impl_->tables_at != number) return std::unique_ptr<const KvReader>();
    return impl_->kv.freeze();
}

uint64_t World::tables_at() const {
    return impl_->tables_at;
}

World::DirtySize World::dirty_size() const {
    const auto size = impl_->dirty.size();
    return {size.blocks, size.bytes};
}

}  // namespace trainyard::state
