// SPDX-License-Identifier: Apache-2.0
// Opening a store: the head, what it refers to, and the states that a crash has taken from memory.
#include "core/rlp.hpp"
#include "state/world_impl.hpp"

namespace trainyard::state {

/// The head record and the header it names; nullopt is an empty store.
Result<std::optional<Head>, StoreError> World::Impl::read_head() const {
    const auto record = kv.get(meta_key("head"));
    if (!record) {
        // Also what an import that was cut off has left: no chain may begin on top of that.
        bool is_empty = true;
        kv.scan({}, [&](BytesView key, BytesView) {
            return is_empty = key[0] == static_cast<uint8_t>(Table::meta);
        });
        if (is_empty) return std::optional<Head>();
        return unexpected(missing("no head record though there are others", "record 'head'"));
    }
    const auto found = decode_head(*record);
    if (!found) return unexpected(malformed("malformed head record", "record 'head'"));
    if (found->format != kFormat)
        return unexpected(StoreError{
            StoreError::Kind::wrong_format,
            "store of format " + std::to_string(found->format) + ", this program has " +
                std::to_string(kFormat),
            "record 'head'",
            "move the folder 'chain' of the data folder away and let the node synchronise again "
            "(an imported chain: import it again), or use the program version that wrote it"});
    const auto header = kv.get(record_key(Table::header, found->number));
    if (!header) return unexpected(missing("missing header", block_name(found->number)));
    auto decoded = decode_header(*header);
    if (!decoded || hash_header(*decoded) != found->hash)
        return unexpected(
            malformed("header does not match the head record", block_name(found->number)));
    return std::optional(Head{found->hash, *std::move(decoded)});
}

/// What the last commit wrote beside the header must be there too.
std::optional<StoreError> World::Impl::check_block(const Head& at) const {
    const uint64_t number = at.header.number;
    const auto body = kv.get(record_key(Table::body, number));
    const auto receipts = kv.get(record_key(Table::receipts, number));
    if (!body) return missing("missing block body", block_name(number));
    const auto block = join_block(encode_header(at.header), *body);
    if (!block) return malformed("malformed block body", block_name(number));
    if (!receipts) return missing("missing receipts", block_name(number));
    const auto decoded = decode_receipts(*receipts);
    if (!decoded || decoded->size() != block->txs.size())
        return malformed("malformed receipts", block_name(number));
    if (kv.get(record_key(Table::number, at.hash)) != big_endian(number, 8))
        return malformed("hash index does not name the head", block_name(number));
    return std::nullopt;
}

Result<Hash, StoreError> World::Impl::root_of(uint64_t number) const {
    const auto record = kv.get(record_key(Table::header, number));
    if (!record) return unexpected(missing("missing header", block_name(number)));
    const auto header = decode_header(*record);
    if (!header) return unexpected(malformed("malformed header", block_name(number)));
    return header->state_root;
}

/// Which block's state the tables hold, and whether its root is there.
Result<Done, StoreError> World::Impl::read_state(uint64_t head_number) {
    const auto record = kv.get(meta_key("state"));
    if (!record) return unexpected(missing("missing state record", "record 'state'"));
    const auto state = decode_state(*record);
    if (!state || state->number > head_number)
        return unexpected(malformed("malformed state record", "record 'state'"));
    const auto root = root_of(state->number);
    if (!root) return unexpected(root.error());
    if (*root != state->root)
        return unexpected(malformed("state record with another root", block_name(state->number)));
    tables_at = state->number;
    if (*root == kEmptyTrieRoot) return Done{};
    const auto stored = kv.get(node_key(kAccountPlace, *root));
    if (!stored)
        return unexpected(
            missing("missing state root " + to_hex0x(*root), block_name(state->number)));
    const auto node_record = decode_node_record(*stored);
    if (!node_record || keccak256(node_record->node) != *root)
        return unexpected(
            malformed("state root node with another hash", block_name(state->number)));
    return Done{};
}

/// Makes one state again from what its block changed.
Result<Done, StoreError> World::Impl::replay(uint64_t number, const Hash& parent_root,
                                             const SideBySide& side_by_side) {
    const auto record = kv.get(record_key(Table::diff, number));
    if (!record) return unexpected(missing("missing state changes", block_name(number)));
    auto diff = decode_diff(*record);
    if (!diff) return unexpected(malformed("malformed state changes", block_name(number)));
    auto update = state_root(parent_root, *diff, *this, side_by_side);
    if (!update) return unexpected(malformed(to_text(update.error()), block_name(number)));
    const auto due = root_of(number);
    if (!due) return unexpected(due.error());
    if (update->root != *due)
        return unexpected(
            malformed("the state changes lead to another state root", block_name(number)));
    Dirty::Layer layer{number, std::make_shared<const StateDiff>(*std::move(diff)),
                       std::make_shared<const StateUpdate>(*std::move(update))};
    dirty.note(layer);
    dirty.push(std::move(layer));
    return Done{};
}

/// The mode that the store has, and that it shall have.
Result<Done, StoreError> World::Impl::read_kept() {
    if (const auto record = kv.get(meta_key("kept"))) {
        const auto stored = decode_kept(*record);
        if (!stored)
            return unexpected(malformed("malformed record of what is kept", "record 'kept'"));
        kept = *stored;
    }
    first_state = kept.first_state;
    first_block = kept.first_block;
    if (!options.pruning || *options.pruning == kept.mode) return Done{};
    if (*options.pruning < kept.mode)
        return unexpected(StoreError{
            StoreError::Kind::wrong_mode,
            "the store was pruned as '" + std::string(to_text(kept.mode)) +
                "' and cannot become '" + std::string(to_text(*options.pruning)) + "'",
            "record 'kept'",
            "what was deleted cannot come back: leave --pruning away, or begin with an empty data "
            "folder and synchronise again"});
    kept.mode = *options.pruning;
    Batch batch;
    batch.put(meta_key("kept"), encode_kept(kept));
    if (const auto written = kv.write(batch, Durability::synced); !written)
        return unexpected(refused(written.error(), "the mode of pruning"));
    return Done{};
}

Result<Done, StoreError> World::Impl::recover(const SideBySide& side_by_side) {
    auto found = read_head();
    if (!found) return unexpected(found.error());
    if (auto read = read_kept(); !read) return read;
    if (!*found) return Done{};
    if (auto error = check_block(**found)) return unexpected(*std::move(error));
    const uint64_t number = (*found)->header.number;
    if (auto read = read_state(number); !read) return read;
    for (uint64_t n = tables_at + 1; n <= number; ++n) {
        const auto parent_root = root_of(n - 1);
        if (!parent_root) return unexpected(parent_root.error());
        if (auto made = replay(n, *parent_root, side_by_side); !made) return made;
    }
    // Perhaps nothing was: the records themselves do not tell.
    if (number > tables_at) torn_to = number;
    head = **std::move(found);
    return Done{};
}

Result<std::unique_ptr<World>, StoreError> World::open(Kv& kv, const Options& options,
                                                       const SideBySide& side_by_side) {
    std::unique_ptr<World> world(new World(kv, options));
    const auto recovered = world->impl_->recover(side_by_side);
    if (const auto failure = kv.read_failure())
        return unexpected(refused(*failure, "opening the store"));
    if (!recovered) return unexpected(recovered.error());
    return world;
}

}  // namespace trainyard::state
